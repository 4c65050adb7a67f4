"""The lab: lease a phone, run, record, release. The place where drivers, store and statistics meet."""

import logging
import os
import socket
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from devicelab.block import run_block
from devicelab.config import LabConfig
from devicelab.device import Platform, Selector
from devicelab.drivers.opening import clock_for, open_drivers
from devicelab.errors import DeviceError, NoDeviceError
from devicelab.graph import read_graph
from devicelab.lease import DeviceStatus, Lease, allocate
from devicelab.measurement import PROTOCOL, Measurement, Reading, Workload
from devicelab.protocols import Clock, Driver
from devicelab.roofline import latency_ms
from devicelab.store import Store
from devicelab.verdict import Again, judge, measurement_of

logger = logging.getLogger(__name__)

ANY_DEVICE = Selector()


class Lab:
    """A lab of phones with its store; the only writer of that store while it is open.

    Not thread-safe: one process, one thread. Use as a context manager. A lab of simulated phones lives in
    a virtual time of its own, so it waits for nothing.

    Raises:
        StoreError: another process writes the store, or it cannot be used.
    """

    def __init__(self, config: LabConfig, store_path: Path, clock: Clock | None = None) -> None:
        self._clock = clock or clock_for(config.devices)
        self._drivers = open_drivers(config.devices, self._clock)
        self._lease_seconds = config.lease_seconds
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._store = Store(store_path)
        self._store.end_orphans(self._clock.now())
        self._store.see([driver.device for driver in self._drivers.values()], self._clock.now())

    def close(self) -> None:
        """Close the store and let go of the phones."""
        self._store.close()
        for driver in self._drivers.values():
            driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def devices(self) -> tuple[DeviceStatus, ...]:
        """Return the phones of this lab with their health and their leases, in the order of the configuration."""
        return statuses(self._drivers.values(), self._store.leases(), self._clock.now())

    def measurements(self) -> tuple[Measurement, ...]:
        """Return everything this lab ever measured, oldest first."""
        return self._store.measurements()

    def cached(self, workload: Workload, *, selector: Selector | None = None) -> Measurement | None:
        """Return the measurement of *workload* that the store has for a platform of *selector*, if any.

        Raises:
            NoDeviceError: no phone of this lab matches *selector*.
        """
        found = (self._store.find(workload, platform, PROTOCOL) for platform in self._platforms(selector))
        return next((measurement for measurement in found if measurement is not None), None)

    def measure(self, workload: Workload, *, selector: Selector | None = None) -> Measurement:
        """Return the latency of *workload* on a phone that *selector* accepts: from the store if it is known.

        Otherwise blocks are run, each in a process of its own on the coolest idle phone that was used
        least, until two agree within 2 %; the answer is recorded before it is returned.

        Raises:
            NoDeviceError: no phone matches, or none of them is idle.
            DeviceError: too many blocks failed, or no two of five agreed (``RefusedError``).
            WorkloadError: the network cannot run; no other phone of this platform would help.
        """
        known = self.cached(workload, selector=selector)
        if known is not None:
            return known
        platform = self._platforms(selector)[0]
        selector = (selector or ANY_DEVICE).model_copy(
            update={"product": platform.product, "os_build": platform.os_build}
        )
        return self._measure(workload, platform, selector)

    def _platforms(self, selector: Selector | None) -> list[Platform]:
        selector = selector or ANY_DEVICE
        devices = [driver.device for driver in self._drivers.values()]
        platforms = list(dict.fromkeys(device.platform for device in devices if selector.matches(device)))
        if not platforms:
            names = ", ".join(device.name for device in devices)
            raise NoDeviceError(f"no device matches {selector}; this lab has {names}")
        return platforms

    def _measure(self, workload: Workload, platform: Platform, selector: Selector) -> Measurement:
        used: Counter[str] = Counter()
        readings: list[Reading] = []
        identities: list[int] = []
        failures: list[DeviceError] = []
        started = self._clock.now()
        alone = sum(selector.matches(driver.device) for driver in self._drivers.values()) < 2
        prior = latency_ms(read_graph(workload.path).operators, threads=workload.threads)
        while isinstance(decision := judge(readings, failures, prior_ms=prior, alone=alone), Again):
            lease = self._acquire(selector, used)
            used[lease.device] += 1
            try:
                identity, reading = self._block(lease, workload)
            except DeviceError as error:
                logger.info("block failed, trying another phone: %s", error)
                failures.append(error)
            else:
                readings.append(reading)
                identities.append(identity)
        now = self._clock.now()
        measurement = measurement_of(
            workload, platform, readings, decision, phone_seconds=now - started, now=now, prior_ms=prior
        )
        self._store.record(measurement, identities)
        return measurement

    def _acquire(self, selector: Selector, used: Counter[str]) -> Lease:
        device = allocate(self.devices(), selector, used)
        if device is None:
            raise NoDeviceError(f"every device that matches {selector} is leased; see: fer-lab leases")
        return self._store.grant(device.name, self._holder, self._clock.now(), self._lease_seconds)

    def _block(self, lease: Lease, workload: Workload) -> tuple[int, Reading]:
        """Run one block under *lease*, keep its reading, and release the phone whatever happens."""
        why = "failed"
        try:
            block = run_block(self._drivers[lease.device], workload, self._clock)
            identity = self._store.add_reading(lease, workload, block.reading, block.times, self._clock.now())
            why = "released"
            return identity, block.reading
        finally:
            self._store.end(lease, self._clock.now(), why)


def statuses(drivers: Iterable[Driver], leases: Iterable[Lease], now: float) -> tuple[DeviceStatus, ...]:
    """Return each driver's device with its health and the lease that holds at *now*."""
    held = {lease.device: lease for lease in leases if lease.holds_at(now)}
    return tuple(
        DeviceStatus(device=driver.device, health=driver.health(), lease=held.get(driver.device.name))
        for driver in drivers
    )


def survey(config: LabConfig, store_path: Path) -> tuple[DeviceStatus, ...]:
    """Return the devices of a lab without opening it for writing: another process may be using it."""
    clock = clock_for(config.devices)
    leases: tuple[Lease, ...] = ()
    if store_path.exists():
        with Store(store_path, readonly=True) as store:
            leases = store.leases()
    drivers = open_drivers(config.devices, clock)
    try:
        return statuses(drivers.values(), leases, clock.now())
    finally:
        for driver in drivers.values():
            driver.close()
