"""Sources -> a FaceSet: decoded once, in parallel, into a memory-mapped cache.

A cache entry is a folder named by a key: the SHA-256 of everything that decides its contents without
opening a photograph (paths, sizes and modification times of the files, annotations, image size, the version of
the decoder). It is built in a ``.partial`` folder under a file lock and renamed when complete: a second process that
asks at the same time waits for the first, and what a killed process left behind is wiped by the next.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fer_core.data.decoding import decode
from fer_core.data.faces import Example, FaceSet, Skipped
from fer_core.data.listing import list_source
from fer_core.data.sources import DataSource
from fer_core.errors import DataError
from fer_core.labels import EXPRESSIONS

logger = logging.getLogger(__name__)

type Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

SYNTHETIC_MARK = "synthetic.json"
"""A file of this name in a source's folder, or in a parent up to two levels up, marks its faces as rendered."""

_VERSION = 1
_CHUNK = 64  # images between two calls of progress
_BLOCK = 1024  # images decoded ahead of the writer, which bounds memory


@dataclass(frozen=True, slots=True)
class _Row:
    """One image to decode: the example, and the subject it counts as."""

    example: Example
    subject: str


def is_synthetic(folder: Path) -> bool:
    """Tell whether *folder* lies in a rendered tree: the mark is in it or up to two levels above.

    Raises:
        DataError: the mark says that the rendering was not finished.
    """
    resolved = folder.resolve()
    for place in (resolved, *list(resolved.parents)[:2]):
        mark = place / SYNTHETIC_MARK
        if mark.is_file():
            if '"complete": true' not in mark.read_text(encoding="utf-8"):
                raise DataError(
                    f"{place}: rendering was interrupted; run 'fer-data render' again with the same options"
                )
            return True
    return False


def load_faces(sources: Sequence[DataSource], size: int, cache: Path, *, progress: Progress | None = None) -> FaceSet:
    """Return the faces of all *sources*, in their order, as one set of *size* x *size* images.

    Photographs are cropped to their centre square and area-resampled. Files that cannot be decoded (a truncated JPEG,
    say) are in ``skipped`` with the reason. Equal subject ids in two sources are one subject.

    Raises:
        DataError: no source, a missing folder, or nothing that can be decoded.
    """
    if not sources:
        raise DataError("no data source is given: name at least one folder of faces")
    sources = [source.model_copy(update={"path": source.path.resolve()}) for source in sources]
    listings = [list_source(source) for source in sources]
    rows = [
        _Row(example, example.subject or f"{number}:{str(example.path).removeprefix(str(source.path))}")
        for number, (source, listing) in enumerate(zip(sources, listings, strict=True))
        for example in listing.examples
    ]
    unlisted = tuple(skipped for listing in listings for skipped in listing.skipped)
    synthetic = any(is_synthetic(source.path) for source in sources)
    entry = cache / f"faces-{_key(rows, size)[:32]}"
    with _locked(entry):
        faces = _open(entry, unlisted, synthetic=synthetic)
        if faces is None:
            _build(entry, rows, size, progress)
            faces = _open(entry, unlisted, synthetic=synthetic)
    if faces is None:
        raise DataError(f"{entry}: the cache just written cannot be read back; check the disk and delete the folder")
    return faces


def _key(rows: Sequence[_Row], size: int) -> str:
    digest = hashlib.sha256(json.dumps([_VERSION, size]).encode())
    for row in rows:
        try:
            stat = row.example.path.stat()
        except OSError as error:
            raise DataError(f"{row.example.path}: cannot be read: {error.strerror}") from error
        example = row.example
        parts = (example.path, stat.st_size, stat.st_mtime_ns, example.expression, row.subject)
        digest.update("\0".join(map(str, (*parts, example.group, example.population, example.mouth_open))).encode())
    return digest.hexdigest()


