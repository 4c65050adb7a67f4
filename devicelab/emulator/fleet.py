"""Several emulated phones in one process, with their control channel."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from devicelab.emulator.clock import PhoneClock
from devicelab.emulator.control import Control
from devicelab.emulator.phone import EmulatedPhone, Phone
from devicelab.emulator.server import LOOPBACK, Cable
from devicelab.errors import ConfigError
from devicelab.protocols import Clock

SCANNED = range(5554, 5587)
"""Ports on which every adb server looks for emulators of its own; a phone there would be seen twice."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where phones listen (the first of them; 0 for any free ports) and where their control channel does."""

    first: int
    control: int

    def of(self, number: int) -> int:
        """Return the port of phone *number*, from 0 on."""
        return self.first + number if self.first else 0


def check_ports(ports: Ports, phones: int) -> None:
    """Check that *phones* phones fit.

    Raises:
        ConfigError: one would be where adb looks for emulators, on the control channel, or beyond the last port.
    """
    taken = [ports.of(number) for number in range(phones)]
    if any(port in SCANNED for port in taken):
        raise ConfigError(f"ports {taken[0]}-{taken[-1]}: adb scans 5554-5585 for emulators; choose 15000 or above")
    if ports.control and ports.control in taken:
        raise ConfigError(f"port {ports.control}: is a phone's; choose another control port")
    if taken[-1] > 65535:
        raise ConfigError(f"port {taken[-1]}: there are only 65535; choose a lower first port")


async def serve(
    phones: Sequence[EmulatedPhone],
    ports: Ports,
    clock: Clock,
    *,
    speed: float = 1.0,
    ready: Callable[[dict[str, Any]], None],
) -> None:
    """Switch *phones* on, tell *ready* where they are, and go on until cancelled.

    *speed* of the phones' seconds pass in one of *clock*.

    Raises:
        ConfigError: a port cannot be used.
    """
    check_ports(ports, len(phones))
    cables = {}
    for number, config in enumerate(phones):
        cables[config.serial] = Cable(Phone(config, PhoneClock(clock, speed)), ports.of(number))
    control = Control(cables)
    try:
        for cable in cables.values():
            await cable.plug()
        control_port = await control.listen(ports.control)
        listed = [{"serial": serial, "udid": f"{LOOPBACK}:{cable.port}"} for serial, cable in cables.items()]
        ready({"phones": listed, "control": control_port})
        await asyncio.Event().wait()
    except OSError as error:
        raise ConfigError(f"ports from {ports.first} on, control {ports.control}: {error.strerror}") from None
    finally:
        control.close()
        for cable in cables.values():
            cable.unplug()
            cable.phone.shut_down()
