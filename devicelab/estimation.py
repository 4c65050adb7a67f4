"""The statistics of a measurement: when to stop, what agrees, and how sure we are. Pure functions.

Single runs have a heavy right tail and drift slowly, so everything here is built on medians and order
statistics, and no formula assumes a distribution of the runs.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, stdev

import numpy as np
from numpy.typing import NDArray

LOOKS = (20, 30, 45, 68, 101, 152, 228, 342)
"""Numbers of runs after which a block may stop; each look spends an equal share of ``ALPHA`` (Bonferroni)."""
ALPHA = 0.05
SESSION_SD = 0.012
"""Relative spread of the median between process starts: 0.8 % (quiet phone) to 1.5 % (bad one), taken as 1.2 %."""
PHONE_SD = 0.005
"""Relative spread between phones that remains after dividing by the phone's factor."""
AGREEMENT = 0.02
"""Blocks agree if their medians differ by at most this fraction."""
CLOSE = 0.012
"""Two blocks are enough if they differ by no more than this; else there is a third."""
NORMAL_95 = 1.96
NORMAL_99 = 2.576
"""For decisions, which may look at several moments and are wanted right in more than 99 of 100 cases."""
STRETCH = 5
"""Successive runs whose common level is compared with that of all."""
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
    return Interval(_median(ordered), float(ordered[low]), float(ordered[count - 1 - low]))


def lag1(times: Sequence[float]) -> float:
    """Return the correlation of each run with the next, by ranks so that spikes do not hide it; 0 below 4 runs."""
    ranks = np.argsort(np.argsort(np.asarray(times, dtype=np.float64), kind="stable"), kind="stable")
    if len(ranks) < 4:
        return 0.0
    centred = ranks - ranks.mean()
    return float((centred[1:] * centred[:-1]).sum() / (centred * centred).sum())


def settled(times: Sequence[float]) -> bool:
    """Whether warm-up is over: the last 3 runs are, by their median, at most 2 % faster than the 3 before them."""
    if len(times) < 6:
        return False
    return sorted(times[-3:])[1] >= 0.98 * sorted(times[-6:-3])[1]


def relative_error_of_median(times: Sequence[float]) -> float:
    """Return the standard error of the median of *times* relative to it, from their median absolute deviation."""
    return MEDIAN_ERROR * _deviation(times)[1] / math.sqrt(len(times))


def _median(ordered: NDArray[np.float64]) -> float:
    """Return the median of sorted values (n >= 1); for the few of a burst many times faster than ``np.median``."""
    count = len(ordered)
    return float(ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _deviation(times: Sequence[float]) -> tuple[float, float]:
    """Return the median of *times*, and their standard deviation relative to it by their median absolute deviation."""
    values = np.asarray(times, dtype=np.float64)
    middle = _median(np.sort(values))
    return middle, MAD_TO_SD * _median(np.sort(np.abs(values - middle))) / middle


def spread(times: Sequence[float]) -> float:
    """Return the relative standard deviation of *times* by their median absolute deviation: blind to spikes."""
    return _deviation(times)[1]


def spread_below(typical: float, low: float, count: int) -> float:
    """Return the relative standard deviation that makes *low* the smallest of *count* runs around *typical*.

    For summaries: their standard deviation is blown up by spikes, their minimum is not. The expected smallest
    of n normal values is at the quantile 0.625 / (n + 0.25) (Blom 1958). 0 for a single run.
    """
    if count < 2:
        return 0.0
    return (1 - low / typical) / -NormalDist().inv_cdf(0.625 / (count + 0.25))


def stretch_apart(times: Sequence[float]) -> float:
    """Return how far the median of any ``STRETCH`` successive runs is from the median of all, relative to that.

    Single spikes leave it small; background work of some seconds, or a clock that changes, does not.
    """
    values = np.asarray(times, dtype=np.float64)
    if len(values) < 2 * STRETCH:
        return 0.0
    shifted = np.stack([values[first : len(values) - STRETCH + 1 + first] for first in range(STRETCH)])
    shifted.sort(axis=0)
    return float(np.abs(shifted[STRETCH // 2] / _median(np.sort(values)) - 1).max())


def agreeing(values: Sequence[float], close: float = AGREEMENT) -> tuple[int, ...] | None:
    """Return the indices of the *values* (> 0) that agree, in order; ``None`` if no two do.

    Two agree if they differ by at most *close*; of three or more, those that are within ``AGREEMENT`` of their median.
    """
    if len(values) == 2:
        return (0, 1) if max(values) <= (1 + close) * min(values) else None
    middle = _median(np.sort(values)) if values else 0.0
    group = tuple(index for index, value in enumerate(values) if abs(value / middle - 1) <= AGREEMENT)
    return group if len(group) > 1 else None


def combine(used: Sequence[Block], run: Sequence[Block], normal: float = NORMAL_95) -> Interval:
    """Return the latency on a typical phone with its interval (95 % by default).

    It is the geometric mean of the *used* blocks, each one's median divided by its phone's factor. The relative
    variance of the mean adds

    * within blocks: each block's own interval, and the error of its factor;
    * between process starts: ``SESSION_SD``, or the spread of all blocks that were *run* where three or more
      show a larger one (so a phone that needed many blocks to agree with itself gets a wide interval);
    * between phones: ``PHONE_SD`` over the number of different phones.

    The last two do not shrink with more runs, which is why an interval of the runs alone would be a lie.
    """
    logs = [math.log(block.normalised) for block in used]
    restless = stdev(math.log(block.normalised) for block in run) if len(run) > 2 else 0.0
    within = sum((block.median.precision / NORMAL_95) ** 2 + block.factor_error**2 for block in used) / len(used)
    phones = len({block.device for block in used})
    variance = (within + max(SESSION_SD, restless) ** 2) / len(used) + PHONE_SD**2 / phones
    centre, reach = sum(logs) / len(logs), normal * math.sqrt(variance)
    return Interval(math.exp(centre), math.exp(centre - reach), math.exp(centre + reach))


def weighted(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the mean of (value > 0, relative standard error) pairs weighted by their precision, and its error.

    An error of 0 counts as one of 0.01 %.
    """
    weights = [1 / max(error, 1e-4) ** 2 for _, error in values]
    mean = sum(weight * value for weight, (value, _) in zip(weights, values, strict=True)) / sum(weights)
    return mean, 0.0 if any(error == 0 for _, error in values) else math.sqrt(1 / sum(weights))


def clears(threshold_ms: float, estimate: Block) -> bool | None:
    """Return whether *estimate* is surely over (``True``) or under (``False``) *threshold_ms*, ``None`` if not sure.

    Sure is 99 %, with the terms of process start and phone (``combine``).
    """
    interval = combine([estimate], [estimate], NORMAL_99)
    if interval.low > threshold_ms:
        return True
    return False if interval.high < threshold_ms else None
