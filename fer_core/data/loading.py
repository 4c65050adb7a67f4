"""Sources -> a FaceSet: decoded once into the cache (``fer_core.data.shards``), joined, rid of duplicates."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fer_core.data.catalog import card
from fer_core.data.duplicates import Found, find_duplicates
from fer_core.data.faces import Duplicate, Example, FaceSet, Listing, Skipped
from fer_core.data.listing import list_source
from fer_core.data.manifest import SCHEMA, name_of
from fer_core.data.pixels import joined
from fer_core.data.remote import fetch, publish
from fer_core.data.shards import Cached, Job, Progress, ensure
from fer_core.data.sources import Cropping, DataSource
from fer_core.errors import DataError
from fer_core.labels import EXPRESSIONS

logger = logging.getLogger(__name__)

SYNTHETIC_MARK = "synthetic.json"
"""A file of this name in a source's folder, or in a parent up to two levels up, marks its faces as rendered."""

_VERSION = 2


@dataclass(frozen=True, slots=True)
class Prepared:
    """One source, decoded: what its adapter listed and its entry in the cache."""

    source: DataSource
    listing: Listing
    cached: Cached

    @property
    def used(self) -> pa.Table:
        """The rows of the manifest that have a face, in the order of the pixels."""
        return self.cached.table.filter(pc.equal(self.cached.table["reason"], ""))

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What the adapter or the decoder could not use."""
        table = self.cached.table.filter(pc.not_equal(self.cached.table["reason"], ""))
        failed = zip(self.listing_paths(table), table["reason"].to_pylist(), strict=True)
        return (*self.listing.skipped, *(Skipped(path, reason) for path, reason in failed))

    def listing_paths(self, table: pa.Table) -> list[str]:
        """Return the path of each row of *table* on this machine, with the number of the frame where there is one."""
        root = self.source.path if self.source.path.is_dir() else self.source.path.parent
        names = zip(table["path"].to_pylist(), table["frame"].to_pylist(), strict=True)
        return [str(root / name) + ("" if frame is None else f"#{frame}") for name, frame in names]


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


def cropping(source: DataSource) -> Cropping:
    """Return how faces of *source* are cut out: as it says, else as suits its set; rendered ones are cut already."""
    if source.faces is not None:
        return source.faces
    return "centre" if is_synthetic(source.path) else card(source.layout).faces


def prepare(
    source: DataSource,
    size: int,
    cache: Path,
    *,
    progress: Progress | None = None,
    processes: int | None = None,
    mirror: str | None = None,
) -> Prepared:
    """Return *source* decoded to *size* x *size* pixels: from *cache*, or after putting it there.

    What the URL *mirror* has already is fetched instead of decoded, what it has not is copied to it.

    Raises:
        ConfigError: *mirror* is no URL that can be spoken to.
        DataError: a missing folder, nothing usable in it, or a cache that cannot be written.
    """
    source = source.model_copy(update={"path": source.path.resolve()})
    listing = list_source(source)
    job = Job(listing.examples, source.path, size, cropping(source))
    entry = cache / f"faces-{_key(job)[:32]}"
    if mirror:
        fetch(mirror, entry.name, cache)
    cached = ensure(entry, job, progress=progress, processes=processes)
    if mirror:
        publish(mirror, entry)
    prepared = Prepared(source, listing, cached)
    if not len(cached.pixels):
        first = prepared.skipped[-1]
        raise DataError(
            f"{source.path}: none of the {len(listing.examples)} photographs can be decoded; for one, "
            f"{first.path}: {first.reason}"
        )
    return prepared


def load_faces(
    sources: Sequence[DataSource],
    size: int,
    cache: Path,
    *,
    apart_from: Sequence[DataSource] = (),
    progress: Progress | None = None,
) -> FaceSet:
    """Return the faces of all *sources*, in their order, as one set of *size* x *size* images.

    Files that cannot be decoded (a truncated JPEG, say) are in ``skipped`` with the reason. Of images that show the
    same, the first is kept, and none that *apart_from* shows too (the faces that judge, when these train); the others
    are in ``duplicates``. Sources with ``duplicates = "keep"`` lose none.

    Raises:
        DataError: no source, a missing folder, or nothing that can be decoded.
    """
    if not sources:
        raise DataError("no data source is given: name at least one folder of faces")
    judges = [prepare(source, size, cache) for source in apart_from]
    parts = [prepare(source, size, cache, progress=progress) for source in sources]
    return join(parts, judges, cache)


def join(parts: Sequence[Prepared], judges: Sequence[Prepared], cache: Path) -> FaceSet:
    """Return *parts* as one set, without what repeats itself or an image of *judges*. See :func:`load_faces`.

    Raises:
        DataError: nothing is left.
    """
    whole = _joined(parts)
    found = _found([*judges, *parts], cache)
    offset = sum(len(part.cached.pixels) for part in judges)
    droppable = np.concatenate([np.full(len(p.cached.pixels), p.source.duplicates == "drop") for p in parts])
    repeats = (found.original[offset:] >= 0) & droppable
    duplicates = tuple(_duplicates([*judges, *parts], found, offset + np.flatnonzero(repeats), offset))
    kept = whole.take(~repeats)
    if len(kept) == 0:
        raise DataError("every image to train on is shown by the faces that judge: name other data")
    return replace(kept, duplicates=duplicates)


def _joined(parts: Sequence[Prepared]) -> FaceSet:
    table = pa.concat_tables([part.used for part in parts]).combine_chunks()
    subjects = [
        subject or f"{number}:{path.removeprefix(str(part.source.path))}"
        for number, part in enumerate(parts)
        for subject, path in zip(part.used["subject"].to_pylist(), part.listing_paths(part.used), strict=True)
    ]
    openness = [-1 if value is None else int(value) for value in table["mouth_open"].to_pylist()]
    order = {name: index for index, name in enumerate(EXPRESSIONS)}
    return FaceSet(
        images=joined([part.cached.pixels for part in parts]),
        labels=np.array([order[name] for name in table["expression"].to_pylist()], dtype=np.int64),
        subjects=np.array(subjects, dtype=np.str_),
        groups=_strings(table, "group"),
        populations=_strings(table, "population"),
        mouth_open=np.array(openness, dtype=np.int8),
        digest=hashlib.sha256("\0".join(part.cached.digest for part in parts).encode()).hexdigest(),
        synthetic=any(is_synthetic(part.source.path) for part in parts),
        skipped=tuple(skipped for part in parts for skipped in part.skipped),
        ages=np.array([np.nan if age is None else age for age in table["age"].to_pylist()], dtype=np.float64),
        splits=_strings(table, "split"),
    )


def _strings(table: pa.Table, name: str) -> NDArray[np.str_]:
    return np.array(table[name].to_pylist(), dtype=np.str_)


def _found(parts: Sequence[Prepared], cache: Path) -> Found:
    """Find the duplicates in *parts* together, once: the answer stands in the cache."""
    key = hashlib.sha256("\0".join(part.cached.digest for part in parts).encode()).hexdigest()
    file = cache / f"duplicates-{key[:32]}.npz"
    try:
        with np.load(file) as stored:
            return Found(stored["original"], stored["exact"])
    except (OSError, ValueError, KeyError):
        pass
    tables = [part.used for part in parts]
    films = [
        f"{number}:{path}" if rate is not None else ""
        for number, table in enumerate(tables)
        for path, rate in zip(table["path"].to_pylist(), table["rate"].to_pylist(), strict=True)
    ]
    rows = [row for table in tables for row in table.select(["sha256", "box"]).to_pylist()]
    found = find_duplicates(
        joined([part.cached.pixels for part in parts]),
        [f"{row['sha256']}{row['box']}" for row in rows],
        np.concatenate([table["hash"].to_numpy() for table in tables]),
        films,
    )
    _store(file, original=found.original, exact=found.exact)
    return found


def _store(file: Path, **arrays: NDArray[Any]) -> None:
    """Write *arrays* to *file*, atomically; a cache that is read-only goes without."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        temporary.replace(file)
    except OSError as error:
        logger.info("%s: not kept (%s)", file, error.strerror)


