"""Tables that stand beside images: rows with their line numbers, and ages as people write them."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_core.errors import DataError

_AGE = re.compile(r"\s*(?P<low>\d+(?:\.\d+)?)\s*(?:(?:-|\u2013|to)\s*(?P<high>\d+(?:\.\d+)?))?\s*", re.IGNORECASE)


def read_rows(
    path: Path, needed: Sequence[str], *, header: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of the CSV file at *path* as (line number, column -> text), both stripped of blanks.

    A byte order mark is passed over. A cell that a short row lacks is ``""``. *header* names the columns of a file
    whose first line is a row already.

    Raises:
        DataError: the file cannot be read, or lacks one of the *needed* columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            first = [cell.strip() for cell in next(reader, [])]
            columns = list(header) if header and needed[0] not in first else first
            if missing := [name for name in needed if name not in columns]:
                raise DataError(f"{path}: has no column {missing[0]!r} (its first line says: {', '.join(first)[:200]})")
            if columns is not first:
                yield 1, _named(columns, first)
            for row in reader:
                if row:
                    yield reader.line_num, _named(columns, row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table: {error}") from error


def read_lines(path: Path) -> list[str]:
    """Return the lines of the text file at *path*; a byte order mark is passed over.

    Raises:
        DataError: it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}") from error


def _named(columns: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    cells = [cell.strip() for cell in row] + [""] * (len(columns) - len(row))
    return dict(zip(columns, cells, strict=False))


def years(text: str) -> tuple[float, bool] | None:
    """Read an age: (years, was a range). Of a range like ``8-10`` the middle; ``None`` for anything else.

    Negative numbers, which age estimators write where they see no face, are no age.
    """
    match = _AGE.fullmatch(text)
    if match is None:
        return None
    low = float(match["low"])
    high = float(match["high"]) if match["high"] else low
    return (low + high) / 2, match["high"] is not None
