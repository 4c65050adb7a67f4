"""A generic table of images, CSV or Parquet: for frames that a crowd labelled, and for anything exported."""

from collections.abc import Iterator
from pathlib import Path

from fer_core.data.adapters.folders import SPELLINGS, official_split
from fer_core.data.adapters.rows import read_rows, years
from fer_core.data.adapters.tally import Tally, has_file
from fer_core.data.faces import Example, Listing
from fer_core.data.sources import TableColumns
from fer_core.errors import DataError


def list_table(path: Path, columns: TableColumns) -> Listing:
    """List the images that the table at *path* names; paths are relative to its folder.

    *path* may also be a folder that holds one table. Columns other than ``path`` and ``expression`` may be missing.
    Labels that are none of the seven expressions, in any usual spelling, are dropped; rows whose image is missing or
    whose age is unreadable are skipped.

    Raises:
        DataError: there is no such table, or it lacks one of the two columns.
    """
    table = _table(path)
    tally = Tally()
    ranges = 0
    for line, row in _rows(table, [columns.path, columns.expression]):
        where = f"{table}:{line}"
        image = table.parent / row[columns.path]
        label, text = row[columns.expression], row.get(columns.age, "")
        age = years(text) if text else None
        if not row[columns.path] or not has_file(image):
            tally.skip(where, f"no such image: {image}")
        elif (expression := SPELLINGS.get(label.lower())) is None:
            tally.drop(label or "no label", image)
        elif text and age is None:
            tally.skip(where, f"age {text!r} is neither a number of years nor a range like 8-10")
        else:
            ranges += bool(age and age[1])
            tally.take(
                Example(
                    path=image,
                    expression=expression,
                    subject=row.get(columns.subject, ""),
                    group=row.get(columns.group, ""),
                    age=age[0] if age else None,
                    split=official_split(row.get(columns.split, "")),
                )
            )
    if ranges:
        tally.notes.append(f"{ranges} ages are ranges: their middle is taken")
    return tally.listing()


def _table(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(child for child in path.glob("*") if child.suffix.lower() in {".csv", ".parquet"})
    if len(found) != 1:
        names = ", ".join(child.name for child in found) or "none"
        raise DataError(f"{path}: no such table; name one .csv or .parquet file (there is: {names})")
    return found[0]


def _rows(table: Path, needed: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, row); of a Parquet file the line is the row's number, from 1."""
    if table.suffix.lower() != ".parquet":
        yield from read_rows(table, needed)
        return
    import pyarrow as pa
    from pyarrow import parquet

    try:
        content = parquet.read_table(table)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{table}: cannot be read as Parquet: {error}") from error
    if missing := [name for name in needed if name not in content.column_names]:
        raise DataError(f"{table}: has no column {missing[0]!r} (it has: {', '.join(content.column_names)})")
    for line, row in enumerate(content.to_pylist(), start=1):
        yield line, {key: "" if value is None else str(value).strip() for key, value in row.items()}
