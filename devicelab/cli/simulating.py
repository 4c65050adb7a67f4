"""The command that rehearses a lab: ``simulate``."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import get_args

import click
import numpy as np

from devicelab.cli.printing import NOTE, print_json, print_table, table
from devicelab.cli.root import as_json, cli
from devicelab.config import NoiseName
from devicelab.errors import DeviceError
from devicelab.fleet import Ask, Fleet, Plan
from devicelab.oracle import judged


@cli.command()
@click.option("--devices", type=click.IntRange(1, 1024), default=16, show_default=True, help="Simulated phones.")
@click.option(
    "--requests", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Networks to measure."
)
@click.option("--fault-rate", type=click.FloatRange(0, 0.2), default=0.0, help="Chance that a call to a phone fails.")
@click.option("--noise", type=click.Choice(get_args(NoiseName)), default="quiet", show_default=True, help="Of phones.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything that is chance.")
@as_json
def simulate(*, devices: int, requests: int, fault_rate: float, noise: NoiseName, seed: int, as_json: bool) -> None:
    """Rehearse a lab in virtual time: real scheduling, leases and protocol, phones and networks of arithmetic.

    An oracle that knows the rules in other words judges the event log afterwards; the exit code is 1 if it finds
    a request lost, answered twice, or by work that did not count.

    Example: fer-lab simulate --devices 64 --requests 1000 --fault-rate 0.02
    """
    rng = np.random.default_rng((seed, 1))
    asks = [Ask(f"r{number}", float(rng.uniform(20, 150)), 60.0) for number in range(requests)]
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(devices, seed, noise, fault_rate, mischief=fault_rate / 2)
        fleet = Fleet(plan, Path(folder) / "lab.sqlite", asks)
        try:
            seconds, found = fleet.run(), judged(fleet.store.events())
        finally:
            fleet.close()
        states = Counter(phone.state.value for phone in fleet.engine.coordinator.state.phones.values())
    result = {
        "source": "simulated",
        "virtual_seconds": round(seconds, 1),
        "requests": found.requests,
        "endings": dict(found.endings),
        "lost": len(found.lost),
        "doubled": len(found.double),
        "stale": len(found.stale),
        "wrong": len(found.wrong),
        "orders": found.orders,
        "failed_blocks": found.failures,
        "phone_seconds": {duty: round(milliseconds / 1e3) for duty, milliseconds in found.busy.items()},
        "phones": dict(states),
    }
    print_json(result) if as_json else _print(result)
    if not found.clean:
        raise DeviceError(
            "the oracle found work lost, doubled, stale or wrong: a mistake of the lab's own, not of phones"
        )


def _print(result: dict[str, object]) -> None:
    made = table("what", "how much")
    for name, value in result.items():
        shown = ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else str(value)
        made.add_row(name.replace("_", " "), shown)
    print_table(made)
    click.echo(NOTE)
