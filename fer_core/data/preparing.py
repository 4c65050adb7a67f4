"""What ``fer-data prepare`` does and tells: every source into the cache, and a report of all that was left out."""

import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from fer_core.data.census import DroppedLabel, SkippedFile, printable
from fer_core.data.faces import Duplicate, FaceSet
from fer_core.data.loading import Prepared, join, prepare
from fer_core.data.shards import Progress
from fer_core.data.sources import DataSource
from fer_core.errors import ConfigError
from fer_core.labels import EXPRESSIONS, Expression
from fer_core.specs import Spec


class Sets(Spec):
    """The sets of a study: those that train, and the one that judges (``None``: they are looked at alone)."""

    training: tuple[DataSource, ...]
    evaluation: DataSource | None = None


class Remark(Spec):
    """An oddity of files that could be used all the same: how many have it, and the first."""

    remark: str
    count: int
    first: str


class SourceReport(Spec):
    """One source in the cache.

    ``examples`` were listed, ``images`` of them decoded, into ``bytes`` of pixels. ``crops`` counts how faces were
    cut out: ``centre``, ``box``, ``detected``, or ``fallback`` (no face found: the centre). ``seconds`` is 0 where
    the cache had it all.
    """

    path: str
    layout: str
    size: int
    entry: str
    digest: str
    examples: int
    images: int
    decoded: int
    bytes: int
    seconds: float
    by_class: dict[Expression, int]
    crops: dict[str, int]
    remarks: tuple[Remark, ...]
    dropped: tuple[DroppedLabel, ...]
    skipped: tuple[SkippedFile, ...]
    notes: tuple[str, ...]

    @property
    def images_per_second(self) -> float:
        """How fast images were decoded; 0 where none was."""
        return self.decoded / self.seconds if self.seconds else 0.0


class Repeated(Spec):
    """An image that is left out because *original* shows the same; see ``fer_core.data.faces.Duplicate``."""

    path: str
    original: str
    exact: bool
    conflicting: bool
    leaked: bool


class Preparation(Spec):
    """All that ``fer-data prepare`` tells. ``usable`` counts what is left for training without the duplicates."""

    sources: tuple[SourceReport, ...]
    usable: dict[Expression, int]
    judging: dict[Expression, int]
    duplicates: tuple[Repeated, ...]


def read_sets(study: Path) -> Sets:
    """Return the sets that the ``[data]`` table of the file *study* names; its other tables are not looked at.

    Raises:
        ConfigError: the file cannot be read, or its ``[data]`` is wrong.
    """
    try:
        told = tomllib.loads(study.read_text(encoding="utf-8"))
        sets = Sets.model_validate(told.get("data", {}))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{study}: cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("data", *first["loc"])))
        raise ConfigError(f"{study}: {where}: {first['msg']}") from error
    root = Path(told.get("root", study.resolve().parent))
    judge = sets.evaluation.below(root) if sets.evaluation else None
    return Sets(training=tuple(source.below(root) for source in sets.training), evaluation=judge)


def prepare_sets(
    sets: Sets,
    size: int,
    cache: Path,
    *,
    processes: int | None = None,
    mirror: str | None = None,
    progress: Callable[[DataSource], Progress] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Preparation:
    """Put every source of *sets* into *cache*, look for duplicates in and across them, and report.

    *mirror* is a URL that entries are fetched from and copied to. *progress* gives, for each source that is begun, the
    function that is told how far it is. *clock* counts seconds.

    Raises:
        DataError: a folder is missing or holds nothing usable, or the cache cannot be written.
    """
    parts, reports = [], []
    judges = [sets.evaluation] if sets.evaluation else []
    for source in (*judges, *sets.training):
        meter = _Meter(progress(source) if progress else None)
        begun = clock()
        parts.append(prepare(source, size, cache, progress=meter, processes=processes, mirror=mirror))
        reports.append(_report(parts[-1], meter.decoded, clock() - begun))
    judging = join(parts[: len(judges)], [], cache) if judges else None
    training = join(parts[len(judges) :], parts[: len(judges)], cache)
    repeated = (*(judging.duplicates if judging else ()), *training.duplicates)
    return Preparation(
        sources=tuple(reports),
        usable=_by_class(training),
        judging=_by_class(judging) if judging else {},
        duplicates=tuple(_repeated(item) for item in repeated),
    )


class _Meter:
    """Counts the images that are decoded now: the first call tells how many were there already."""

    def __init__(self, tell: Progress | None) -> None:
        self._tell, self._before, self.decoded = tell, -1, 0

    def __call__(self, done: int, total: int) -> None:
        self._before = done if self._before < 0 else self._before
        self.decoded = done - self._before
        if self._tell:
            self._tell(done, total)


def _report(prepared: Prepared, decoded: int, seconds: float) -> SourceReport:
    table, used = prepared.cached.table, prepared.used
    expressions = Counter(used["expression"].to_pylist())
    return SourceReport(
        path=printable(str(prepared.source.path)),
        layout=prepared.source.layout,
        size=prepared.cached.size,
        entry=str(prepared.cached.folder),
        digest=prepared.cached.digest,
        examples=table.num_rows,
        images=used.num_rows,
        decoded=decoded,
        bytes=sum(path.stat().st_size for path in prepared.cached.folder.iterdir()),
        seconds=seconds if decoded else 0.0,
        by_class={name: expressions[name] for name in EXPRESSIONS},
        crops=dict(sorted(Counter(used["crop"].to_pylist()).items())),
        remarks=tuple(_remarks(prepared)),
        dropped=tuple(
            DroppedLabel(label=printable(item.label), count=item.count, paths=tuple(map(printable, item.paths)))
            for item in prepared.listing.dropped
        ),
        skipped=tuple(SkippedFile(**{k: printable(v) for k, v in asdict(item).items()}) for item in prepared.skipped),
        notes=prepared.listing.notes,
    )


def _remarks(prepared: Prepared) -> Iterable[Remark]:
    """Yield the remarks on files that were used, each with its first file."""
    table = prepared.used
    remarks = table["remark"].to_pylist()
    if not any(remarks):
        return
    paths: Sequence[str] = prepared.listing_paths(table)
    for remark, count in sorted(Counter(filter(None, remarks)).items()):
        yield Remark(remark=remark, count=count, first=printable(paths[remarks.index(remark)]))


def _repeated(item: Duplicate) -> Repeated:
    return Repeated(**{**asdict(item), "path": printable(item.path), "original": printable(item.original)})


def _by_class(faces: FaceSet) -> dict[Expression, int]:
    return dict(zip(EXPRESSIONS, faces.class_counts.tolist(), strict=True))
