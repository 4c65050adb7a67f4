"""AffectNet's manually annotated part: two tables of paths below ``Manually_Annotated_Images``.

Or the later release, ``train_set`` and ``val_set``, with one small array of annotations an image.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fer_core.data.adapters.folders import official_split
from fer_core.data.adapters.rows import read_rows
from fer_core.data.adapters.tally import Tally, files_below, find, has_file, need
from fer_core.data.faces import Example, Listing
from fer_core.errors import DataError

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


SETS = {"train_set": "train", "val_set": "validation"}
"""The folders of the later release, and the splits that they are."""


def list_affectnet(folder: Path, labels: Mapping[str, str]) -> Listing:
    """List the images that ``training.csv`` and ``validation.csv`` name, each with the box of its face.

    Where there is a ``train_set`` or a ``val_set`` instead, its images are faces already.

    Raises:
        DataError: the images or both tables are missing, or a table lacks a column.
    """
    tally = Tally()
    sets = {split: path for name, split in SETS.items() if (path := find(folder, name)) is not None}
    if sets:
        for split, path in sets.items():
            _read_set(tally, path, split, labels)
        return tally.listing()
    images = need(folder, "Manually_Annotated_Images")
    tables = {split: find(folder, f"Manually_Annotated_file_lists/{split}.csv") for split in ("training", "validation")}
    if not any(tables.values()):
        raise DataError(f"{folder}: holds no Manually_Annotated_file_lists/training.csv or validation.csv")
    for split, table in tables.items():
        if table is not None:
            _read_table(tally, table, images, official_split(split), labels)
    return tally.listing()


def _read_table(tally: Tally, table: Path, images: Path, split: str, labels: Mapping[str, str]) -> None:
    for line, row in read_rows(table, COLUMNS, header=COLUMNS):
        path, where = images / row["subDirectory_filePath"], f"{table}:{line}"
        label = labels.get(row["expression"])
        if label is None:
            tally.skip(where, f"expression {row['expression']!r} is none of {', '.join(labels)}")
        elif not has_file(path):
            tally.skip(where, f"no such image: {path}")
        elif (expression := tally.wanted(label, path)) is not None:
            tally.take(Example(path, expression, split=split, box=_box(row)))


def _read_set(tally: Tally, folder: Path, split: str, labels: Mapping[str, str]) -> None:
    for path in files_below(folder / "images"):
        told = folder / "annotations" / f"{path.stem}_exp.npy"
        try:
            label = labels[str(int(np.load(told, allow_pickle=False)))]
        except (OSError, ValueError, TypeError, KeyError):
            tally.skip(path, f"its label {told.name} is missing or no number from 0 to 10")
            continue
        if (expression := tally.wanted(label, path)) is not None:
            tally.take(Example(path, expression, split=split))


def _box(row: Mapping[str, str]) -> tuple[float, float, float, float] | None:
    """Return left, top, right, bottom of the face; ``None`` where the row tells no box."""
    try:
        left, top, width, height = (float(row[f"face_{name}"]) for name in ("x", "y", "width", "height"))
    except ValueError:
        return None
    return (left, top, left + width, top + height) if width > 0 and height > 0 else None
