"""One timed block on one phone: gate, load, canary, warm-up, timed runs, canary, and a look at the phone after it.

The protocol "two canaried blocks": a block is believed only if the phone was cool and unthrottled before and
after, if a fixed reference workload (the canary) took the time this phone's calibration says before it
and the same after it, and if nothing disturbed the runs between.

``block`` is the protocol as a decision core: a generator that yields what is to be done next and is sent what came
of it (``devicelab.actions``). ``run_block`` is the loop that does it on a driver. ``reference`` and
``measure_reference`` are the same pair for the reference that gives a phone its factor.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from devicelab.actions import Load, Look, Reference, Run, Steps, Wait, burst_of, expect, perform
from devicelab.bursts import burst_error, interval_of, time_bursts
from devicelab.device import Device, Health
from devicelab.errors import RefusedError
from devicelab.estimation import (
    LOOKS,
    NORMAL_99,
    Block,
    Interval,
    agreeing,
    clears,
    median_interval,
    relative_error_of_median,
    settled,
    spread,
    spread_below,
    stretch_apart,
    weighted,
)
from devicelab.faults import FAULTS
from devicelab.gate import RULES, Rules, check_after, unfit
from devicelab.measurement import Burst, Reading, Workload
from devicelab.normalisation import Calibration
from devicelab.protocols import Clock, Driver

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TimedBlock:
    """A reading with the values behind it, in milliseconds: single runs, or medians of bursts where there are none."""

    reading: Reading
    times: tuple[float, ...]


def run_block(
    driver: Driver,
    workload: Workload,
    clock: Clock,
    rules: Rules = RULES,
    *,
    calibration: Calibration | None = None,
    threshold_ms: float | None = None,
    between: Callable[[], None] | None = None,
) -> TimedBlock:
    """Run one block of *workload* on the phone behind *driver* and return what it read; then clean up.

    *between* is called before every action: a heartbeat that may raise to stop.

    Raises:
        DeviceError: the phone fails, or (``RefusedError``) what it answers is not believed, or it cannot be cleaned up.
        HostError: nothing of the host answers.
        WorkloadError: the network cannot run on this phone.
    """
    steps = block(
        driver.device, workload, driver.reference_ms, rules, calibration=calibration, threshold_ms=threshold_ms
    )
    try:
        return _drive(driver, steps, clock, between)
    finally:
        driver.unload()


def measure_reference(
    driver: Driver, clock: Clock, rules: Rules = RULES, *, between: Callable[[], None] | None = None
) -> tuple[float, float]:
    """Measure the reference on the phone behind *driver*, which has nothing loaded; see ``reference``.

    Raises:
        DeviceError: the phone fails, or (``RefusedError``) stays unfit.
        HostError: nothing of the host answers.
    """
    return _drive(driver, reference(driver.device, driver.reference_ms, rules), clock, between)


def _drive[Result](driver: Driver, steps: Steps[Result], clock: Clock, between: Callable[[], None] | None) -> Result:
    try:
        action = next(steps)
        while True:
            if between is not None:
                between()
            action = steps.send(perform(driver, action, clock))
    except StopIteration as finished:
        result: Result = finished.value
        return result
    finally:
        steps.close()


def reference(device: Device, reference_ms: float, rules: Rules = RULES) -> Steps[tuple[float, float]]:
    """Yield the actions of one reference of *device*; return its time over a typical phone's, and the relative error.

    Three processes are far enough apart that no background work of some seconds slows two of them; those within 2 %
    of their median count.

    The error is that of their runs; the spread between process starts comes on top (``normalisation.Schedule``).
    ``devicelab.normalisation.calibrated`` takes both.

    Raises:
        RefusedError: the phone stays unfit, restarted, was throttled, or is far from a typical one.
    """
    _, before = yield from _fit(device, rules)
    bursts: list[Burst] = []
    while len(bursts) < rules.reference_bursts or (group := agreeing([one.typical_ms for one in bursts])) is None:
        if len(bursts) == rules.reference_tries:
            raise RefusedError(f"{device.name}: no two of {len(bursts)} references agree", "restless", FAULTS["F27"])
        if bursts:
            yield Wait(rules.reference_wait_seconds)
        bursts.append(burst_of(device.name, (yield Reference(rules.reference_runs)), rules.reference_runs))
    after = expect(Health, (yield Look()))
    check_after(device.name, before, after, (1.0, 1.0), rules)
    used = [bursts[index] for index in group]
    ratio = fmean(burst.typical_ms for burst in used) / reference_ms
    if abs(ratio - 1) > rules.canary_reach:
        text = f"{device.name}: reference workload at {ratio:.3f} of a typical phone's time"
        raise RefusedError(text, "canary", FAULTS["F19"])
    return ratio, math.hypot(*(_canary_error(burst) for burst in used)) / len(used)


def block(
    device: Device,
    workload: Workload,
    reference_ms: float,
    rules: Rules = RULES,
    *,
    calibration: Calibration | None = None,
    threshold_ms: float | None = None,
) -> Steps[TimedBlock]:
    """Yield the actions of one block of *workload* on *device* and return what it read.

    With *calibration* the canary must be where the phone's calibration puts it; without, within a wide reach
    of *reference_ms*. With *threshold_ms* timing ends as soon as it is sure on which side the latency is.

    Raises:
        RefusedError: the phone stays unfit, or what it answers is not believed; ``reason`` says why.
    """
    started, before = yield from _fit(device, rules)
    yield Load(workload)
    canary = yield from _canary(device, reference_ms, calibration, rules)
    factor = _factor([canary], reference_ms, calibration)
    warm, timed = yield from _timed(device, factor, threshold_ms, rules, summaries=not canary.times_ms)
    canary_after = yield from _canary_after(device, canary, timed, rules)
    end = yield Look()
    after = expect(Health, end)
    check_after(device.name, before, after, (canary.typical_ms, canary_after.typical_ms), rules)
    scatter = _scatter([canary, *timed, canary_after])
    if scatter > rules.max_spread:
        raise RefusedError(
            f"{device.name}: single runs scatter by {scatter:.1%}, above {rules.max_spread:.1%}",
            "restless",
            FAULTS["F27"],
        )
    seen = _Seen((started, end.now), (before, after), (canary, canary_after), warm, timed)
    return _reading(device, seen, _factor([canary, canary_after], reference_ms, calibration), scatter)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a block saw: from when to when, the phone and the canary before and after, and the bursts between."""

    at: tuple[float, float]
    health: tuple[Health, Health]
    canary: tuple[Burst, Burst]
    warm: list[Burst]
    timed: list[Burst]


