"""Tables and JSON on standard output; the words for times and health."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from devicelab.device import Health
from devicelab.measurement import Measurement

NOTE = "simulated: these times come from arithmetic on the network's operators; no phone measured them"


def table(*columns: str) -> Table:
    """Return an empty table with these *columns*."""
    made = Table(box=SIMPLE)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def print_table(made: Table) -> None:
    """Print a table; into a pipe without breaking its lines."""
    console = Console()
    if not console.is_terminal:  # a pipe has no width; lines that are never broken are what grep wants
        console = Console(width=160)
    console.print(made)


def print_json(rows: Any) -> None:  # noqa: ANN401 - plain JSON values
    """Print *rows* as indented JSON."""
    click.echo(json.dumps(rows, indent=2))


def print_note(measured: Sequence[Measurement]) -> None:
    """Say that numbers are simulated, if any of *measured* is."""
    if any(one.source == "simulated" for one in measured):
        click.echo(NOTE)


def measurement_table(measured: Sequence[Measurement]) -> Table:
    """Return a table with one row for each of *measured*."""
    made = table("latency", "95 %", "threads", "product", "source", "graph", "day")
    for one in measured:
        made.add_row(
            f"{one.median_ms:.2f} ms",
            f"{one.low_ms:.2f}-{one.high_ms:.2f}",
            str(one.threads),
            one.product,
            one.source,
            one.fingerprint[:8],
            when(one.measured_at)[:10],
        )
    return made


def feeling(health: Health) -> tuple[str, str]:
    """Return a phone's battery and clock in words."""
    clock = "unknown" if health.frequency_mhz is None else f"{health.frequency_mhz:.0f} MHz"
    return f"{health.battery_percent:.0f} % {health.temperature_c:.0f} C", clock


def when(seconds: float) -> str:
    """Return *seconds* since 1970 as ``2026-11-24 13:05 UTC``."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
