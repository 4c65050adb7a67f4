"""The table beside a cache's pixels: one row per example, used or not. Parquet, by pyarrow."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.data.cropping import Cropped
from fer_core.data.faces import Example

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("expression", pa.string()),
        ("subject", pa.string()),
        ("group", pa.string()),
        ("population", pa.string()),
        ("sex", pa.string()),
        ("mouth_open", pa.bool_()),
        ("age", pa.float64()),
        ("split", pa.string()),
        ("box", pa.list_(pa.float64(), 4)),
        ("frame", pa.int64()),
        ("rate", pa.float64()),
        ("sha256", pa.string()),
        ("hash", pa.uint64()),
        ("crop", pa.string()),
        ("remark", pa.string()),
        ("reason", pa.string()),
    ]
)
"""The fields of an example (``path`` relative to its source), then what decoding found."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: an example, and what became of it.

    ``reason`` says why there are no pixels, ``""`` if there are. ``sha256`` is that of the file, of the row of a table,
    or of the frame of a video; ``hash`` the perceptual one of the face.
    """

    example: Example
    sha256: str = ""
    hash: int = 0
    crop: Cropped | str = ""
    remark: str = ""
    reason: str = ""


def name_of(example: Example, root: Path) -> str:
    """Return the path of *example* relative to its source, *root*: a cache does not know where its files were."""
    folder = f"{root if root.is_dir() else root.parent}{os.sep}"
    return str(example.path).removeprefix(folder)


def to_table(entries: Iterable[Entry], root: Path) -> pa.Table:
    """Return *entries* as a table; surrogates in names that are no UTF-8 are written as escapes."""
    rows = []
    for entry in entries:
        about = asdict(entry)
        row = {**about.pop("example"), **about, "path": name_of(entry.example, root)}
        rows.append({name: _clean(row[name]) for name in SCHEMA.names})
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _clean(value: Any) -> Any:  # noqa: ANN401  any cell
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def write(table: pa.Table, path: Path, about: dict[str, str]) -> None:
    """Write *table* to *path* with *about* in its metadata: equal tables give equal bytes."""
    pq.write_table(table.replace_schema_metadata(about), path, compression="zstd")


def read(path: Path) -> pa.Table:
    """Return the table at *path*.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no manifest.
    """
    table = pq.read_table(path, memory_map=False)
    if table.schema.names != SCHEMA.names:
        raise ValueError(f"{path} is no manifest of this version")
    return table


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return *tables* one behind the other."""
    return pa.concat_tables([table.replace_schema_metadata(None) for table in tables]).combine_chunks()