def _reading(device: Device, seen: _Seen, factor: tuple[float, float], scatter: float) -> TimedBlock:
    interval, times = _interval(seen.timed), _values(seen.timed)
    before, after = seen.health
    first = (seen.warm or seen.timed)[0]
    return TimedBlock(
        reading=Reading(
            device=device.name,
            median_ms=interval.value,
            low_ms=interval.low,
            high_ms=interval.high,
            p90_ms=float(np.quantile(times, 0.9)) if seen.timed[0].times_ms else None,
            first_ms=first.first_ms or first.max_ms,
            runs=sum(burst.runs for burst in seen.timed),
            warmup_runs=sum(burst.runs for burst in seen.warm),
            canary_ms=(seen.canary[0].typical_ms, seen.canary[1].typical_ms),
            factor=factor[0],
            factor_error=factor[1],
            temperature_c=(before.temperature_c, after.temperature_c),
            battery_percent=before.battery_percent,
            frequency_mhz=before.frequency_mhz,
            started_at=seen.at[0],
            seconds=seen.at[1] - seen.at[0],
            spread=scatter,
            bursts=len(seen.timed),
            boot_id=before.boot_id,
            load1=before.load1,
        ),
        times=times,
    )


def _fit(device: Device, rules: Rules) -> Steps[tuple[float, Health]]:
    """Wait until the phone may be measured; return since when it was asked, and its health."""
    started: float | None = None
    while True:
        outcome = yield Look()
        health = expect(Health, outcome)
        started = outcome.now if started is None else started
        problem = unfit(health, rules)
        if problem is None:
            return started, health
        waited = outcome.now - started
        if not problem.passes or waited >= rules.wait_seconds:
            since = f", for {rules.wait_seconds / 60:g} minutes" if problem.passes else ""
            raise RefusedError(f"{device.name}: {problem.text}{since}", problem.reason, problem.fault)
        logger.info("%s: waiting: %s", device.name, problem.text)
        yield Wait(rules.poll_seconds)


