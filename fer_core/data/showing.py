"""What ``fer-data`` prints for people: a card of the catalogue, and a census. Counts and words, never a picture."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fer_core.data.catalog import Card, Expected, card
from fer_core.data.census import Census, Row
from fer_core.labels import EXPRESSIONS

CUT_OUT = {
    "centre": "cropped already: the centre square",
    "box": "by the set's own boxes",
    "detect": "by a face detector",
}
"""How the faces of a set are cut out, in words."""

_MOST_SKIPPED = 50


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
