"""Commands to rehearse without phones: ``emulate`` and ``fault``."""

import asyncio
import json
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, get_args

import click

from devicelab.cli.printing import print_json, print_table, table
from devicelab.cli.root import as_json, cli
from devicelab.config import NoiseName, SimulatedPhone
from devicelab.emulator.benchmarktext import Dialect
from devicelab.emulator.control import ask
from devicelab.emulator.faults import FAULTS, WHENS
from devicelab.emulator.fleet import Ports, serve
from devicelab.emulator.phone import EmulatedPhone
from devicelab.emulator.properties import SDK, Android
from devicelab.protocols import SystemClock

CONTROL_PORT = 15500
_control = click.option(
    "--control-port",
    type=click.IntRange(0, 65535),
    default=CONTROL_PORT,
    show_default=True,
    help="Where faults are ordered.",
)


@cli.command()
@click.option("--phones", type=click.IntRange(1, 50), default=2, show_default=True, help="How many.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=15555,
    show_default=True,
    help="The first phone's port; the next ones follow. 0 takes any free ports.",
)
@_control
@click.option(
    "--android",
    type=click.Choice(list(SDK)),
    default="9",
    show_default=True,
    help="The system that they seem to run.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="How many of the phones' seconds pass in one of yours.",
)
@click.option(
    "--noise", type=click.Choice(get_args(NoiseName)), default="quiet", show_default=True, help="How restless they are."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws each phone's character.")
@click.option(
    "--tool",
    type=click.Choice(get_args(Dialect)),
    default="litert",
    show_default=True,
    help="The release of the benchmark that is installed on them.",
)
@as_json
def emulate(
    *,
    phones: int,
    port: int,
    control_port: int,
    android: Android,
    speed: float,
    noise: NoiseName,
    seed: int,
    tool: Dialect,
    as_json: bool,
) -> None:
    """Run Moto G6 made of software for adb and Appium, until Ctrl-C, to rehearse a lab without phones.

    They behave like phones from the cable up, in all that the lab uses, and always say that they are simulated.

    Example: fer-lab emulate --phones 2, then: adb connect 127.0.0.1:15555
    """
    configs = [
        EmulatedPhone(
            serial=f"ZY3220{number:04d}",
            android=android,
            dialect=tool,
            character=SimulatedPhone(name=f"moto-g6-{number}", seed=seed, noise=noise),
        )
        for number in range(1, phones + 1)
    ]

    def ready(where: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps(where))
            return
        for phone in where["phones"]:
            click.echo(f"{phone['serial']}: adb connect {phone['udid']}")
        click.echo(f"faults: fer-lab fault drop --control-port {where['control']}; Ctrl-C ends")

    asyncio.run(_until_told(serve(configs, Ports(port, control_port), SystemClock(), speed=speed, ready=ready)))


@cli.command()
@click.argument("what", metavar="FAULT", type=click.Choice([*FAULTS, "list", "state"]))
@click.option("--phone", metavar="SERIAL", default="", help="Which phone; the first by default.")
@click.option("--when", type=click.Choice(WHENS), default="now", show_default=True, help="At once, or later.")
@_control
@as_json
def fault(*, what: str, phone: str, when: str, control_port: int, as_json: bool) -> None:
    """Let something go wrong on an emulated phone: a FAULT, or "list" for all of them, or "state" for how they are.

    Example: fer-lab fault unplug --phone ZY32200001 --when run
    """
    if what == "list":
        _print_faults(as_json=as_json)
        return
    answer = ask(control_port, do=what, phone=phone, when=when)
    found = answer["phones"] if what == "state" else [answer["phone"]]
    if as_json:
        print_json(found)
        return
    made = table("phone", "udid", "plugged", "battery", "armed", "happened", "unknown commands")
    for state in found:
        battery = f"{state['battery_percent']:.0f} % {state['temperature_c']:.0f} C"
        lists = [", ".join(state[name]) for name in ("armed", "happened", "unknown")]
        made.add_row(state["serial"], state["udid"], "yes" if state["plugged"] else "no", battery, *lists)
    print_table(made)


def _print_faults(*, as_json: bool) -> None:
    if as_json:
        print_json(dict(FAULTS))
        return
    made = table("fault", "what it does")
    for name, meaning in FAULTS.items():
        made.add_row(name, meaning)
    print_table(made)


async def _until_told(work: Coroutine[None, None, None]) -> None:
    """Run *work* until it ends or this process is told to end."""
    task = asyncio.ensure_future(work)
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