def _canary(device: Device, reference_ms: float, calibration: Calibration | None, rules: Rules) -> Steps[Burst]:
    """Run the canary until it is where it should be; background work of a few seconds is waited for."""
    expected, reach = (calibration.factor, rules.canary_drift) if calibration else (1.0, rules.canary_reach)
    for attempt in range(rules.canary_tries):
        if attempt:
            yield Wait(rules.canary_wait_seconds)
        burst = burst_of(device.name, (yield Reference(rules.canary_runs)), rules.canary_runs)
        ratio = burst.typical_ms / reference_ms / expected
        if abs(ratio - 1) <= reach and stretch_apart(burst.times_ms) <= rules.max_stretch:
            return burst
    whose = "what its calibration says" if calibration else "a typical phone's time"
    raise RefusedError(f"{device.name}: reference workload at {ratio:.3f} of {whose}", "canary", FAULTS["F19"])


def _canary_after(device: Device, before: Burst, timed: list[Burst], rules: Rules) -> Steps[Burst]:
    """Run the canary again. One in the middle of background work says nothing of the runs before it: once more.

    A clock step of 6.8 % is not taken for background work, which makes runs longer by more or only a stretch of them.
    Of a block that stopped early all runs may have been in it: such a block is refused.
    """
    done = len(_values(timed))
    short = done < (LOOKS[0] if timed[0].times_ms else rules.bursts)
    for attempt in range(rules.canary_tries):
        if attempt:
            yield Wait(rules.canary_wait_seconds)
        burst = burst_of(device.name, (yield Reference(rules.canary_runs)), rules.canary_runs)
        worked = burst.typical_ms / before.typical_ms - 1 > rules.canary_reach
        if not worked and stretch_apart(burst.times_ms) <= rules.max_stretch:
            break
        if short:
            what = "runs" if timed[0].times_ms else "bursts"
            text = f"{device.name}: background work at the end of a block of {done} {what}"
            raise RefusedError(text, "disturbed", FAULTS["F27"])
    return burst


def _timed(
    device: Device, factor: tuple[float, float], threshold_ms: float | None, rules: Rules, *, summaries: bool
) -> Steps[tuple[list[Burst], list[Burst]]]:
    """Return the bursts that do not count (warm-up, and what is apart from the rest) and those that do."""
    if summaries:
        found = yield from time_bursts(device, factor, threshold_ms, rules)
        return found.apart, found.alike
    warm = yield from _warm_up(device, rules)
    return warm, (yield from _time(device, factor, _calm(warm), threshold_ms, rules))


def _warm_up(device: Device, rules: Rules) -> Steps[list[Burst]]:
    """Run until times stop falling."""
    bursts = [burst_of(device.name, (yield Run(rules.first_runs)), rules.first_runs)]
    times = list(bursts[0].times_ms)
    while len(times) < rules.max_warmup_runs and sum(times) < 1e3 * rules.max_warmup_seconds and not settled(times):
        bursts.append(burst_of(device.name, (yield Run(1)), 1))
        times.extend(bursts[-1].times_ms)
    return bursts


