"""Is one classifier better than another? Both judged on the same images, so what is hard for both cancels.

Two answers, because photographs of one child are alike: intervals of differences by resampling children (the bootstrap
of ``fer_core.statistics``, one draw for both), and McNemar's exact test over images, which is what papers report and
which takes images for independent.

References:
    McNemar (1947), Note on the sampling error of the difference between correlated proportions, Psychometrika 12:153.
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, 13 (percentile intervals).
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from fer_core.errors import DataError
from fer_core.scores import Interval
from fer_core.specs import Spec
from fer_core.statistics import (
    DRAWS,
    Counts,
    Floats,
    accuracy,
    bootstrap,
    interval,
    large_groups,
    macro_f1,
    subject_confusions,
    subject_groups,
)


class Difference(Spec):
    """First minus second, a fraction, and its 95 % interval."""

    value: float
    interval: Interval

    @property
    def resolved(self) -> bool:
        """Whether the interval excludes 0: these images tell the two apart."""
        return not self.interval.low <= 0 <= self.interval.high


class Comparison(Spec):
    """Two classifiers on the same images; every difference is the first minus the second.

    ``gap`` is the difference of the raw gaps over the groups of at least ten subjects, ``None`` where fewer than two
    groups are so large. ``only_first`` and ``only_second`` count the images that only this one got right;
    ``mcnemar_p`` is the exact two-sided p-value that the two are equally often right.
    """

    images: int
    subjects: int
    macro_f1: Difference
    accuracy: Difference
    gap: Difference | None
    only_first: Annotated[int, Field(ge=0)]
    only_second: Annotated[int, Field(ge=0)]
    mcnemar_p: float


def compare(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    subjects: ArrayLike,
    groups: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare two classifiers by what they predicted, *first* and *second*, for the same images.

    All arrays are (n,), one entry per image: class indices, and the names of subjects and their groups.

    Raises:
        DataError: there is no image, or the arrays differ in length.
    """
    truth, one, two = (np.asarray(values, dtype=np.int64) for values in (labels, first, second))
    if not len(truth) or len({len(truth), len(one), len(two), np.size(subjects), np.size(groups)}) > 1:
        raise DataError("a comparison needs the predictions of two models for the same images, at least one")
    names, before = subject_confusions(truth, one, subjects)
    _, after = subject_confusions(truth, two, subjects)
    f1, right, gap = differences(before, after, subject_groups(subjects, groups), draws=draws, seed=seed)
    only_first = int(((one == truth) & (two != truth)).sum())
    only_second = int(((two == truth) & (one != truth)).sum())
    return Comparison(
        images=len(truth),
        subjects=len(names),
        macro_f1=f1,
        accuracy=right,
        gap=gap,
        only_first=only_first,
        only_second=only_second,
        mcnemar_p=mcnemar(only_first, only_second),
    )


def differences(
    first: Counts, second: Counts, groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> tuple[Difference, Difference, Difference | None]:
    """Return the differences of macro-F1, accuracy and gap between two models, from counts (s, 7, 7) of each.

    The subjects (s,) and their *groups* (s,) are the same in both, and so is every draw of subjects.

    Raises:
        DataError: the two were not scored on the same images of the same subjects.
    """
    if first.shape != second.shape or not np.array_equal(first.sum(axis=2), second.sum(axis=2)):
        raise DataError("a paired difference needs two models scored on the same images of the same subjects")
    labels = np.asarray(groups, dtype=np.str_)
    one, two = (bootstrap(counts, labels, draws=draws, seed=seed) for counts in (first, second))
    f1, right = (
        _difference(rate(first.sum(axis=0)), rate(second.sum(axis=0)), drawn)
        for rate, drawn in ((macro_f1, one.macro_f1 - two.macro_f1), (accuracy, one.accuracy - two.accuracy))
    )
    large = large_groups(labels)
    if len(large) < 2:
        return f1, right, None
    return (
        f1,
        right,
        _difference(_gap(first, labels, large), _gap(second, labels, large), one.gap(large) - two.gap(large)),
    )


def mean_difference(
    pairs: Sequence[tuple[Counts, Counts]], groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Difference:
    """Return the mean over *pairs* of the difference of macro-F1, first minus second, as ``differences`` does.

    One draw of subjects serves all pairs. The interval is about other subjects, not about other pairs of models.
    """
    labels = np.asarray(groups, dtype=np.str_)
    found = [macro_f1(first.sum(axis=0)) - macro_f1(second.sum(axis=0)) for first, second in pairs]
    drawn = [
        bootstrap(first, labels, draws=draws, seed=seed).macro_f1
        - bootstrap(second, labels, draws=draws, seed=seed).macro_f1
        for first, second in pairs
    ]
    return Difference(value=float(np.mean(found)), interval=interval(np.mean(drawn, axis=0)))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test: min(1, 2 P(X <= smaller)), X binomial(sum, 1/2).

    1 where the two never disagree.
    """
    from scipy.special import bdtr  # here: reading a comparison needs no SciPy

    disagreeing = only_first + only_second
    if disagreeing == 0:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), disagreeing, 0.5)))


def _difference(first: float | Floats, second: float | Floats, drawn: Floats) -> Difference:
    return Difference(value=float(first) - float(second), interval=interval(drawn))


def _gap(counts: Counts, groups: ArrayLike, names: tuple[str, ...]) -> float:
    labels = np.asarray(groups, dtype=np.str_)
    return float(np.ptp([macro_f1(counts[labels == name].sum(axis=0)) for name in names]))
