"""What ``fer-data`` prints for people: a card of the catalogue, and a census. Counts and words, never a picture."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fer_core.data.catalog import Card, Expected, card
from fer_core.data.census import Census, Row
from fer_core.data.plots import Statistics
from fer_core.data.preparing import Preparation, Repeated
from fer_core.labels import EXPRESSIONS

CUT_OUT = {
    "centre": "cropped already: the centre square",
    "box": "by the set's own boxes",
    "detect": "by a face detector",
}
"""How the faces of a set are cut out, in words."""

_MOST_SKIPPED = 50
_FEW_DUPLICATES = 5


def cards_table(cards: Iterable[Card]) -> Table:
    """One line a set."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for heading in ("layout", "set", "shows", "images", "licence"):
        table.add_column(heading, overflow="fold")
    for about in cards:
        table.add_row(about.name, Text(about.title), Text(about.population), _size(about.expected), Text(about.licence))
    return table


def _size(expected: Expected | None) -> str:
    if expected is None:
        return ""
    return f"{expected.images:,}" if expected.images else f"{expected.clips:,} clips"


def card_page(about: Card) -> RenderableType:
    """Everything on one card."""
    facts = {
        "what": about.about,
        "shows": about.population,
        "subjects": about.subjects,
        "ages": about.ages,
        "groups": about.groups,
        "splits": ", ".join(about.splits) or "none",
        "licence": about.licence,
        "faces": "may be shown" if about.may_show_faces else "may not be shown: no contact sheet without --i-may-look",
        "cut out": CUT_OUT[about.faces],
        "access": about.access,
        "labels": ", ".join(f"{code} {label}" for code, label in about.labels.items()) or "named like the expressions",
        "cite": about.citation,
    }
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, told in facts.items():
        grid.add_row(name, Text(told))
    for number, form in enumerate(about.layouts):
        grid.add_row("on disk" if number == 0 else "or", Text(form.tree.strip()))
    if about.expected is not None:
        grid.add_row("complete", Text(_expected(about.expected)))
    source = f'layout = "{about.name}", path = "/data/{about.name}"'
    return Group(Text(f"{about.name}: {about.title}", style="bold"), grid, Text(f"in a study: {{ {source} }}"))


def _expected(expected: Expected) -> str:
    size = _size(expected) + ("" if expected.clips else " images")
    parts = [size, f"{expected.subjects} subjects" if expected.subjects else ""]
    parts += [f"{count:,} {name}" for name, count in expected.by_class.items()]
    parts += [f"{count:,} in {name}" for name, count in expected.by_split.items()]
    parts += [f"{count} subjects of {name}" for name, count in expected.by_group.items()]
    sure = "" if expected.confirmed else "; not confirmed"
    return f"{', '.join(filter(None, parts))} ({expected.source}{sure})"


def census_page(found: Census) -> Iterable[RenderableType]:
    """Yield the parts of a census: counts, completeness, what is dropped, what is skipped."""
    yield Text(f"{found.path}: {found.layout}{', synthetic' if found.synthetic else ''}")
    yield _counts(found)
    splits = ", ".join(f"{name or 'no split'} {count:,}" for name, count in found.by_split.items())
    yield Text(f"splits: {splits}")
    yield from (Text(line) for line in _completeness(found))
    for item in found.dropped:
        yield Text(f"dropped: {item.count:,} labelled {item.label!r}, e.g. {item.paths[0]!r}")
    yield Text(f"{len(found.skipped)} file(s) skipped" + (":" if found.skipped else ""))
    for skipped in found.skipped[:_MOST_SKIPPED]:
        yield Text(f"  {skipped.path}: {skipped.reason}")
    if len(found.skipped) > _MOST_SKIPPED:
        yield Text(f"  ... and {len(found.skipped) - _MOST_SKIPPED:,} more: --json lists them all")
    yield from (Text(f"note: {note}") for note in found.notes)


def _counts(found: Census) -> Table:
    table = Table()
    for heading in ("population", "group", "age"):
        table.add_column(heading)
    for heading in (*EXPRESSIONS, "images", "subjects"):
        table.add_column(heading, justify="right")
    for row in found.rows:
        table.add_row(row.population or "?", Text(row.group or "?"), row.age_band or "?", *_numbers(row))
    table.add_section()
    whole = [*found.by_class.values(), found.images]
    table.add_row("all", "", "", *(f"{number:,}" for number in whole), f"{found.subjects:,}" if found.subjects else "?")
    return table


