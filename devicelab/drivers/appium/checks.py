"""What ``fer-lab doctor`` looks at: every piece between this host and a latency, each with the fix it needs."""

import subprocess
from collections.abc import Callable, Iterator, Sequence

from devicelab.config import AppiumPhone
from devicelab.device import Health, Value
from devicelab.drivers.appium.adb import Adb, AdbError
from devicelab.drivers.appium.driver import AppiumDriver
from devicelab.drivers.appium.server import AppiumServer, port_is_free
from devicelab.errors import ConfigError, DeviceLabError
from devicelab.protocols import Clock
from devicelab.toolbox import (
    ADB_AT_LEAST,
    FIX,
    adb_version,
    bundled_adb,
    default_home,
    find_node,
    installed_version,
    pinned_versions,
)

RUNBOOK = "docs/real-phones.md"
REFERENCE_RUNS = 20
FAR = 0.15
"""How far the reference network may be from a typical phone's time, as the protocol's canary."""
STATES = {
    "unauthorized": "allow USB debugging on the phone's screen, with 'always allow from this computer'",
    "offline": "unplug the cable, plug it in again; if it stays, restart the phone",
    "no permissions": "let this user open USB devices: a udev rule for the phone's vendor, then plug in again",
    "": "plug it in and switch USB debugging on, or start the emulator; adb devices must list it",
}


class Check(Value):
    """One thing that was looked at: what, whether it is right, what was found, and the fix ("" if none is needed)."""

    what: str
    right: bool
    found: str
    fix: str = ""


def _check(what: str, right: bool, found: str, fix: str) -> Check:
    return Check(what=what, right=right, found=found, fix="" if right else fix)


def check_tools() -> list[Check]:
    """Return the checks of what ``make lab-tools`` installs."""
    home = default_home()
    try:
        node = str(find_node())
    except ConfigError as error:
        node = str(error)
    checks = [_check("Node.js", node.startswith("/"), node, "install fer-search[appium], which brings one")]
    for package, wanted in pinned_versions().items():
        found = installed_version(home, package)
        checks.append(_check(package, found == wanted, found or "not there", f"{FIX} (installs {wanted})"))
    path = home / "sdk" / "platform-tools" / "adb"
    version = adb_version(path)
    recent = version.partition(".")[0].isdigit() and int(version.partition(".")[0]) >= ADB_AT_LEAST
    checks.append(_check("adb", recent, version or f"{path}: does not run", f"{FIX} (adb {ADB_AT_LEAST} or newer)"))
    bundled = bundled_adb()
    checks.append(_check("adb's source", bundled is not None, str(bundled), "install fer-search[appium] (adbutils)"))
    return checks


def check_phones(adb: Adb, phones: Sequence[AppiumPhone]) -> list[Check]:
    """Return the checks of adb's server and of what it says about *phones*, and which phones nobody configured."""
    try:
        adb.start_server()
        for phone in phones:
            _quietly(adb, phone)
        seen = adb.devices()
    except (AdbError, OSError, subprocess.TimeoutExpired) as error:
        fix = f"another adb on port {adb.port}? End it with: adb -P {adb.port} kill-server"
        return [_check(f"adb server, port {adb.port}", False, str(error), fix)]
    checks = [_check(f"adb server, port {adb.port}", True, f"{len(seen)} phones", "")]
    for phone in phones:
        state = seen.get(phone.udid, "")
        known = (fix for name, fix in STATES.items() if state.startswith(name) and bool(state) == bool(name))
        fix = next(known, f"adb says {state!r}; see {RUNBOOK}")
        checks.append(_check(f"{phone.name} ({phone.udid})", state == "device", state or "not there", fix))
    strangers = [udid for udid in seen if udid not in {phone.udid for phone in phones}]
    return checks + [_check(udid, True, f"{seen[udid]}; not in the lab's configuration", "") for udid in strangers]


def check_ports(phones: Sequence[AppiumPhone]) -> list[Check]:
    """Return the checks of the ports that *phones* need on this host."""
    fix = "end who listens there (ss -ltnp), or give the phone another system_port"
    return [
        _check(f"port {phone.system_port}", free, "free" if free else "taken", fix)
        for phone in phones
        if phone.system_port
        for free in [port_is_free(phone.system_port)]
    ]


def check_measuring(
    phone: AppiumPhone, server: AppiumServer, clock: Clock, unfit: Callable[[Health], str]
) -> Iterator[Check]:
    """Yield the checks of *phone* itself: what it is, how it feels, and one measurement of the reference network.

    *unfit* tells why a phone in some health must not be measured, or "". The first failure is the last check.
    """
    try:
        driver = AppiumDriver(phone, server, clock)
    except DeviceLabError as error:
        yield _check(f"{phone.name}: benchmark", False, str(error), f"install app or binary: {RUNBOOK}")
        return
    try:
        yield from _measure(driver, unfit)
    except DeviceLabError as error:
        yield _check(f"{phone.name}: Appium session", False, str(error), f"its words are in {server.log}; {RUNBOOK}")
    finally:
        driver.close()


def _measure(driver: AppiumDriver, unfit: Callable[[Health], str]) -> Iterator[Check]:
    name, platform = driver.device.name, driver.device.platform
    yield _check(f"{name}: identity", True, f"{platform.product}, {platform.os_build} ({platform.source})", "")
    yield _check(f"{name}: benchmark", True, platform.runtime, "")
    health = driver.health()
    reason = unfit(health) or ("" if health.screen_on is not False else "the screen is off")
    feels = f"{health.temperature_c:g} C, {health.battery_percent:.0f} %, battery {health.battery_health}"
    yield _check(f"{name}: health", not reason, reason or feels, "let it cool, charge it, wake it; then look again")
    burst = driver.reference(REFERENCE_RUNS)
    ratio = burst.typical_ms / driver.reference_ms
    found = f"{burst.typical_ms:.2f} ms ({platform.source}), {ratio:.2f} of a typical phone's {driver.reference_ms:.2f}"
    fix = f"on the first day set reference_ms in lab.toml ({RUNBOOK}); later: it is throttled or disturbed"
    yield _check(f"{name}: reference network", abs(ratio - 1) <= FAR, found, fix)


def _quietly(adb: Adb, phone: AppiumPhone) -> None:
    try:
        adb.connect(phone.udid)
    except AdbError:
        return
