"""Which of many vectors are the best few: by non-dominated rank, then by what each adds. NumPy and moocore only.

Better means

1. a lower non-dominated rank: 0 for the front, 1 for the front of the others, ... (NSGA-II, Deb et al. 2002);
2. within the rank that does not fit whole, a larger part of the hypervolume that no other of the rank covers, with
   every objective scaled to its span within the rank; of equal rows the earlier one.

So units do not matter, and what the first ranks hold is never given up for what lies behind them.
"""

import moocore
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DIGITS = 9
"""Decimals to which volumes are compared: what differs by rounding only is equal, on every machine."""
REFERENCE = 1.1
"""Where the hypervolume of a rank is measured from, when its best is at 0 and its worst at 1 in every objective."""


def best_rows(values: Floats, count: int) -> NDArray[np.int64]:
    """Return the rows (min(count, n),) of the *count* best of *values* (n, m), every column minimised, in their order.

    Rows with NaN are worse than all others.
    """
    if np.isnan(values).any():
        worst = np.nanmax(values, axis=0, initial=0.0)
        values = np.where(np.isnan(values).any(axis=1, keepdims=True), worst + 1.0, values)
    if len(values) <= count:
        return np.arange(len(values))
    ranks = moocore.pareto_rank(values)
    last = np.sort(ranks)[count - 1]  # the rank that may not fit whole
    before, peers = np.flatnonzero(ranks < last), np.flatnonzero(ranks == last)
    chosen = peers[by_contribution(values[peers])][: count - len(before)]
    return np.sort(np.concatenate([before, chosen]))


def by_contribution(front: Floats) -> NDArray[np.int64]:
    """Return the rows of *front* (n, m), none of which dominates another, by the volume that each alone dominates.

    The largest first; a row that repeats an earlier one adds nothing. Every column is scaled to the span of the front,
    and the reference point lies a tenth of it behind the worst, so that the ends of the front count for something.
    """
    low, high = front.min(axis=0), front.max(axis=0)
    scaled = (front - low) / np.where(high > low, high - low, 1.0)
    order = np.lexsort(scaled.T)  # stable: of equal rows the earliest comes first
    new = np.append(True, (scaled[order[1:]] != scaled[order[:-1]]).any(axis=1))
    first = order[new]
    added = np.zeros(len(front))
    if front.shape[1] > 1:  # with one objective all rows are equal
        added[first] = moocore.hv_contributions(scaled[first], ref=np.full(front.shape[1], REFERENCE))
    return np.argsort(-added.round(DIGITS), kind="stable")
