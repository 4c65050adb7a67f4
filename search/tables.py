"""Rows for people and for programs: one table, one JSON, one CSV, all of the same rows."""

import csv
import io
import json
import operator
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Group, RenderableType
from rich.table import Table

from fer_core.specs import ARCHITECTURE_TITLES, ArchitectureName, CompressionSpec
from search.errors import ConfigError
from search.rows import FrontRow

SIMULATED = (
    "Latency is simulated: computed from the operators of each file for a model of a Moto G6. "
    "No phone measured it; it orders candidates, it does not promise milliseconds."
)
SYNTHETIC = (
    "The faces are synthetic: rendered heads, not people. "
    "F1, gap and their intervals say nothing about real children or real ethnic groups."
)
HEADINGS = ("trial", "F1", "report F1", "gap", "latency, ms", "size", "P", "candidate")
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|==|!=|<|>)\s*(\S.*?)\s*")


def caveats(rows: Sequence[FrontRow]) -> tuple[str, ...]:
    """Return the sentences that must stand beside *rows* wherever they are shown."""
    simulated = (SIMULATED,) if any(row.source == "simulated" for row in rows) else ()
    synthetic = (SYNTHETIC,) if any(row.synthetic_faces for row in rows) else ()
    return simulated + synthetic


def matching(rows: Sequence[FrontRow], conditions: Sequence[str]) -> tuple[FrontRow, ...]:
    """Return those of *rows* that meet all *conditions*, such as ``latency_ms<=60`` or ``pruning==none``.

    A row that has no value for a key does not meet a condition on it.

    Raises:
        ConfigError: a condition that is not ``key operator value`` with a key of ``FrontRow``.
    """
    checks = [_condition(text) for text in conditions]
    return tuple(row for row in rows if all(check(row) for check in checks))


def as_json(rows: Sequence[FrontRow]) -> str:
    """Return *rows* as a JSON array of flat objects."""
    return json.dumps([row.model_dump(mode="json") for row in rows], indent=2)


def as_csv(rows: Sequence[FrontRow]) -> str:
    """Return *rows* as CSV with a header; numbers in full precision, nothing where a value is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FrontRow.model_fields)
    for row in rows:
        values = row.model_dump(mode="json").values()
        writer.writerow(["" if v is None else v if isinstance(v, str) else json.dumps(v) for v in values])
    return text.getvalue()


def as_table(rows: Sequence[FrontRow], title: str, notes: Sequence[str] = ()) -> RenderableType:
    """Return *rows* for a terminal, with what must be known to read them; F1 and gap in points (fractions x 100).

    *notes* are sentences about single rows.
    """
    table = Table(title=title, title_justify="left", header_style="bold", box=HORIZONTALS, show_lines=True)
    for name in HEADINGS:
        table.add_column(name, justify="left" if name == "candidate" else "right", no_wrap=name != "candidate")
    for row in rows:
        table.add_row(*cells(row), style="" if row.on_front else "dim")
    return Group(
        table,
        "F1, gap: points of 100 on the search half, [95 %] over children (over images where nobody is named); "
        "report F1: the half that no search saw.",
        *(f"Latency by {place}." for place in sorted({row.measured_on for row in rows if row.measured_on})),
        "shrunk: the gap beyond what chance gives, which the search minimises. P: probability to be on the front.",
        *notes,
        *caveats(rows),
    )


def cells(row: FrontRow) -> tuple[str, ...]:
    """Return one row as texts under ``HEADINGS``, of up to three lines each."""
    threads = f"{row.threads} {'thread' if row.threads == 1 else 'threads'}"
    chance = f"shrunk {points(row.gap_shrunk)}, p {row.gap_p:.3f}" if row.gap_p is not None else ""
    return (
        str(row.trial),
        _folded(points(row.f1, row.f1_low, row.f1_high)),
        _folded(points(row.report_f1, row.report_f1_low, row.report_f1_high)),
        _folded(points(row.gap, row.gap_low, row.gap_high), chance),
        _folded(_interval(row.latency_ms, row.latency_low_ms, row.latency_high_ms), row.source or ""),
        "-" if row.size_bytes is None else f"{row.size_bytes / 1e6:.2f} MB",
        f"{row.probability:.2f}",
        f"{network(row.architecture, row.input_size)}\n{row.population}, {compression(row)}\n{threads}",
    )


def network(name: ArchitectureName, input_size: int) -> str:
    """Return a network as people call it, with its input size: ``MobileNetV2 1.0 @64``."""
    return f"{ARCHITECTURE_TITLES[name]} @{input_size}"


def compression(of: FrontRow | CompressionSpec) -> str:
    """Return the compression in words: ``pruned 50 %, 16 clusters, int8`` or ``50 % of channels pruned, int8``."""
    percent = f"{100 * of.pruning_ratio:.0f} %"
    pruned = {"none": [], "magnitude": [f"pruned {percent}"], "structured": [f"{percent} of channels pruned"]}[
        of.pruning
    ]
    clustered = [] if of.clusters is None else [f"{of.clusters} clusters"]
    return ", ".join([*pruned, *clustered, of.quantization])


def points(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a fraction in points of 100, with its interval if it has one: ``65.3 [61.0, 69.9]``."""
    scaled = [None if number is None else 100 * number for number in (value, low, high)]
    return _interval(*scaled)


def _interval(value: float | None, low: float | None = None, high: float | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if low is None or high is None else f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _folded(number: str, *below: str) -> str:
    """Break before the interval of *number*, and put *below* under it."""
    return "\n".join([*number.replace(" [", "\n[").splitlines(), *filter(None, below)])


def _condition(text: str) -> Callable[[FrontRow], bool]:
    found = CONDITION.fullmatch(text)
    if not found:
        raise ConfigError(f"--where {text!r}: write KEY OPERATOR VALUE with one of {' '.join(OPERATORS)}")
    key, sign, wanted = found.groups()
    if key not in FrontRow.model_fields:
        raise ConfigError(f"--where {text!r}: unknown key {key!r}; choose one of {', '.join(FrontRow.model_fields)}")
    value: Any = wanted.strip("'\"")
    with suppress(json.JSONDecodeError):  # a word stays a word
        value = json.loads(value)

    def holds(row: FrontRow) -> bool:
        given = getattr(row, key)
        if given is None or isinstance(given, str) != isinstance(value, str):
            return key == "clusters" and given is None and value == "none" and sign == "=="
        return OPERATORS[sign](given, value)

    return holds
