"""``fer-lab``: what a lab operator types. Results go to stdout, logs to stderr."""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from devicelab.config import LabConfig
from devicelab.device import Health, Selector
from devicelab.errors import DeviceLabError, NoDeviceError
from devicelab.lab import Lab, survey
from devicelab.measurement import Measurement, Workload
from devicelab.store import Store

NOTE = "simulated: these times come from arithmetic on the network's operators; no phone measured them"


class _Commands(click.Group):
    """Turns this room's errors into one line on stderr and the exit code of their kind."""

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
        except DeviceLabError as error:
            click.echo(f"fer-lab: {error}", err=True)
            ctx.exit(error.exit_code)


def _config(path: Path | None) -> LabConfig:
    return LabConfig.simulated() if path is None else LabConfig.load(path)


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
_lab = click.option(
    "--lab",
    "lab_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The lab's configuration, a lab.toml.  [default: two simulated Moto G6]",
)
_store = click.option(
    "--store",
    "store_path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="FER_LAB_STORE",
    default=Path("lab.sqlite"),
    show_default=True,
    show_envvar=True,
    help="Where leases and measurements are kept.",
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fer-search")
@click.option("-v", "--verbose", is_flag=True, help="Say what the lab does while it does it.")
def cli(*, verbose: bool) -> None:
    """Phones, leases and measurements.

    How fast is this network on a Moto G6?  fer-lab measure model.tflite --threads 4

    Which phones are there?  fer-lab devices

    Without --lab the phones are simulated and every output says so. Exit codes: 0 done, 1 failed,
    2 usage, 3 nothing available.
    """
    level = logging.INFO if verbose else logging.WARNING
    handler = RichHandler(console=Console(stderr=True), show_path=False)
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler], force=True)


def main() -> None:
    """Run ``fer-lab``."""
    cli()


@cli.command()
@_lab
@_store
@_as_json
def devices(*, lab_path: Path | None, store_path: Path, as_json: bool) -> None:
    """List the phones of the lab, how they are and who uses them.

    Example: fer-lab devices --json
    """
    found = survey(_config(lab_path), store_path)
    if as_json:
        _print_json([status.model_dump(mode="json") for status in found])
        return
    table = _table("device", "product", "build", "source", "state", "battery", "CPU")
    for status in found:
        platform = status.device.platform
        state = f"leased by {status.lease.holder}" if status.lease else "idle"
        battery, clock = _feeling(status.health)
        table.add_row(status.device.name, platform.product, platform.os_build, platform.source, state, battery, clock)
    _print_table(table)


@cli.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="MODEL.tflite")
@click.option("--threads", type=click.IntRange(1, 8), default=1, show_default=True, help="CPU threads.")
@click.option("--on", "selector", metavar="SELECTOR", help="Which phones would do: NAME, or product=...,os_build=...")
@_lab
@_store
@_as_json
def measure(
    *, model: Path, threads: int, selector: str | None, lab_path: Path | None, store_path: Path, as_json: bool
) -> None:
    """Measure the latency of MODEL.tflite, or tell what was measured for the same graph before.

    Latency belongs to the graph, not to the weights: a retrained network of the same shape is answered from the store.

    Example: fer-lab measure model.tflite --threads 4 --on "product=Moto G6"
    """
    config, chosen = _config(lab_path), Selector.parse(selector) if selector else None
    workload = Workload.of(model, threads)
    with Lab(config, store_path) as lab:
        known = lab.cached(workload, selector=chosen)
        measurement = known or lab.measure(workload, selector=chosen)
    if as_json:
        click.echo(measurement.model_dump_json(indent=2))
        return
    _print_table(_measurement_table([measurement]))
    origin = "from the store: measured before" if known else f"{measurement.phone_seconds:.0f} phone-seconds"
    blocks = f"{measurement.runs} runs in {len(measurement.readings)} of {measurement.blocks} blocks, {origin}"
    click.echo(f"p90 {measurement.p90_ms:.2f} ms, first run {measurement.first_ms:.2f} ms; {blocks}")
    click.echo(f"on {measurement.device}: {measurement.product}, {measurement.os_build}; {measurement.runtime}")
    _print_note([measurement])


@cli.command()
@_store
@_as_json
def measurements(*, store_path: Path, as_json: bool) -> None:
    """List everything the lab has measured, oldest first.

    Example: fer-lab measurements --json
    """
    hint = "no measurement yet; make one with: fer-lab measure MODEL.tflite"
    with _reading(store_path, hint) as store:
        found = store.measurements()
    if as_json:
        _print_json([measurement.model_dump(mode="json") for measurement in found])
    elif found:
        _print_table(_measurement_table(found))
        _print_note(found)
    if not found:
        raise NoDeviceError(hint)


@cli.command()
@click.option("--all", "ended", is_flag=True, help="Also list leases that have ended.")
@_store
@_as_json
def leases(*, ended: bool, store_path: Path, as_json: bool) -> None:
    """List who uses which phone now, and until when.

    Example: fer-lab leases --all
    """
    with _reading(store_path, "no lease yet; measuring takes one: fer-lab measure MODEL.tflite") as store:
        found = store.leases(ended=ended)
        platforms = {device.name: device.platform for device in store.devices()}
    rows = [{**lease.model_dump(mode="json"), "source": platforms[lease.device].source} for lease in found]
    if as_json:
        _print_json(rows)
        return
    table = _table("token", "device", "source", "holder", "granted", "expires")
    for row in rows:
        times = (_when(row["granted_at"]), _when(row["expires_at"]))
        table.add_row(str(row["token"]), row["device"], row["source"], row["holder"], *times)
    _print_table(table) if rows else click.echo("no device is leased")


def _reading(store_path: Path, hint: str) -> Store:
    if not store_path.exists():
        raise NoDeviceError(f"{store_path}: {hint}")
    return Store(store_path, readonly=True)


def _measurement_table(measured: Sequence[Measurement]) -> Table:
    table = _table("latency", "95 %", "threads", "product", "source", "graph", "day")
    for one in measured:
        table.add_row(
            f"{one.median_ms:.2f} ms",
            f"{one.low_ms:.2f}-{one.high_ms:.2f}",
            str(one.threads),
            one.product,
            one.source,
            one.fingerprint[:8],
            _when(one.measured_at)[:10],
        )
    return table


def _feeling(health: Health) -> tuple[str, str]:
    return f"{health.battery_percent:.0f} % {health.temperature_c:.0f} C", f"{health.frequency_mhz:.0f} MHz"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print_table(table: Table) -> None:
    console = Console()
    if not console.is_terminal:  # a pipe has no width; lines that are never broken are what grep wants
        console = Console(width=160)
    console.print(table)


def _print_note(measured: Sequence[Measurement]) -> None:
    if any(one.source == "simulated" for one in measured):
        click.echo(NOTE)


def _print_json(rows: list[dict[str, Any]]) -> None:
    click.echo(json.dumps(rows, indent=2))