def _numbers(row: Row) -> Sequence[str]:
    subjects = f"{row.subjects:,}" if row.subjects else "?"
    return [*(f"{count:,}" for count in row.by_class.values()), f"{row.images:,}", subjects]


def _completeness(found: Census) -> list[str]:
    if found.differences is None:
        return []
    if not found.differences:
        return ["complete: every number is the expected one"]
    numbers = "; ".join(f"{item.what} {item.found:,}, not {item.expected:,}" for item in found.differences)
    expected = card(found.layout).expected
    sure = "" if expected is None or expected.confirmed else " (its numbers are not confirmed)"
    return [f"warning: not what a complete copy has{sure}: {numbers}"]


def preparation_page(found: Preparation) -> Iterable[RenderableType]:
    """What ``fer-data prepare`` made of each source, what was left out and why."""
    for source in found.sources:
        crops = ", ".join(f"{count:,} {name}" for name, count in source.crops.items())
        speed = f"decoded at {source.images_per_second:,.0f} images/s" if source.decoded else "was there already"
        yield Text(f"{source.path}: {source.layout}, {source.images:,} of {source.examples:,} images, {speed}")
        yield Text(f"  {source.entry}: {source.bytes / 2**20:,.1f} MB of {source.size} x {source.size} pixels; {crops}")
        yield from (Text(f"  note: {note}") for note in source.notes)
        yield from (Text(f"  {item.count:,} used though {item.remark}, e.g. {item.first}") for item in source.remarks)
        yield from (
            Text(f"  dropped: {item.count:,} labelled {item.label!r}, e.g. {item.paths[0]}") for item in source.dropped
        )
        yield Text(f"  {len(source.skipped):,} file(s) skipped{':' if source.skipped else ''}")
        yield from (Text(f"    {item.path}: {item.reason}") for item in source.skipped[:_MOST_SKIPPED])
        if len(source.skipped) > _MOST_SKIPPED:
            yield Text(f"    ... and {len(source.skipped) - _MOST_SKIPPED:,} more: --json lists them all")
    yield from _duplicates(found.duplicates)
    for name, counts in (("judging", found.judging), ("left to train on", found.usable)):
        if counts:
            by_class = ", ".join(f"{expression} {count:,}" for expression, count in counts.items())
            yield Text(f"{name}: {sum(counts.values()):,} images: {by_class}")


def _duplicates(repeated: Sequence[Repeated]) -> Iterable[RenderableType]:
    leaked = sum(item.leaked for item in repeated)
    exact = sum(item.exact for item in repeated)
    conflicting = sum(item.conflicting for item in repeated)
    yield Text(
        f"{len(repeated):,} duplicate(s) left out: {exact:,} exact, {len(repeated) - exact:,} alike; "
        f"{conflicting:,} with another label; {leaked:,} shown by the faces that judge"
    )
    yield from (Text(f"  {item.path} repeats {item.original}") for item in repeated[:_FEW_DUPLICATES])
    if len(repeated) > _FEW_DUPLICATES:
        yield Text(f"  ... and {len(repeated) - _FEW_DUPLICATES:,} more: --json lists them all")


def statistics_page(found: Statistics) -> Iterable[RenderableType]:
    """What ``fer-data stats`` counted: a table of classes by group, then one line each for the other things."""
    table = Table()
    table.add_column("group")
    for expression in EXPRESSIONS:
        table.add_column(expression, justify="right")
    table.add_column("all", justify="right")
    for group, counts in (*found.by_group.items(), ("all", found.by_class)):
        table.add_row(group or "unknown", *(f"{count:,}" for count in counts.values()), f"{sum(counts.values()):,}")
    yield table
    for name, by in (("population", found.by_population), ("age", found.by_age), ("split", found.by_split)):
        yield Text(f"{name}: " + ", ".join(f"{key or 'unknown'} {count:,}" for key, count in by.items() if count))
    yield Text(f"{found.images:,} images, {found.subjects:,} subjects{', synthetic' if found.synthetic else ''}")
