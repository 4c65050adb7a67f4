"""What a phone's worker does with an order: the duties, as generators of what there is to tell the coordinator.

A worker is a thin loop around one phone: it takes an order, walks this generator, and tells what it yields under the
order's token. It stops when it is told that the lease no longer holds. Whoever walks it sends heartbeats meanwhile.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from devicelab.block import measure_reference, run_block
from devicelab.commands import Command, Done, Failed, Order, Read, Started
from devicelab.errors import DeviceError, HostError, RefusedError, WorkloadError
from devicelab.events import Duty
from devicelab.faults import Rung
from devicelab.gate import RULES, unfit
from devicelab.protocols import Clock, Driver

NOW = replace(RULES, wait_seconds=0.0)
"""A phone that is not fit is given back at once: the lab lets it rest, and another phone serves the request."""


def work(driver: Driver, order: Order, clock: Clock) -> Iterator[Command]:
    """Do the duty of *order* on the phone behind *driver*; yield what becomes of it, when it has."""
    try:
        yield from _DUTIES[order.duty](driver, order, clock)
    except (DeviceError, HostError) as error:
        yield failure(order.lease.device, order.lease.token, error)


def failure(device: str, token: int, error: DeviceError | HostError) -> Failed:
    """Return *error* as what is told about the duty under *token*."""
    reason = error.reason if isinstance(error, RefusedError) else ""
    return Failed(device, token, str(error), error.fault.id, reason=reason)


def _measure(driver: Driver, order: Order, clock: Clock) -> Iterator[Command]:
    device, token = order.lease.device, order.lease.token
    if order.workload is None:
        raise DeviceError(f"{device}: an order to measure names no network")
    yield Started(device, token)
    try:
        block = run_block(
            driver, order.workload, clock, NOW, calibration=order.calibration, threshold_ms=order.threshold_ms
        )
    except WorkloadError as error:
        yield Failed(device, token, str(error), workload=True)
    except (DeviceError, HostError) as error:
        yield failure(device, token, error)
    else:
        yield Read(device, token, block.reading, block.times)
    yield from _clean(driver, order, clock)


def _clean(driver: Driver, order: Order, _clock: Clock) -> Iterator[Command]:
    driver.unload()
    yield Done(order.lease.device, order.lease.token, driver.health())


def _calibrate(driver: Driver, order: Order, clock: Clock) -> Iterator[Command]:
    device, token = order.lease.device, order.lease.token
    driver.unload()
    health = driver.health()
    if unfit(health) is not None:
        yield Done(device, token, health)
        return
    factor, error = measure_reference(driver, clock)
    yield Done(device, token, driver.health(), factor, error)


def _recover(driver: Driver, order: Order, _clock: Clock) -> Iterator[Command]:
    driver.recover(Rung(order.rung))
    yield Done(order.lease.device, order.lease.token, driver.health())


_DUTIES: dict[Duty, Callable[[Driver, Order, Clock], Iterator[Command]]] = {
    "measure": _measure,
    "clean": _clean,
    "prepare": _clean,
    "watch": _clean,
    "calibrate": _calibrate,
    "recover": _recover,
}