def _time(
    device: Device, factor: tuple[float, float], calm_ms: float, threshold_ms: float | None, rules: Rules
) -> Steps[list[Burst]]:
    """Run until the median is known to ``rules.precision``, or it clears the threshold, or the block is too long.

    Runs of which a stretch is apart from the rest, or that are slower than warm-up was (*calm_ms*), are dropped, and
    timing begins again: networks do not get slower by being warm.
    """
    bursts: list[Burst] = []
    early = rules.early_looks if threshold_ms is not None else ()
    restarts = 0
    while True:
        done = len(_values(bursts))
        runs = next(look for look in sorted({*early, *LOOKS}) if look > done) - done
        bursts.append(burst_of(device.name, (yield Run(runs)), runs))
        values = _values(bursts)
        apart = max(stretch_apart(values), median(values) / calm_ms - 1)
        if apart > rules.max_stretch:
            if restarts == rules.max_restarts:
                text = f"{device.name}: a stretch of runs is {apart:.0%} apart from the rest, {restarts + 1} times"
                raise RefusedError(text, "disturbed", FAULTS["F27"])
            restarts += 1
            bursts = []
            continue
        decided = threshold_ms is not None and _early(device, values, factor, threshold_ms)
        if decided or _enough(bursts, rules):
            return bursts


def _calm(warm: list[Burst]) -> float:
    """Return the lowest median of 3 successive runs of warm-up."""
    times = _values(warm)
    return min((median(times[first : first + 3]) for first in range(len(times) - 2)), default=math.inf)


def _enough(bursts: list[Burst], rules: Rules) -> bool:
    done = len(_values(bursts))
    spent = sum(burst.runs * burst.mean_ms for burst in bursts)
    if done >= LOOKS[-1] or spent >= 1e3 * rules.max_block_seconds:
        return True
    return done in LOOKS and _interval(bursts).precision <= math.sqrt(2) * rules.precision


def _early(device: Device, values: tuple[float, ...], factor: tuple[float, float], threshold_ms: float) -> bool:
    middle, error = median(values), NORMAL_99 * relative_error_of_median(values)
    estimate = Interval(middle, middle * (1 - error), middle * (1 + error))
    return clears(threshold_ms, Block(device.name, estimate, *factor)) is not None


def _values(bursts: list[Burst]) -> tuple[float, ...]:
    """The single runs, or each burst's typical time where single runs are not seen."""
    if bursts and not bursts[0].times_ms:
        return tuple(burst.typical_ms for burst in bursts)
    return tuple(time for burst in bursts for time in burst.times_ms)


def _interval(bursts: list[Burst]) -> Interval:
    return median_interval(_values(bursts)) if bursts[0].times_ms else interval_of(bursts)


def _scatter(bursts: list[Burst]) -> float:
    """The relative standard deviation of single runs, whichever network they ran; blind to spikes."""
    if all(burst.times_ms for burst in bursts):
        first, *timed, last = bursts
        groups = [first.times_ms, _values(timed), last.times_ms]
        return spread([time / median(group) for group in groups for time in group])
    return median(spread_below(burst.typical_ms, burst.min_ms, burst.runs) for burst in bursts)


def _factor(canaries: list[Burst], reference_ms: float, calibration: Calibration | None) -> tuple[float, float]:
    """Return the phone's factor just now and its relative error: of its canaries, weighed with its calibration."""
    now = sum(burst.typical_ms for burst in canaries) / len(canaries) / reference_ms
    error = math.hypot(*(_canary_error(burst) for burst in canaries)) / len(canaries)
    return weighted([(now, error), (calibration.factor, calibration.error)]) if calibration else (now, error)


def _canary_error(burst: Burst) -> float:
    return relative_error_of_median(burst.times_ms) if burst.times_ms else burst_error(burst)
