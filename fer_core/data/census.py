"""What a data source holds: counts by class, group and population, and every file that cannot be used."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict

from fer_core.data.faces import Example, Skipped
from fer_core.data.listing import list_source
from fer_core.data.loading import decode_all, is_synthetic
from fer_core.data.sources import DataSource
from fer_core.labels import EXPRESSIONS, Expression
from fer_core.specs import Spec

_PROBE = 32  # side of the thumbnail that each photograph is decoded to, in pixels


class SkippedFile(Spec):
    """A file that is not used, and why."""

    path: str
    reason: str


class Row(Spec):
    """The usable images of one group of one population (``""``: unknown); subjects are 0 where nothing tells them."""

    group: str
    population: str
    subjects: int
    images: int
    by_class: dict[Expression, int]


class Census(Spec):
    """All that ``fer-data check`` says about one source."""

    path: str
    layout: str
    synthetic: bool
    images: int
    subjects: int
    mouth_open: int
    by_class: dict[Expression, int]
    rows: tuple[Row, ...]
    skipped: tuple[SkippedFile, ...]


def census(source: DataSource, *, progress: Callable[[int, int], None] | None = None) -> Census:
    """List *source*, decode every image once, and count.

    Raises:
        DataError: the folder is missing or holds nothing usable.
    """
    listing = list_source(source)
    good: list[Example] = []
    skipped = list(listing.skipped)
    paths = [example.path for example in listing.examples]
    for done, (example, decoded) in enumerate(zip(listing.examples, decode_all(paths, _PROBE), strict=True), start=1):
        if isinstance(decoded, Skipped):
            skipped.append(decoded)
        else:
            good.append(example)
        if progress is not None:
            progress(done, len(paths))
    keys = sorted({(example.group, example.population) for example in good})
    return Census(
        path=str(source.path),
        layout=source.layout,
        synthetic=is_synthetic(source.path),
        images=len(good),
        subjects=_subjects(good),
        mouth_open=sum(example.mouth_open is True for example in good),
        by_class=_by_class(good),
        rows=tuple(
            _row(key, [example for example in good if (example.group, example.population) == key]) for key in keys
        ),
        skipped=tuple(SkippedFile(**asdict(item)) for item in skipped),
    )


def _row(key: tuple[str, str], examples: list[Example]) -> Row:
    group, population = key
    return Row(
        group=group,
        population=population,
        subjects=_subjects(examples),
        images=len(examples),
        by_class=_by_class(examples),
    )


def _subjects(examples: list[Example]) -> int:
    return len({example.subject for example in examples if example.subject})


def _by_class(examples: list[Example]) -> dict[Expression, int]:
    counts = Counter(example.expression for example in examples)
    return {expression: counts[expression] for expression in EXPRESSIONS}
