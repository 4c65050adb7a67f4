"""From a lab's configuration to a desk that serves it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from devicelab.api import NAME
from devicelab.config import LabConfig, SimulatedPhone
from devicelab.coordinator import Coordinator, LabClock
from devicelab.drivers.opening import open_drivers
from devicelab.errors import ConfigError
from devicelab.events import Row
from devicelab.lab import enrolled
from devicelab.protocols import Clock, FastClock, SystemClock
from devicelab.service.labdesk import Lab, LabDesk
from devicelab.service.writer import Core
from devicelab.store import Store
from devicelab.workers import Workers


def desk_for(config: LabConfig, store_path: Path, speed: float = 1.0) -> LabDesk:
    """Return the desk of the lab *config* with its store at *store_path*; simulated phones live *speed* times as fast.

    So does the whole lab's time then; leases are made longer, so that a worker has as long as ever to say it lives.

    Raises:
        ConfigError: a phone's name cannot be part of an address, or real phones were asked to live faster.
        DeviceError, HostError: a phone behind adb does not answer.
    """
    _check(config, speed)
    clock: Clock = SystemClock() if speed == 1.0 else FastClock(speed)
    stretch = max(speed, 1.0)
    policy = config.policy
    policy = replace(
        policy,
        lease_seconds=policy.lease_seconds * stretch,
        heartbeat_seconds=policy.heartbeat_seconds * stretch,
    )
    drivers = open_drivers(config.devices, clock)
    crew = Workers(enrolled(config, drivers), drivers, clock, policy.heartbeat_seconds)

    def opened(listener: Callable[[Sequence[Row]], None]) -> Core:
        store = Store(store_path)
        try:
            coordinator = Coordinator(store, policy, listener)
        except BaseException:
            store.close()
            raise
        return Core(coordinator, LabClock(clock, coordinator.state.at).now, store.close)

    return LabDesk(Lab(crew, store_path, opened))


def _check(config: LabConfig, speed: float) -> None:
    for device in config.devices:
        if not re.fullmatch(NAME, device.name):
            raise ConfigError(f"device {device.name!r}: a service needs names of letters, digits and . _ : - only")
        if speed != 1.0 and not isinstance(device, SimulatedPhone):
            raise ConfigError(f"--speed {speed:g}: {device.name} is behind adb and lives in real time")
