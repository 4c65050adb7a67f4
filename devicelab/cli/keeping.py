"""Commands that look after the store: ``audit verify``, ``backup`` and ``prune``."""

from dataclasses import asdict
from pathlib import Path

import click

from devicelab.cli.printing import print_json
from devicelab.cli.root import as_json, cli, reading, store
from devicelab.errors import StoreError
from devicelab.protocols import SystemClock
from devicelab.store import Store

DAY_SECONDS = 86400.0


@cli.group()
def audit() -> None:
    """Check that the event log is as it was written.

    Example: fer-lab audit verify
    """


@audit.command()
@store
@as_json
def verify(*, store_path: Path, as_json: bool) -> None:
    """Read the whole log; find every row that was changed, removed, inserted or moved, and a cut tail.

    Keep what it prints in another place: who can rewrite the log and the file beside it can only be found by that.

    Example: fer-lab audit verify --store lab.sqlite
    """
    with reading(store_path, "there is nothing to audit yet") as record:
        found = record.verify()
    if as_json:
        print_json(asdict(found))
    elif not found.problems:
        click.echo(f"{found.rows} events, whole and in order; number {found.seq} has the hash {found.head}")
    if found.problems:
        shown = "; ".join(found.problems[:5])
        raise StoreError(f"{store_path}: {len(found.problems)} problem(s): {shown}")


@cli.command()
@click.argument("target", type=click.Path(path_type=Path))
@store
def backup(*, target: Path, store_path: Path) -> None:
    """Copy the store to the new file TARGET, whole and of one moment, also while the lab runs.

    To restore, stop the lab and put the copy in the store's place.

    Example: fer-lab backup lab-$(date +%F).sqlite
    """
    with reading(store_path, "there is nothing to back up yet") as record:
        record.backup(target)
    click.echo(f"{target}: {target.stat().st_size} bytes")


@cli.command()
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=1),
    default=90.0,
    show_default=True,
    help="Days that raw times are kept.",
)
@store
def prune(*, days: float, store_path: Path) -> None:
    """Let the single runs of old blocks go; readings, measurements and events stay. Not while the lab runs.

    Example: fer-lab prune --older-than 30
    """
    reading(store_path, "there is nothing to let go of yet").close()
    now = SystemClock().now()
    with Store(store_path) as record:
        count = record.prune(now - days * DAY_SECONDS, now)
    click.echo(f"{count} blocks lost their single runs")
