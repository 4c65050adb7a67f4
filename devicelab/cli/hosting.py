"""The command for computers with phones on their USB ports: ``agent``."""

import logging
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicelab.cli.remote import PATIENCE_SECONDS, service
from devicelab.cli.root import cli
from devicelab.client import URL_VARIABLE, LabClient, find_token
from devicelab.config import AppiumPhone, LabConfig
from devicelab.errors import ConfigError
from devicelab.protocols import SystemClock

if TYPE_CHECKING:
    from devicelab.agent.bus import Bus

APPIUM_PORT = 4723


@cli.command()
@click.option(
    "--lab",
    "lab_path",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The phones of this host: a lab.toml. Phones that are not in it are left alone.",
)
@service
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("agent"),
    show_default=True,
    help="Where networks, Appium's words and the registry of ports are kept.",
)
@click.option(
    "--appium-port",
    type=click.IntRange(1024, 65535),
    default=APPIUM_PORT,
    show_default=True,
    help="Where Appium listens on this host.",
)
def agent(*, lab_path: Path, url: str | None, token_file: Path | None, folder: Path, appium_port: int) -> None:
    """Let the phones on this computer's USB ports work for a lab's service elsewhere, until Ctrl-C.

    One for each computer with phones; it calls the service, so it needs no open port. It starts Appium, adb and a
    process for each phone, notices phones that come and go, and restarts what dies. The service calls this host by
    the name of its token: fer-lab token add shelf-1 --role agent.

    shelf.toml has a table for each phone, udid being what adb devices calls it: [[devices]] driver = "appium",
    name = "moto-1", udid = "ZY322ABCDE", a line for each key.

    Example: FER_LAB_TOKEN=... fer-lab agent --lab shelf.toml --url http://lab:8750
    """
    config = LabConfig.load(lab_path)
    if url is None:
        raise ConfigError(f"say where the lab's service is: --url http://host:8750, or set {URL_VARIABLE}")
    token = find_token(token_file)
    logging.getLogger("devicelab").setLevel(logging.INFO)
    try:
        with ExitStack() as stack:
            labs = [LabClient(url, token), LabClient(url, token, patience=PATIENCE_SECONDS)]
            _work(config, (stack.enter_context(labs[0]), stack.enter_context(labs[1])), folder, appium_port, stack)
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed; install fer-search[lab,appium]: make lab-tools") from None


def _work(
    config: LabConfig, labs: tuple[LabClient, LabClient], folder: Path, appium_port: int, stack: ExitStack
) -> None:
    """Run the agent of the phones in *config*; what it opens is closed with *stack*."""
    from devicelab.agent.locks import default_folder, locked
    from devicelab.agent.ports import remembered
    from devicelab.agent.station import Station

    for sign in (signal.SIGINT, signal.SIGTERM):  # until the station takes them: what was opened is closed
        stack.callback(signal.signal, sign, signal.signal(sign, signal.default_int_handler))
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    cabled = [phone for phone in config.devices if isinstance(phone, AppiumPhone)]
    stack.enter_context(locked((phone.udid for phone in cabled), default_folder()))
    ported = {phone.name: phone for phone in remembered(folder / "ports.json", cabled)}
    phones = tuple(ported.get(phone.name, phone) for phone in config.devices)
    bus = _bus(list(ported.values()), folder, appium_port, stack) if cabled else None
    station = Station(phones, labs, bus, SystemClock(), folder=models, heartbeat_seconds=config.heartbeat_seconds)
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: station.stop())
    click.echo(f"agent: {len(phones)} phones configured; Ctrl-C ends it", err=True)
    station.run()


def _bus(phones: list[AppiumPhone], folder: Path, appium_port: int, stack: ExitStack) -> "Bus":
    """Return adb and Appium, running."""
    from devicelab.agent.bus import Bus, one_adb_port
    from devicelab.toolbox import find_toolbox

    bus = Bus(find_toolbox(), SystemClock(), folder, appium_port=appium_port, adb_port=one_adb_port(phones))
    bus.open(phones)
    stack.callback(bus.close)
    return bus
