"""Commands that ask for latencies: ``measure`` and ``measurements``."""

from pathlib import Path

import click

from devicelab.api import ROOT
from devicelab.cli.printing import measurement_table, print_json, print_note, print_table
from devicelab.cli.remote import client, service
from devicelab.cli.root import as_json, cli, config_at, lab, reading, store
from devicelab.device import Selector
from devicelab.errors import NoDeviceError
from devicelab.lab import Lab
from devicelab.measurement import Measurement, Workload


@cli.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="MODEL.tflite")
@click.option("--threads", type=click.IntRange(1, 8), default=1, show_default=True, help="CPU threads.")
@click.option("--on", "selector", metavar="SELECTOR", help="Which phones would do: NAME, or product=...,os_build=...")
@lab
@store
@service
@as_json
def measure(
    *,
    model: Path,
    threads: int,
    selector: str | None,
    lab_path: Path | None,
    store_path: Path,
    url: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Measure the latency of MODEL.tflite, or tell what was measured for the same graph before.

    Latency belongs to the graph, not to the weights: a retrained network of the same shape is answered from the store.

    Example: fer-lab measure model.tflite --threads 4 --on "product=Moto G6"
    """
    chosen = Selector.parse(selector) if selector else None
    if url is not None:
        with client(url, token_file) as remote:
            known, measurement = None, remote.measure(Workload.of(model, threads), selector=chosen)
    else:
        config = config_at(lab_path)
        workload = Workload.of(model, threads)
        with Lab(config, store_path) as bench:
            known = bench.cached(workload, selector=chosen)
            measurement = known or bench.measure(workload, selector=chosen)
    if as_json:
        click.echo(measurement.model_dump_json(indent=2))
        return
    print_table(measurement_table([measurement]))
    origin = "from the store: measured before" if known else f"{measurement.phone_seconds:.0f} phone-seconds"
    blocks = f"{measurement.runs} runs in {len(measurement.readings)} of {measurement.blocks} blocks, {origin}"
    p90 = "unknown" if measurement.p90_ms is None else f"{measurement.p90_ms:.2f} ms"
    click.echo(f"p90 {p90}, first run {measurement.first_ms:.2f} ms; {blocks}")
    click.echo(f"on {measurement.device}: {measurement.product}, {measurement.os_build}; {measurement.runtime}")
    print_note([measurement])


@cli.command()
@store
@service
@as_json
def measurements(*, store_path: Path, url: str | None, token_file: Path | None, as_json: bool) -> None:
    """List what the lab has measured, oldest first (a service tells the newest thousand).

    Example: fer-lab measurements --json
    """
    hint = "no measurement yet; make one with: fer-lab measure MODEL.tflite"
    if url is not None:
        with client(url, token_file) as remote:
            rows = remote.get(f"{ROOT}/measurements", limit="1000")
        found = tuple(Measurement.model_validate(row) for row in rows)
    else:
        with reading(store_path, hint) as record:
            found = record.measurements()
    if as_json:
        print_json([measurement.model_dump(mode="json") for measurement in found])
    elif found:
        print_table(measurement_table(found))
        print_note(found)
    if not found:
        raise NoDeviceError(hint)
