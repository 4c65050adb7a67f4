"""What a data source holds: counts by class, population, group and age, what is left out, what is not complete."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from fer_core.data.catalog import Expected, card
from fer_core.data.faces import Example, Listing, Skipped
from fer_core.data.harvest import decode_all
from fer_core.data.listing import list_source
from fer_core.data.loading import is_synthetic
from fer_core.data.sources import DataSource, Layout
from fer_core.labels import EXPRESSIONS, Expression
from fer_core.specs import Spec

_PROBE = 32  # side of the thumbnail that each photograph is decoded to, in pixels
_BANDS = (6, 13, 18, 60)

AGE_BANDS = ("0-5", "6-12", "13-17", "18-59", "60+")
"""Age bands in years; an unknown age is in the band ``""``."""


class SkippedFile(Spec):
    """A file that is not used, and why."""

    path: str
    reason: str


class DroppedLabel(Spec):
    """Images with a label outside the seven classes: how many, and the first few."""

    label: str
    count: int
    paths: tuple[str, ...]


class Row(Spec):
    """The usable images of one population, group and age band (``""``: unknown); subjects are 0 where unknown."""

    population: str
    group: str
    age_band: str
    subjects: int
    images: int
    by_class: dict[Expression, int]


class Difference(Spec):
    """A number that is not the expected one."""

    what: str
    found: int
    expected: int


class Census(Spec):
    """All that ``fer-data check`` says about one source.

    ``differences`` compare with the card's numbers for a complete copy (``None``: the card has none, or only a part of
    the set was asked for).
    """

    path: str
    layout: Layout
    synthetic: bool
    images: int
    subjects: int
    mouth_open: int
    by_class: dict[Expression, int]
    by_split: dict[str, int]
    rows: tuple[Row, ...]
    dropped: tuple[DroppedLabel, ...]
    skipped: tuple[SkippedFile, ...]
    notes: tuple[str, ...]
    differences: tuple[Difference, ...] | None


def census(source: DataSource, *, progress: Callable[[int, int], None] | None = None) -> Census:
    """List *source*, decode every image once, and count.

    Raises:
        DataError: the folder is missing or holds nothing usable.
    """
    listing = list_source(source)
    good, broken = _readable(listing.examples, progress)
    skipped = (*listing.skipped, *broken)
    synthetic = is_synthetic(source.path)
    cells: dict[tuple[str, str, str], list[Example]] = {}
    for example in good:
        cells.setdefault(_key(example), []).append(example)
    return Census(
        path=printable(str(source.path)),
        layout=source.layout,
        synthetic=synthetic,
        images=len(good),
        subjects=_subjects(good),
        mouth_open=sum(example.mouth_open is True for example in good),
        by_class=_by_class(good),
        by_split=dict(sorted(Counter(example.split for example in good).items())),
        rows=tuple(_row(key, cells[key]) for key in sorted(cells)),
        dropped=tuple(
            DroppedLabel(label=printable(item.label), count=item.count, paths=tuple(map(printable, item.paths)))
            for item in listing.dropped
        ),
        skipped=tuple(SkippedFile(path=printable(item.path), reason=printable(item.reason)) for item in skipped),
        notes=listing.notes,
        differences=None if synthetic else differences(source, good, listing),
    )


def differences(source: DataSource, usable: Sequence[Example], listing: Listing) -> tuple[Difference, ...] | None:
    """Compare the *usable* examples of *source* with what its card expects of a complete copy."""
    about = card(source.layout)
    whole = (source.split == "all" or not about.splits) and source.subset is None
    if about.expected is None or not whole:
        return None
    apart = source.pacific_islanders == "PI"  # the published sizes of groups count them elsewhere
    expected = about.expected.model_copy(update={"by_group": {}}) if apart else about.expected
    pairs = _compared(expected, usable, listing)
    return tuple(Difference(what=w, found=f, expected=e) for w, f, e in pairs if e is not None and f != e)


def _compared(expected: Expected, usable: Sequence[Example], listing: Listing) -> Iterable[tuple[str, int, int | None]]:
    """Yield (what, found, expected or ``None``)."""
    dropped = sum(item.count for item in listing.dropped)
    yield "images", len(usable) + dropped, expected.images
    yield "clips", len({example.path for example in usable}) + dropped, expected.clips
    yield "subjects", _subjects(usable), expected.subjects
    yield from _counted("", (example.expression for example in usable), expected.by_class)
    yield from _counted("split ", (example.split for example in usable), expected.by_split)
    groups = {example.subject: example.group for example in usable if example.subject}
    yield from _counted("subjects of group ", groups.values(), expected.by_group)


def _counted(
    prefix: str, values: Iterable[str], expected: Mapping[Expression, int] | Mapping[str, int]
) -> Iterable[tuple[str, int, int]]:
    counts = Counter(values)
    return [(f"{prefix}{name}", counts[name], number) for name, number in expected.items()]


def _readable(
    examples: Sequence[Example], progress: Callable[[int, int], None] | None
) -> tuple[list[Example], list[Skipped]]:
    """Decode every photograph once. Frames inside a file were seen to be there when they were listed."""
    good: list[Example] = []
    broken: list[Skipped] = []
    photographs = [example.path for example in examples if example.frame is None]
    decoded = decode_all(photographs, _PROBE)
    for done, example in enumerate(examples, start=1):
        seen = next(decoded) if example.frame is None else None
        if isinstance(seen, Skipped):
            broken.append(seen)
        else:
            good.append(example)
        if progress is not None:
            progress(done, len(examples))
    return good, broken


def _key(example: Example) -> tuple[str, str, str]:
    band = "" if example.age is None else AGE_BANDS[bisect_right(_BANDS, example.age)]
    return example.population, example.group, band


def _row(key: tuple[str, str, str], examples: list[Example]) -> Row:
    population, group, age_band = key
    return Row(
        population=population,
        group=group,
        age_band=age_band,
        subjects=_subjects(examples),
        images=len(examples),
        by_class=_by_class(examples),
    )


def printable(text: str) -> str:
    """Return *text* on one line, with escapes for what is no character: names of files may hold any byte."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _subjects(examples: Sequence[Example]) -> int:
    return len({example.subject for example in examples if example.subject})


def _by_class(examples: Sequence[Example]) -> dict[Expression, int]:
    counts = Counter(example.expression for example in examples)
    return {expression: counts[expression] for expression in EXPRESSIONS}
