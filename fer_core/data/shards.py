"""The cache on disk: faces decoded once, by several processes, into shards that are memory-mapped ever after.

An entry is a folder that is named by what decides its contents::

    shard-00000.bin ...   pixels, uint8, image after image
    manifest.parquet      one row per example, used or not
    about.json            digests, sizes and counts; written last: an entry with it is complete

Every file appears by renaming, shard after shard, each with its own part of the manifest. A build that was killed goes
on behind the last complete shard and ends with the same bytes. Readers take no lock and write nothing, so that a
finished entry may lie on NFS or on a read-only disk. Builders take turns by a lock; where the file system has none, two
that build the same entry write the same bytes.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.data import manifest
from fer_core.data.faces import Example
from fer_core.data.harvest import harvest
from fer_core.data.pixels import Pixels
from fer_core.data.sources import Cropping
from fer_core.data.workers import in_processes
from fer_core.errors import DataError

logger = logging.getLogger(__name__)

type Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

ABOUT, MANIFEST = "about.json", "manifest.parquet"
_SMALLEST, _LARGEST, _PARTS = 64, 2048, 16
"""A shard holds a sixteenth of the images, at least 64 (less work is not worth a process) and at most 2048."""
_FEW = 256
"""Fewer images than this are decoded before the other processes would have started."""


@dataclass(frozen=True, slots=True)
class Job:
    """What an entry is made of: *examples* of the source at *root*, cropped as *how* says to *size* pixels a side."""

    examples: tuple[Example, ...]
    root: Path
    size: int
    how: Cropping


@dataclass(frozen=True, slots=True)
class Cached:
    """A complete entry: its folder, the table of all examples, the faces of those with an empty ``reason``."""

    folder: Path
    digest: str
    size: int
    table: pa.Table
    pixels: Pixels


def ensure(folder: Path, job: Job, *, progress: Progress | None = None, processes: int | None = None) -> Cached:
    """Return the entry at *folder*, after building what is missing of it from *job*.

    Raises:
        DataError: the folder cannot be written, or a process that decoded died.
    """
    entry = open_entry(folder)
    if entry is not None:
        return entry
    with _locked(folder):
        entry = open_entry(folder)
        if entry is None:
            try:
                _build(folder, job, progress, processes or os.cpu_count() or 1)
            except OSError as error:
                raise DataError(f"{folder}: the cache cannot be written: {error.strerror or error}") from error
            entry = open_entry(folder)
    if entry is None:
        raise DataError(f"{folder}: the cache just written cannot be read back; check the disk and delete the folder")
    return entry


def open_entry(folder: Path) -> Cached | None:
    """Return the complete entry at *folder*, or ``None``; a damaged one counts as none and is logged."""
    if not (folder / ABOUT).is_file():
        return None
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        table = manifest.read(folder / MANIFEST)
        side = int(about["size"])
        shards = [
            np.asarray(np.memmap(folder / name, dtype=np.uint8, mode="r", shape=(count, side, side, 3)))
            for name, count in about["shards"].items()
            if count and _size_is(folder / name, count * side * side * 3)
        ]
        empty = np.empty((0, side, side, 3), dtype=np.uint8)
        return Cached(folder, str(about["digest"]), side, table, Pixels(shards or [empty]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        logger.warning("%s: unreadable cache entry (%s): decoding again", folder, error)
        return None


def _size_is(path: Path, wanted: int) -> bool:
    found = path.stat().st_size
    if found != wanted:
        raise ValueError(f"{path.name} has {found} bytes, not {wanted}")
    return True


def _build(folder: Path, job: Job, progress: Progress | None, processes: int) -> None:
    """Build what is missing. Called under the lock."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)  # complete, but damaged: what is sound of it is kept
    for leftover in folder.glob("*.tmp"):
        leftover.unlink(missing_ok=True)
    length = min(_LARGEST, max(_SMALLEST, -(-len(job.examples) // _PARTS)))
    parts = dict(enumerate(batched(job.examples, length)))
    missing = {number: part for number, part in parts.items() if not _is_complete(folder, number, job.size)}
    done = len(job.examples) - sum(map(len, missing.values()))
    if progress is not None:
        progress(done, len(job.examples))
    tasks = [(folder, number, replace(job, examples=part)) for number, part in missing.items()]
    few = len(job.examples) - done < _FEW
    for built in in_processes(_build_shard, tasks, 1 if few else processes):
        done += built
        if progress is not None:
            progress(done, len(job.examples))
    _finish(folder, job, len(parts))


def _build_shard(folder: Path, number: int, job: Job) -> int:
    """Decode *job* into shard *number*: first its pixels, then its rows, which make it complete. Return their number.

    Runs in a process of its own.
    """
    rows: list[manifest.Entry] = []
    digest = hashlib.sha256()
    with _renamed(folder / _bin(number)) as temporary, temporary.open("wb") as stream:
        for entry, face in harvest(job.examples, job.size, job.how):
            rows.append(entry)
            if face is not None:
                stream.write(face.data)
                digest.update(face.data)
        _sync(stream)
    with _renamed(folder / _part(number)) as temporary:
        manifest.write(manifest.to_table(rows, job.root), temporary, {"pixels": digest.hexdigest()})
    return len(job.examples)


def _is_complete(folder: Path, number: int, size: int) -> bool:
    """Tell whether shard *number* is all there; its pixels are read and compared with the digest in its rows."""
    try:
        table = manifest.read(folder / _part(number))
        count = _used(table)
        pixels = folder / _bin(number)
        return _size_is(pixels, count * size * size * 3) and _sha256(pixels) == _metadata(table)
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return False


def _finish(folder: Path, job: Job, parts: int) -> None:
    """Join the parts of the manifest, and say that the entry is complete."""
    tables = [pq.read_table(folder / _part(number), memory_map=False) for number in range(parts)]
    whole = manifest.joined(tables)
    digest = hashlib.sha256(json.dumps([job.size, [_metadata(table) for table in tables]]).encode())
    annotations = whole.select([name for name in whole.schema.names if name != "path"])
    digest.update("\0".join(map(str, annotations.to_pylist())).encode())
    with _renamed(folder / MANIFEST) as temporary:
        manifest.write(whole, temporary, {})
    about = {
        "digest": digest.hexdigest(),
        "size": job.size,
        "crop": job.how,
        "examples": whole.num_rows,
        "shards": {_bin(number): _used(table) for number, table in enumerate(tables)},
    }
    with _renamed(folder / ABOUT) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(about, indent=2) + "\n")
        _sync(stream)


def _used(table: pa.Table) -> int:
    return sum(reason == "" for reason in table["reason"].to_pylist())


def _metadata(table: pa.Table) -> str:
    return str((table.schema.metadata or {})[b"pixels"].decode())


def _bin(number: int) -> str:
    return f"shard-{number:05d}.bin"


def _part(number: int) -> str:
    return f"shard-{number:05d}.parquet"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(stream: Any) -> None:  # noqa: ANN401  a file of text or of bytes
    stream.flush()
    os.fsync(stream.fileno())


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of *path* at the end."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    yield temporary
    temporary.replace(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the sole right to build *folder*; the system releases it when the process dies."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        stream = folder.with_suffix(".lock").open("w")
    except OSError as error:
        raise DataError(f"{folder.parent}: the cache folder cannot be written: {error.strerror}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError as error:
            logger.info("%s: builds without a lock (%s)", folder, error.strerror)
        yield
