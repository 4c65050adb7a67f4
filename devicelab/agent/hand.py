"""The process that speaks to one phone: it holds the phone's driver and does what it is told to, call by call.

    python -m devicelab.agent.hand CALLS LIFE

*CALLS* and *LIFE* are file descriptors. On the first come an ``Opening`` and then (verb, arguments), each answered by
(True, result) or (False, error). The second is a pipe that the agent holds and never writes to: its end, which comes
however the agent died, ends this process at once, whatever the phone is at.
"""

import os
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from devicelab.config import AppiumPhone, PhoneConfig
from devicelab.drivers.appium.sharing import SharedServer
from devicelab.drivers.simulator import SimulatedDriver
from devicelab.errors import ConfigError, DeviceError, HostError, WorkloadError
from devicelab.protocols import Driver, SystemClock, VirtualClock

VERBS = frozenset({"health", "load", "reference", "run", "unload", "recover"})


@dataclass(frozen=True, slots=True)
class Opening:
    """The phone, and the host's server if it is one behind Appium."""

    phone: PhoneConfig
    server: SharedServer | None = None


def opened(opening: Opening) -> Driver:
    """Return the driver of the phone.

    Raises:
        DeviceError, HostError: it does not answer.
        ConfigError: it is behind Appium, and no server was named.
    """
    phone = opening.phone
    if not isinstance(phone, AppiumPhone):
        clock = SystemClock()
        return SimulatedDriver(phone, VirtualClock(clock.now()))
    if opening.server is None:
        raise ConfigError(f"{phone.name}: is behind Appium, and no server was named")
    from devicelab.drivers.appium.driver import AppiumDriver  # the extra [appium]

    return AppiumDriver(phone, opening.server, SystemClock())


def serve(calls: "Connection[Any, Any]") -> None:
    """Open the driver that the first message asks for and do what the others say, until there are no more."""
    try:
        driver = opened(calls.recv())
    except (DeviceError, HostError, ConfigError) as error:
        calls.send((False, error))
        return
    calls.send((True, (driver.device, driver.reference_ms)))
    try:
        while True:
            verb, arguments = calls.recv()
            calls.send(_answer(driver, verb, arguments))
    except EOFError:
        driver.close()


def _answer(driver: Driver, verb: str, arguments: tuple[Any, ...]) -> tuple[bool, object]:
    if verb not in VERBS:
        raise ValueError(f"no driver does {verb!r}")
    try:
        return True, getattr(driver, verb)(*arguments)
    except (DeviceError, HostError, WorkloadError) as error:
        return False, error


def _end_with(life: int) -> None:
    """Wait until the other end of *life* is closed, and end this process."""
    os.read(life, 1)
    os._exit(1)


def main() -> None:
    """Serve the agent that started this process."""
    calls, life = int(sys.argv[1]), int(sys.argv[2])
    for descriptor in (calls, life):
        os.set_inheritable(descriptor, False)  # adb's server, which a call may start, must not keep them open
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    serve(Connection(calls))


if __name__ == "__main__":
    main()
