"""``doctor``: whether this host could measure on phones, and what to do if not."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from devicelab.cli.printing import print_json, print_table, table
from devicelab.cli.root import as_json, cli, lab
from devicelab.config import AppiumPhone, LabConfig
from devicelab.device import Health
from devicelab.drivers.opening import with_ports
from devicelab.errors import ConfigError, DeviceLabError
from devicelab.gate import unfit
from devicelab.protocols import SystemClock

if TYPE_CHECKING:
    from devicelab.drivers.appium.checks import Check


@cli.command()
@lab
@click.option("--measure/--no-measure", default=True, help="Also open a session on each phone and measure one network.")
@as_json
def doctor(*, lab_path: Path | None, measure: bool, as_json: bool) -> None:
    """Check every piece between this host and a phone's latency; name the fix for each that is not right.

    Node.js, Appium, its Android driver, adb, ports, phones; then, for each phone of the lab that is behind adb, what it
    is, how it feels and the time of the reference network. Exit code 1 if anything is not right.

    Example: fer-lab doctor --lab lab.toml
    """
    config = LabConfig.load(lab_path) if lab_path else LabConfig.simulated()
    phones = [phone for phone in with_ports(config.devices) if isinstance(phone, AppiumPhone)]
    try:
        checks = list(_checks(phones, measure=measure))
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed; install fer-search[appium]: make lab-tools") from None
    wrong = sum(not check.right for check in checks)
    if as_json:
        print_json([check.model_dump(mode="json") for check in checks])
    else:
        shown = table("", "what", "found", "what to do")
        for check in checks:
            shown.add_row("ok" if check.right else "!!", *map(escape, (check.what, check.found, check.fix)))
        print_table(shown)
    if wrong:
        raise DeviceLabError(f"{wrong} of {len(checks)} checks need a hand")


def _checks(phones: list[AppiumPhone], *, measure: bool) -> Iterator["Check"]:
    """Yield all checks, stopping where the rest could only repeat the failure."""
    from devicelab.drivers.appium import checks
    from devicelab.drivers.appium.server import AppiumServer
    from devicelab.toolbox import find_toolbox

    tools = checks.check_tools()
    yield from tools
    if not all(check.right for check in tools):
        return
    server = AppiumServer(find_toolbox(), SystemClock(), Path(tempfile.mkdtemp(prefix="fer-lab-")))
    server.acquire()
    try:
        for port in sorted({phone.adb_port for phone in phones} or {5037}):
            there = [phone for phone in phones if phone.adb_port == port]
            found = [*checks.check_phones(server.adb(port), there), *checks.check_ports(there)]
            yield from found
            ready = {check.what for check in found if check.right}
            for phone in there:
                if measure and f"{phone.name} ({phone.udid})" in ready:
                    yield from checks.check_measuring(phone, server, SystemClock(), _unfit)
    finally:
        server.release()


def _unfit(health: Health) -> str:
    problem = unfit(health)
    return "" if problem is None else problem.text