@contextmanager
def _locked(entry: Path) -> Iterator[None]:
    """Hold the sole right to build *entry*; the system releases it when the process dies."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        stream = entry.with_suffix(".lock").open("w")
    except OSError as error:
        raise DataError(f"{entry.parent}: the cache folder cannot be written: {error.strerror}") from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _open(entry: Path, unlisted: tuple[Skipped, ...], *, synthetic: bool) -> FaceSet | None:
    """Return the cached set, or ``None`` where there is none or it cannot be read."""
    if not entry.is_dir():
        return None
    try:
        about = json.loads((entry / "about.json").read_text(encoding="utf-8"))
        with np.load(entry / "rows.npz") as rows:
            columns = {name: rows[name] for name in rows.files}
        shape = (len(columns["labels"]), about["size"], about["size"], 3)
        return FaceSet(
            images=np.memmap(entry / "images.bin", dtype=np.uint8, mode="r", shape=shape),
            **columns,
            digest=about["digest"],
            synthetic=synthetic,
            skipped=(*unlisted, *(Skipped(**item) for item in about["skipped"])),
        )
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        logger.warning("%s: unreadable cache entry (%s): decoding again", entry, error)
        return None


def _build(entry: Path, rows: Sequence[_Row], size: int, progress: Progress | None) -> None:
    """Decode *rows* and put the entry into its place. Called under the entry's lock.

    ``images.bin`` holds the raw pixels, row after row; the digest covers them and all annotations.
    """
    partial = entry.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(entry, ignore_errors=True)
    partial.mkdir()
    kept: list[_Row] = []
    failed: list[Skipped] = []
    digest = hashlib.sha256()
    with (partial / "images.bin").open("wb") as stream:
        for done, (row, decoded) in enumerate(
            zip(rows, decode_all([row.example.path for row in rows], size), strict=True), start=1
        ):
            if isinstance(decoded, Skipped):
                failed.append(decoded)
            else:
                kept.append(row)
                stream.write(decoded.data)
                digest.update(decoded.data)
            if progress is not None and (done % _CHUNK == 0 or done == len(rows)):
                progress(done, len(rows))
        stream.flush()
        os.fsync(stream.fileno())
    if not kept:
        raise DataError(
            f"none of the {len(rows)} photographs can be decoded; the first: {failed[0].path}: {failed[0].reason}"
        )
    columns = _columns(kept)
    for name in sorted(columns):
        digest.update("\0".join([name, *map(str, columns[name].tolist())]).encode())
    np.savez_compressed(partial / "rows.npz", allow_pickle=False, **columns)
    about = {"digest": digest.hexdigest(), "size": size, "skipped": [asdict(skipped) for skipped in failed]}
    (partial / "about.json").write_text(json.dumps(about), encoding="utf-8")
    partial.rename(entry)


def decode_all(paths: Sequence[Path], size: int) -> Iterator[NDArray[np.uint8] | Skipped]:
    """Yield the pixels of each photograph in order, (size, size, 3), or why there are none.

    Threads, one a core: both decoders let go of the interpreter while they work.
    """

    def attempt(path: Path) -> NDArray[np.uint8] | Skipped:
        try:
            return decode(path, size)
        except DataError as error:
            return Skipped(str(path), str(error).removeprefix(f"{path}: "))

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(paths), _BLOCK):
            yield from pool.map(attempt, paths[start : start + _BLOCK])


def _columns(rows: Sequence[_Row]) -> dict[str, NDArray[Any]]:
    examples = [row.example for row in rows]
    openness = [-1 if example.mouth_open is None else int(example.mouth_open) for example in examples]
    return {
        "labels": np.array([EXPRESSIONS.index(example.expression) for example in examples], dtype=np.int64),
        "subjects": np.array([row.subject for row in rows], dtype=np.str_),
        "groups": np.array([example.group for example in examples], dtype=np.str_),
        "populations": np.array([example.population for example in examples], dtype=np.str_),
        "mouth_open": np.array(openness, dtype=np.int8),
    }
