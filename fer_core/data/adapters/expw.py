"""ExpW: one line a face in ``label.lst``, the pictures in ``origin/``."""

from collections.abc import Mapping
from pathlib import Path

from fer_core.data.adapters.rows import read_lines
from fer_core.data.adapters.tally import Tally, has_file, need
from fer_core.data.faces import Example, Listing
from fer_core.labels import as_expression


def list_expw(folder: Path, labels: Mapping[str, str]) -> Listing:
    """List the faces, each with its box: a picture may show several.

    A line says: picture, number of the face, top, left, right, bottom, confidence, label.

    Raises:
        DataError: the list or the pictures are missing.
    """
    table, origin = need(folder, "label.lst"), need(folder, "origin")
    tally = Tally()
    for line, text in enumerate(read_lines(table), start=1):
        where = f"{table}:{line}"
        name, *cells = text.rsplit(maxsplit=7)
        expression = as_expression(labels.get(cells[-1], "")) if len(cells) == 7 else None
        if expression is None:
            tally.skip(where, f"{text[:80]!r} is not: picture, face, top, left, right, bottom, confidence, label 0-6")
        elif (box := _box(cells)) is None:
            tally.skip(where, f"the box {' '.join(cells[1:5])} is none")
        elif not has_file(origin / name):
            tally.skip(where, f"no such picture: {origin / name}")
        else:
            tally.take(Example(origin / name, expression, box=box))
    return tally.listing()


def _box(cells: list[str]) -> tuple[float, float, float, float] | None:
    try:
        top, left, right, bottom = map(float, cells[1:5])
    except ValueError:
        return None
    return (left, top, right, bottom) if left < right and top < bottom else None
