"""The statistics of a measurement: when to stop, what agrees, and how sure we are. Pure functions.

Single runs have a heavy right tail and drift slowly, so everything here is built on medians and order
statistics, and no formula assumes a distribution of the runs.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import stdev

import numpy as np

LOOKS = (20, 30, 45, 68, 101, 152, 228, 342)
"""Numbers of runs after which a block may stop; each look spends an equal share of ``ALPHA`` (Bonferroni)."""
ALPHA = 0.05
SESSION_SD = 0.012
"""Relative spread of the median between process starts: 0.8 % (quiet phone) to 1.5 % (bad one), taken as 1.2 %."""
PHONE_SD = 0.005
"""Relative spread between phones that remains after dividing by the phone's factor."""
AGREEMENT = 0.02
"""Two blocks agree if their medians differ by at most this fraction."""
NORMAL_95 = 1.96
MEDIAN_ERROR = 1.2533
"""Standard error of the median over that of the mean, sqrt(pi / 2): normal theory."""
MAD_TO_SD = 1.4826
"""Standard deviation over median absolute deviation, for a normal distribution."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value between two bounds, all in the unit of what was measured."""

    value: float
    low: float
    high: float

    @property
    def precision(self) -> float:
        """Half the width relative to the value."""
        return (self.high - self.low) / 2 / self.value


@dataclass(frozen=True, slots=True)
class Block:
    """What the combination of blocks looks at: an interval of the median, and the phone's factor with its error."""

    device: str
    median: Interval
    factor: float
    factor_error: float

    @property
    def normalised(self) -> float:
        """The block's median on a phone of factor 1."""
        return self.median.value / self.factor


@functools.cache
def _rank(runs: int, alpha: float) -> int:
    """Return the largest rank r (1-based, 0 if none) with P(Binomial(runs, 1/2) < r) <= alpha / 2."""
    below, rank = 0.0, 0
    while rank < runs // 2:
        below += math.comb(runs, rank) / 2**runs
        if below > alpha / 2:
            break
        rank += 1
    return rank


def median_interval(times: Sequence[float], alpha: float = ALPHA / len(LOOKS)) -> Interval:
    """Return the median of *times* (n >= 1, any order) with its order-statistic interval of level 1 - *alpha*.

    The binomial ranks assume independent runs; where neighbouring runs are alike (lag-1 correlation
    phi > 0) they are moved outward as if there were n (1 - phi) / (1 + phi) runs. Too few runs for the
    level give the whole range.
    """
    ordered = np.sort(np.asarray(times, dtype=np.float64))
    count = len(ordered)
    phi = min(max(lag1(times), 0.0), 0.9)
    reach = (count / 2 - _rank(count, alpha)) * math.sqrt((1 + phi) / (1 - phi))
    low = max(math.floor(count / 2 - reach) - 1, 0)
    return Interval(float(np.median(ordered)), float(ordered[low]), float(ordered[count - 1 - low]))


def lag1(times: Sequence[float]) -> float:
    """Return the correlation of each run with the next, by ranks so that spikes do not hide it; 0 below 4 runs."""
    ranks = np.argsort(np.argsort(np.asarray(times, dtype=np.float64), kind="stable"), kind="stable")
    if len(ranks) < 4:
        return 0.0
    centred = ranks - ranks.mean()
    return float((centred[1:] * centred[:-1]).sum() / (centred * centred).sum())


def settled(times: Sequence[float]) -> bool:
    """Whether warm-up is over: a fast and a slow moving average agree within 2 % after each of the last 5 runs.

    At least 6 runs are asked for. The idea is AndroidX Benchmark's WarmupManager, with shorter memories.
    """
    if len(times) < 6:
        return False
    fast = slow = times[0]
    agreed = 0
    for time in times[1:]:
        fast += 0.5 * (time - fast)
        slow += 0.2 * (time - slow)
        agreed = agreed + 1 if abs(fast / slow - 1) <= 0.02 else 0
    return agreed >= 5


def relative_error_of_median(times: Sequence[float]) -> float:
    """Return the standard error of the median of *times* relative to it, from their median absolute deviation."""
    values = np.asarray(times, dtype=np.float64)
    middle = float(np.median(values))
    spread = MAD_TO_SD * float(np.median(np.abs(values - middle)))
    return MEDIAN_ERROR * spread / math.sqrt(len(values)) / middle


def agreeing(values: Sequence[float]) -> tuple[int, int] | None:
    """Return the indices of the two *values* (> 0) that are closest, if they agree within ``AGREEMENT``, else None."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    gaps = [(values[upper] / values[lower] - 1, lower, upper) for lower, upper in pairwise(order)]
    if not gaps:
        return None
    gap, lower, upper = min(gaps)
    return (min(lower, upper), max(lower, upper)) if gap <= AGREEMENT else None


def combine(used: Sequence[Block], run: Sequence[Block]) -> Interval:
    """Return the latency on a typical phone with its 95 % interval: the geometric mean of the *used* blocks.

    Each block's median is divided by its phone's factor. The relative variance of the mean adds

    * within blocks: each block's own interval, and the error of its factor;
    * between process starts: ``SESSION_SD``, or the spread of all blocks that were *run* where three or more
      show a larger one (so a phone that needed many blocks to agree with itself gets a wide interval);
    * between phones: ``PHONE_SD`` over the number of different phones.

    The last two do not shrink with more runs, which is why an interval of the runs alone would be a lie.
    """
    logs = [math.log(block.normalised) for block in used]
    spread = stdev(math.log(block.normalised) for block in run) if len(run) > 2 else 0.0
    within = sum((block.median.precision / NORMAL_95) ** 2 + block.factor_error**2 for block in used) / len(used)
    phones = len({block.device for block in used})
    variance = (within + max(SESSION_SD, spread) ** 2) / len(used) + PHONE_SD**2 / phones
    centre, reach = sum(logs) / len(logs), NORMAL_95 * math.sqrt(variance)
    return Interval(math.exp(centre), math.exp(centre - reach), math.exp(centre + reach))
