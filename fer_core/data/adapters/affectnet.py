"""AffectNet's manually annotated part: two tables of paths below ``Manually_Annotated_Images``."""

from collections.abc import Mapping
from pathlib import Path

from fer_core.data.adapters.rows import read_rows
from fer_core.data.adapters.tally import Tally, find, need
from fer_core.data.faces import Example, Listing
from fer_core.errors import DataError
from fer_core.labels import as_expression

COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
"""The columns of training.csv; copies of validation.csv come without this first line."""


def list_affectnet(folder: Path, labels: Mapping[str, str]) -> Listing:
    """List the images that ``training.csv`` and ``validation.csv`` name, each with the box of its face.

    Raises:
        DataError: the images or both tables are missing, or a table lacks a column.
    """
    images = need(folder, "Manually_Annotated_Images")
    tables = {split: find(folder, f"Manually_Annotated_file_lists/{split}.csv") for split in ("training", "validation")}
    if not any(tables.values()):
        raise DataError(f"{folder}: holds no Manually_Annotated_file_lists/training.csv or validation.csv")
    tally = Tally()
    for split, table in tables.items():
        for line, row in read_rows(table, COLUMNS, header=COLUMNS) if table else ():
            path, where = images / row["subDirectory_filePath"], f"{table}:{line}"
            label = labels.get(row["expression"])
            if label is None:
                tally.skip(where, f"expression {row['expression']!r} is none of {', '.join(labels)}")
            elif (expression := as_expression(label)) is None:
                tally.drop(label, path)
            elif not path.is_file():
                tally.skip(where, f"no such image: {path}")
            else:
                tally.take(Example(path, expression, split="train" if split == "training" else split, box=_box(row)))
    return tally.listing()


def _box(row: Mapping[str, str]) -> tuple[float, float, float, float] | None:
    """Return left, top, right, bottom of the face; ``None`` where the row tells no box."""
    try:
        left, top, width, height = (float(row[f"face_{name}"]) for name in ("x", "y", "width", "height"))
    except ValueError:
        return None
    return (left, top, left + width, top + height) if width > 0 and height > 0 else None
