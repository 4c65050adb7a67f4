"""Timing where only summaries are seen: few long bursts, each of a process that warms up by itself. Pure.

TensorFlow Lite's benchmark tells no single run, starts a process per call and warms it up. What limits accuracy is the
process start (``estimation.SESSION_SD``), and a start costs as much as twenty runs: so a burst lasts long enough for
its own error to be small beside that of its start, and a block takes as few of them as agree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from devicelab.actions import Run, Steps, burst_of
from devicelab.device import Device
from devicelab.errors import RefusedError
from devicelab.estimation import MEDIAN_ERROR, NORMAL_95, SESSION_SD, Block, Interval, clears, spread_below
from devicelab.faults import FAULTS
from devicelab.gate import Rules
from devicelab.measurement import Burst


@dataclass(frozen=True, slots=True)
class Bursts:
    """What a block timed: the bursts that are ``alike``, and those that are apart from them."""

    alike: list[Burst]
    apart: list[Burst]


def time_bursts(device: Device, factor: tuple[float, float], threshold_ms: float | None, rules: Rules) -> Steps[Bursts]:
    """Yield bursts until ``rules.bursts`` are alike: within ``rules.burst_reach`` of the median of all.

    The first is of ``rules.burst_runs`` runs and tells how many fill ``rules.burst_seconds``, which the others last.
    One that was still warming up, or met background work or another clock, is apart, and one more is run.
    ``rules.early_bursts`` will do if they clear *threshold_ms*, of a phone of this *factor* (and its error), or
    if ``rules.max_block_seconds`` are over.

    Raises:
        RefusedError: ``rules.max_bursts`` were not enough, or one is not what was asked for.
    """
    bursts: list[Burst] = []
    while True:
        runs = _runs(bursts, rules)
        bursts.append(burst_of(device.name, (yield Run(runs)), runs))
        sorted_out = _sort_out(bursts, rules.burst_reach)
        if _enough(sorted_out, device, factor, threshold_ms, rules):
            return sorted_out
        if len(bursts) == rules.max_bursts:
            text = f"{device.name}: {len(sorted_out.apart)} of {len(bursts)} bursts are apart from the rest"
            raise RefusedError(text, "disturbed", FAULTS["F27"])


def burst_error(burst: Burst) -> float:
    """Return the standard error of the typical time of *burst*, a summary, relative to it (``spread_below``)."""
    return MEDIAN_ERROR * spread_below(burst.typical_ms, burst.min_ms, burst.runs) / math.sqrt(burst.runs)


def interval_of(bursts: Sequence[Burst]) -> Interval:
    """Return the mean of the typical times of *bursts* (one or more, each a process) with its interval at 95 %.

    Each is off by its process start (``SESSION_SD``) and by the error of its runs, or by what all of them scatter if
    that is more: of three bursts the scatter alone says too little.
    """
    values = [burst.typical_ms for burst in bursts]
    middle = fmean(values)
    known = math.hypot(SESSION_SD, math.hypot(*(burst_error(burst) for burst in bursts)) / math.sqrt(len(bursts)))
    seen = stdev(values) / middle if len(values) > 1 else 0.0
    reach = NORMAL_95 * max(known, seen) / math.sqrt(len(bursts))
    return Interval(middle, middle * (1 - reach), middle * (1 + reach))


def _runs(bursts: list[Burst], rules: Rules) -> int:
    if not bursts:
        return rules.burst_runs
    fill = math.ceil(1e3 * rules.burst_seconds / bursts[0].typical_ms)
    return min(max(fill, rules.burst_runs), rules.max_burst_runs)


def _sort_out(bursts: list[Burst], reach: float) -> Bursts:
    middle = median(burst.typical_ms for burst in bursts)
    found = Bursts([], [])
    for burst in bursts:
        (found.alike if abs(burst.typical_ms / middle - 1) <= reach else found.apart).append(burst)
    return found


def _enough(
    found: Bursts, device: Device, factor: tuple[float, float], threshold_ms: float | None, rules: Rules
) -> bool:
    if len(found.alike) >= rules.bursts:
        return True
    if len(found.alike) < rules.early_bursts:
        return False
    estimate = Block(device.name, interval_of(found.alike), *factor)
    decided = threshold_ms is not None and clears(threshold_ms, estimate) is not None
    spent = sum(burst.runs * burst.mean_ms for burst in (*found.alike, *found.apart))
    return decided or spent >= 1e3 * rules.max_block_seconds
