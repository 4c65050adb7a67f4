"""Commands that look at phones: ``devices`` and ``leases``."""

from pathlib import Path

import click

from devicelab.cli.printing import feeling, print_json, print_table, table, when
from devicelab.cli.root import as_json, cli, config_at, lab, reading, store
from devicelab.lab import survey


@cli.command()
@lab
@store
@as_json
def devices(*, lab_path: Path | None, store_path: Path, as_json: bool) -> None:
    """List the phones of the lab, how they are and who uses them.

    Example: fer-lab devices --json
    """
    found = survey(config_at(lab_path), store_path)
    if as_json:
        print_json([status.model_dump(mode="json") for status in found])
        return
    made = table("device", "product", "build", "source", "state", "battery", "CPU")
    for status in found:
        platform = status.device.platform
        state = f"leased by {status.lease.holder}" if status.lease else "idle"
        battery, clock = feeling(status.health)
        made.add_row(status.device.name, platform.product, platform.os_build, platform.source, state, battery, clock)
    print_table(made)


@cli.command()
@click.option("--all", "ended", is_flag=True, help="Also list leases that have ended.")
@store
@as_json
def leases(*, ended: bool, store_path: Path, as_json: bool) -> None:
    """List who uses which phone now, and until when.

    Example: fer-lab leases --all
    """
    with reading(store_path, "no lease yet; measuring takes one: fer-lab measure MODEL.tflite") as record:
        found = record.leases(ended=ended)
        platforms = {device.name: device.platform for device in record.devices()}
    rows = [{**lease.model_dump(mode="json"), "source": platforms[lease.device].source} for lease in found]
    if as_json:
        print_json(rows)
        return
    made = table("token", "device", "source", "holder", "granted", "expires")
    for row in rows:
        times = (when(row["granted_at"]), when(row["expires_at"]))
        made.add_row(str(row["token"]), row["device"], row["source"], row["holder"], *times)
    print_table(made) if rows else click.echo("no device is leased")
