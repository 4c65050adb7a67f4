"""The embedded lab: coordinator, workers and phones in one process, for whoever wants a latency and no service."""

import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from uuid import uuid4

from devicelab import errors
from devicelab.commands import Answer, Enrolled, Open, Submit
from devicelab.config import LabConfig
from devicelab.coordinator import Coordinator
from devicelab.crew import Crew
from devicelab.device import Platform, Selector
from devicelab.draft import answer_key
from devicelab.drivers.opening import clock_for, open_drivers
from devicelab.engine import Engine
from devicelab.errors import DeviceError, NoDeviceError
from devicelab.events import BACKGROUND, NORMAL
from devicelab.graph import read_graph
from devicelab.lease import DeviceStatus, Lease
from devicelab.measurement import Measurement, Workload
from devicelab.protocols import Clock, Driver, VirtualClock
from devicelab.roofline import latency_ms
from devicelab.store import Store

ANY_DEVICE = Selector()
FINISH_SECONDS = 120.0
"""Virtual seconds that a lab which closes gives its phones to finish; the next opening cleans the rest."""


class Lab:
    """A lab of phones with its store; the only writer of that store while it is open.

    Safe to share between threads. Use as a context manager. A lab of simulated phones lives in
    a virtual time of its own, so it waits for nothing.

    Raises:
        StoreError: another process writes the store, or it cannot be used.
    """

    def __init__(self, config: LabConfig, store_path: Path, clock: Clock | None = None) -> None:
        self._mutex = threading.Lock()
        self._closed = False
        self._store = Store(store_path)
        self._drivers: dict[str, Driver] = {}
        try:
            self._coordinator = Coordinator(self._store, config.policy)
            self._runner = self._opened(config, clock or clock_for(config.devices))
            self._runner.tell(Open(enrolled(config, self._drivers)))
        except BaseException:
            self._release()
            raise

    def _opened(self, config: LabConfig, clock: Clock) -> Engine | Crew:
        start = max(clock.now(), self._coordinator.state.at)
        if isinstance(clock, VirtualClock):
            clocks = {device.name: VirtualClock(start) for device in config.devices}
            for device in config.devices:
                self._drivers |= open_drivers([device], clocks[device.name])
            return Engine(self._coordinator, self._drivers, clocks, start)
        self._drivers = open_drivers(config.devices, clock)
        return Crew(self._coordinator, self._drivers, clock)

    def close(self) -> None:
        """Let phones that are at work finish and be cleaned, then close the store. Closing again does nothing."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            latest = self._runner.now + FINISH_SECONDS
            try:
                while self._leases() and self._runner.now < latest:
                    self._runner.step()
                if isinstance(self._runner, Crew):
                    self._runner.close()
            finally:
                self._release()

    def _release(self) -> None:
        self._store.close()
        for driver in self._drivers.values():
            driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def devices(self) -> tuple[DeviceStatus, ...]:
        """Return the phones of this lab with their health and their leases, in the order of the configuration."""
        with self._mutex:
            return statuses(self._drivers.values(), self._leases(), self._runner.now)

    def _leases(self) -> list[Lease]:
        phones = list(self._coordinator.state.phones.values())
        return [phone.lease for phone in phones if phone.lease is not None]

    def measurements(self) -> tuple[Measurement, ...]:
        """Return everything this lab ever measured, oldest first."""
        with self._mutex:
            return self._store.measurements()

    def cached(
        self, workload: Workload, *, selector: Selector | None = None, threshold_ms: float | None = None
    ) -> Measurement | None:
        """Return the measurement of *workload* that the store has for a platform of *selector*, if any.

        One that was stopped early because it was clear of *threshold_ms* answers only that question.

        Raises:
            NoDeviceError: no phone of this lab matches *selector*.
        """
        platforms = self._platforms(selector or ANY_DEVICE)
        keys = [answer_key(workload, platform) for platform in platforms]
        if threshold_ms is not None:
            keys += [answer_key(workload, platform, threshold_ms) for platform in platforms]
        with self._mutex:
            found = (self._store.known(key) for key in keys)
            return next((measurement for measurement in found if measurement is not None), None)

    def measure(
        self,
        workload: Workload,
        *,
        selector: Selector | None = None,
        threshold_ms: float | None = None,
        search: str = "default",
        background: bool = False,
    ) -> Measurement:
        """Return the latency of *workload* on a phone that *selector* accepts: from the store if it is known.

        Otherwise blocks are run, each in a process of its own and the second on another phone if there is
        one, until two agree within 2 %; the answer is recorded before it is returned. Threads that ask the
        same share one measurement. *search* is who shares the phones with others; what is asked for in the
        *background* waits behind everybody's other requests, until it is old.

        Raises:
            NoDeviceError: no phone matches.
            DeviceError: too many blocks failed by a phone's fault, no two of five agreed, or no phone is left.
            WorkloadError: the network cannot run, or made phone after phone fail.
        """
        known = self.cached(workload, selector=selector, threshold_ms=threshold_ms)
        if known is not None:
            return known
        name = uuid4().hex
        command = Submit(
            name,
            workload,
            search,
            selector or ANY_DEVICE,
            priority=BACKGROUND if background else NORMAL,
            threshold_ms=threshold_ms,
            prior_ms=latency_ms(read_graph(workload.path).operators, threads=workload.threads),
        )
        with self._mutex:
            self._runner.tell(command)
        while True:
            with self._mutex:
                answer = self._runner.answers.pop(name, None)
                if answer is not None:
                    return result(answer)
                self._runner.step()

    def _platforms(self, selector: Selector) -> list[Platform]:
        devices = [driver.device for driver in self._drivers.values()]
        platforms = list(dict.fromkeys(device.platform for device in devices if selector.matches(device)))
        if not platforms:
            names = ", ".join(device.name for device in devices) or "no phones of its own"
            raise NoDeviceError(f"no device matches {selector}; this lab has {names}")
        return platforms


def result(answer: Answer) -> Measurement:
    """Return the measurement of *answer*.

    Raises:
        DeviceLabError: of the class that *answer* names, if it has none.
    """
    if answer.measurement is not None:
        return answer.measurement
    if answer.error == errors.RefusedError.__name__:
        raise errors.RefusedError(answer.message, cast("errors.Reason", answer.reason))
    raise getattr(errors, answer.error, DeviceError)(answer.message)


def enrolled(config: LabConfig, drivers: dict[str, Driver]) -> tuple[Enrolled, ...]:
    """Return the phones of *config* with the facts that their *drivers* tell."""
    return tuple(Enrolled(drivers[one.name].device, one.host, one.room) for one in config.devices)


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