def _duplicates(parts: Sequence[Prepared], found: Found, rows: NDArray[np.int64], offset: int) -> Iterator[Duplicate]:
    """Yield what is known of the duplicates at *rows*; rows before *offset* belong to the faces that judge."""
    if len(rows) == 0:
        return
    paths = [path for part in parts for path in part.listing_paths(part.used)]
    labels = [label for part in parts for label in part.used["expression"].to_pylist()]
    for row in rows.tolist():
        original = int(found.original[row])
        yield Duplicate(
            path=paths[row],
            original=paths[original],
            exact=bool(found.exact[row]),
            conflicting=labels[row] != labels[original],
            leaked=original < offset,
        )


def _key(job: Job) -> str:
    """Return what names the entry of *job*: a digest of its files (path below the source, size, time) and options."""
    digest = hashlib.sha256(json.dumps([_VERSION, SCHEMA.names, job.size, job.how]).encode())
    known: dict[Path, tuple[int, int]] = {}
    for example in job.examples:
        if example.path not in known:
            known[example.path] = _changed(example.path)
        about = (*known[example.path], name_of(example, job.root), *_annotations(example))
        digest.update("\0".join(map(str, about)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _changed(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:  # decoding will say why
        return -1, -1
    return about.st_size, about.st_mtime_ns


def _annotations(example: Example) -> tuple[object, ...]:
    return tuple(getattr(example, field.name) for field in fields(example) if field.name != "path")
