"""One timed block on one phone: gate, load, canary, warm-up, timed runs, canary.

The protocol "two canaried blocks": a block is believed only if the phone was cool and unthrottled
before and after, and if a fixed reference workload (the canary) took the same time before and after it.
"""

import logging
import math
from dataclasses import dataclass
from statistics import mean, median

import numpy as np

from devicelab.device import Health
from devicelab.errors import DeviceError
from devicelab.estimation import LOOKS, Interval, median_interval, relative_error_of_median, settled
from devicelab.measurement import Burst, Reading, Workload
from devicelab.protocols import Clock, Driver

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of the protocol; a change needs a new name in ``devicelab.measurement.PROTOCOL``.

    The gate: battery temperature (Celsius) and charge (percent), and how long to wait for them, looking every
    ``poll_seconds``. The canary: its runs, how far it may be from a typical phone, and how far it may move
    during the block. The block: the precision at which it stops (half the interval over the median), and when
    it stops anyway.
    """

    max_temperature_c: float = 34.0
    min_battery_percent: float = 30.0
    poll_seconds: float = 30.0
    wait_seconds: float = 1200.0
    canary_runs: int = 20
    canary_reach: float = 0.15
    canary_drift: float = 0.03
    max_warmup_runs: int = 30
    max_warmup_seconds: float = 5.0
    precision: float = 0.02
    max_block_seconds: float = 60.0


RULES = Rules()


@dataclass(frozen=True, slots=True)
class TimedBlock:
    """A reading with the raw times behind it, in milliseconds."""

    reading: Reading
    times: tuple[float, ...]


def run_block(driver: Driver, workload: Workload, clock: Clock, rules: Rules = RULES) -> TimedBlock:
    """Run one block of *workload* on the phone behind *driver* and return what it read.

    Raises:
        DeviceError: the phone stays hot, empty or throttled, is disturbed, or answers nonsense.
        WorkloadError: the network cannot run on this phone.
    """
    started = clock.now()
    before = _wait_until_fit(driver, clock, rules)
    try:
        driver.load(workload)
        canary = _times(driver.reference(rules.canary_runs), rules.canary_runs)
        _check_canary(driver, canary, rules)
        first = _times(driver.run(1), 1)[0]
        warmup = _warm_up(driver, rules)
        times, interval = _time(driver, rules)
        canary_after = _times(driver.reference(rules.canary_runs), rules.canary_runs)
    finally:
        driver.unload()
    after = driver.health()
    _check_undisturbed(driver, (median(canary), median(canary_after)), after, rules)
    both = (relative_error_of_median(canary), relative_error_of_median(canary_after))
    return TimedBlock(
        reading=Reading(
            device=driver.device.name,
            median_ms=interval.value,
            low_ms=interval.low,
            high_ms=interval.high,
            p90_ms=float(np.quantile(times, 0.9)),
            first_ms=first,
            runs=len(times),
            warmup_runs=warmup + 1,
            canary_ms=(median(canary), median(canary_after)),
            factor=mean((median(canary), median(canary_after))) / driver.reference_ms,
            factor_error=math.hypot(*both) / 2,
            temperature_c=(before.temperature_c, after.temperature_c),
            battery_percent=before.battery_percent,
            frequency_mhz=before.frequency_mhz,
            started_at=started,
            seconds=clock.now() - started,
        ),
        times=times,
    )


def unfit(health: Health, rules: Rules = RULES) -> str:
    """Return why a phone in this *health* must not be measured now, or "" if it may."""
    if health.temperature_c > rules.max_temperature_c:
        return f"battery at {health.temperature_c:.1f} C, above {rules.max_temperature_c:g} C"
    if health.battery_percent < rules.min_battery_percent:
        return f"battery at {health.battery_percent:.0f} %, below {rules.min_battery_percent:g} %"
    if health.frequency_mhz is not None and health.frequency_mhz < health.nominal_mhz:
        return f"throttled to {health.frequency_mhz:g} of {health.nominal_mhz:g} MHz"
    return ""


def _wait_until_fit(driver: Driver, clock: Clock, rules: Rules) -> Health:
    deadline = clock.now() + rules.wait_seconds
    while reason := unfit(health := driver.health(), rules):
        if clock.now() >= deadline:
            raise DeviceError(f"{driver.device.name}: {reason}, for {rules.wait_seconds / 60:g} minutes")
        logger.info("%s: waiting: %s", driver.device.name, reason)
        clock.sleep(rules.poll_seconds)
    return health


def _times(burst: Burst, count: int) -> tuple[float, ...]:
    times = burst.times_ms
    if len(times) != count or not all(math.isfinite(time) and time > 0 for time in times):
        raise DeviceError(f"the phone answered {len(times)} times for {count} runs, or times that are not above 0")
    return times


def _check_canary(driver: Driver, canary: tuple[float, ...], rules: Rules) -> None:
    ratio = median(canary) / driver.reference_ms
    if abs(ratio - 1) > rules.canary_reach:
        raise DeviceError(f"{driver.device.name}: reference workload at {ratio:.2f} of a typical phone's time")


def _warm_up(driver: Driver, rules: Rules) -> int:
    """Run until times stop falling; return the number of runs."""
    times: list[float] = []
    while len(times) < rules.max_warmup_runs and sum(times) < 1e3 * rules.max_warmup_seconds and not settled(times):
        times.extend(_times(driver.run(1), 1))
    return len(times)


def _time(driver: Driver, rules: Rules) -> tuple[tuple[float, ...], Interval]:
    """Run until the median is known to ``rules.precision`` at one of the looks, or until the block is too long."""
    times: tuple[float, ...] = ()
    for look in LOOKS:
        times += _times(driver.run(look - len(times)), look - len(times))
        interval = median_interval(times)
        if interval.precision <= rules.precision or sum(times) >= 1e3 * rules.max_block_seconds:
            break
    return times, interval


def _check_undisturbed(driver: Driver, canary: tuple[float, float], after: Health, rules: Rules) -> None:
    drift = canary[1] / canary[0] - 1
    if abs(drift) > rules.canary_drift:
        raise DeviceError(f"{driver.device.name}: reference workload moved by {drift:+.1%} during the block")
    if after.frequency_mhz is not None and after.frequency_mhz < after.nominal_mhz:
        raise DeviceError(f"{driver.device.name}: throttled to {after.frequency_mhz:g} MHz during the block")
