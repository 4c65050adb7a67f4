"""From a configured phone to its driver, whatever kind it is."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from devicelab.config import AppiumPhone, PhoneConfig, SimulatedPhone
from devicelab.drivers.simulator import SimulatedDriver
from devicelab.protocols import Clock, Driver, SystemClock, VirtualClock

FIRST_SYSTEM_PORT = 8200


def clock_for(phones: Iterable[PhoneConfig]) -> Clock:
    """Return real time if one of *phones* is more than arithmetic, else a time that passes at once."""
    real = SystemClock()
    return real if any(isinstance(phone, AppiumPhone) for phone in phones) else VirtualClock(real.now())


def open_drivers(phones: Iterable[PhoneConfig], clock: Clock) -> dict[str, Driver]:
    """Return {name: driver} of *phones*; those behind Appium share one server, which ends with the last of them.

    Raises:
        ConfigError: Appium, its driver or adb is not installed here.
        DeviceError, HostError: a phone behind adb does not answer; those opened before it are closed.
    """
    phones = with_ports(phones)
    drivers: dict[str, Driver] = {
        phone.name: SimulatedDriver(phone, clock) for phone in phones if isinstance(phone, SimulatedPhone)
    }
    cabled = [phone for phone in phones if isinstance(phone, AppiumPhone)]
    if cabled:
        drivers |= _open_cabled(cabled, clock)
    return {phone.name: drivers[phone.name] for phone in phones}


def with_ports(phones: Iterable[PhoneConfig]) -> list[PhoneConfig]:
    """Return *phones*, those behind Appium with a port each: the configured one, or 8200 plus their place."""
    return [
        phone.model_copy(update={"system_port": phone.system_port or FIRST_SYSTEM_PORT + place})
        if isinstance(phone, AppiumPhone)
        else phone
        for place, phone in enumerate(phones)
    ]


def _open_cabled(phones: list[AppiumPhone], clock: Clock) -> dict[str, Driver]:
    from devicelab.drivers.appium.driver import AppiumDriver  # the extra [appium]; only labs of phones have it
    from devicelab.drivers.appium.server import AppiumServer
    from devicelab.toolbox import find_toolbox

    server = AppiumServer(find_toolbox(), clock, Path(tempfile.mkdtemp(prefix="fer-lab-")))
    drivers: dict[str, Driver] = {}
    server.acquire()
    try:
        for phone in phones:
            drivers[phone.name] = AppiumDriver(phone, server, clock)
    except BaseException:
        for driver in drivers.values():
            driver.close()
        raise
    finally:
        server.release()
    return drivers
