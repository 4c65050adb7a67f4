"""What confusion counts say about a classifier, with honest uncertainty. NumPy only, vectorised.

The unit of resampling is the subject (a child), never the photograph: photographs of one child are alike, so
resampling them makes intervals too narrow. Everything starts from per-subject confusion counts:

    counts      (s, 7, 7) int64: counts[i, t, p] = images of subject i, of true class t, predicted as p
    groups      (s,) str: the group of each subject, "" where unknown

Resampled sums are sums of integers below 2**24 and hence exact in float32: results do not depend on the number of
BLAS threads. Draws depend on the seed, the number of subjects and their groups alone, so two models scored on the
same subjects with the same seed see the same draws, and their differences are paired.

References:
    Davison & Hinkley (1997), Bootstrap Methods and their Application, 3.2 (stratified) and 3.8 (hierarchical data).
    Field & Welsh (2007), Bootstrapping clustered data, J. R. Statist. Soc. B 69:369-390.
    Phipson & Smyth (2010), Permutation p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9:39.
"""

import base64
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import DataError
from fer_core.labels import EXPRESSIONS
from fer_core.scores import GroupScore, Interval, Scores

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

CLASSES = len(EXPRESSIONS)
MINIMUM_SUBJECTS = 10
"""Groups with fewer subjects are reported but neither set the gap nor the worst group."""
DRAWS = 10_000
_CHUNK_CELLS = 4_000_000
"""Resampling works in chunks of about this many cells (16 MB of float32), whatever the number of subjects."""


def subject_confusions(truth: ArrayLike, predicted: ArrayLike, subjects: ArrayLike) -> tuple[NDArray[np.str_], Counts]:
    """Count the confusions of each subject.

    *truth* and *predicted* are (n,) class indices and *subjects* (n,) identifiers. Returns the sorted identifiers (s,)
    and their counts (s, 7, 7).
    """
    names, index = np.unique(np.asarray(subjects, dtype=np.str_), return_inverse=True)
    cell = (index * CLASSES + np.asarray(truth, dtype=np.int64)) * CLASSES + np.asarray(predicted, dtype=np.int64)
    counts = np.bincount(cell, minlength=len(names) * CLASSES**2)
    return names, counts.reshape(len(names), CLASSES, CLASSES).astype(np.int64)


def subject_groups(subjects: ArrayLike, groups: ArrayLike) -> NDArray[np.str_]:
    """Return the group of each subject (s,), in the order of ``subject_confusions``, from one entry per image (n,).

    A subject whose images name several groups gets the alphabetically first, as in ``fer_core.data.splits``.
    """
    who, where = np.asarray(subjects, dtype=np.str_), np.asarray(groups, dtype=np.str_)
    order = np.lexsort((where, who))
    _, first = np.unique(who[order], return_index=True)
    lowest: NDArray[np.str_] = where[order][first]
    return lowest


def accuracy(counts: Counts | Floats) -> Floats:
    """Return the share of images on the diagonal of *counts* (..., 7, 7), shape (...); 0 without images."""
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def balanced_accuracy(counts: Counts) -> Floats:
    """Return the mean recall over the classes that have images in *counts* (..., 7, 7), shape (...)."""
    truth = counts.sum(axis=-1)
    recall = _ratio(np.diagonal(counts, axis1=-2, axis2=-1), truth)
    return _ratio(recall.sum(axis=-1), (truth > 0).sum(axis=-1))


def class_f1(counts: Counts | Floats) -> Floats:
    """Return the F1 of each class, 2 TP / (2 TP + FP + FN), shape (..., 7); 0 where a class never occurs."""
    return _f1(_marginals(counts))


def macro_f1(counts: Counts | Floats) -> Floats:
    """Return the mean F1 of all seven classes of *counts* (..., 7, 7), shape (...).

    All seven classes are always in the denominator: a class without image and prediction counts as 0, which equals
    scikit-learn's ``f1_score(labels=range(7), average="macro", zero_division=0)``.
    """
    return np.asarray(class_f1(counts).mean(axis=-1))


@dataclass(frozen=True, slots=True)
class Resampled:
    """Bootstrap draws: macro-F1 and accuracy of all subjects (draws,), and macro-F1 of each of *groups* (draws, g)."""

    macro_f1: Floats
    accuracy: Floats
    groups: tuple[str, ...]
    group_f1: Floats

    def gap(self, names: tuple[str, ...]) -> Floats:
        """Return max - min over the groups called *names* in each draw, shape (draws,)."""
        columns = self.group_f1[:, [self.groups.index(name) for name in names]]
        return np.asarray(np.ptp(columns, axis=1))


def bootstrap(counts: Counts, groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Resampled:
    """Draw macro-F1 and accuracy from the cluster bootstrap: subjects with replacement, each with all of its images.

    *counts* is (s, 7, 7), *groups* (s,). Subjects are drawn within their group, so that every draw has the group sizes
    of the set (stratified bootstrap, Davison & Hinkley 1997, 3.2; clusters as units, Field & Welsh 2007). One draw
    serves all groups and the whole, so values of one draw belong together.
    """
    names, member = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    features = np.zeros((len(counts), len(names), 2 * CLASSES), dtype=np.float32)
    features[np.arange(len(counts)), member] = _marginals(counts)
    whole, right, parts = [], [], []
    for weights in _subject_weights(member, draws, np.random.default_rng(seed)):
        sums = (weights @ features.reshape(len(counts), -1)).reshape(len(weights), len(names), -1)
        parts.append(_f1(sums).mean(axis=-1))
        total = sums.sum(axis=1)
        whole.append(_f1(total).mean(axis=-1))
        right.append(_ratio(total[:, :CLASSES].sum(axis=1), total[:, CLASSES:].sum(axis=1)))
    return Resampled(np.concatenate(whole), np.concatenate(right), tuple(names.tolist()), np.concatenate(parts))


def jackknife_interval(counts: Counts, groups: ArrayLike) -> Interval:
    """Return the 95 % interval of macro-F1 of *counts* (s, 7, 7), from leaving out one subject at a time.

    On the logit scale, where F1 has no borders, the interval is F1 +- t x SE with one degree of freedom less than
    subjects for every group in *groups* (s,): the stratified jackknife's SE (Shao & Tu 1995, The Jackknife and
    Bootstrap; subjects who are alone in their group make one stratum), Student's t because SE is itself estimated
    from few subjects. Percentiles of bootstrap draws ignore that: with 5 and 11 children their 95 % intervals covered
    the truth in 79 and 88 % of simulations, these in 94 and 95 % (``benchmarks/statistics_coverage.py``).
    A single subject tells nothing: the interval is [0, 1].
    """
    from scipy.special import stdtrit  # here: comparing scores needs no SciPy

    member, sizes = _strata(groups)
    freedom = len(counts) - len(sizes)
    features = _marginals(counts)
    observed = float(_f1(features.sum(axis=0)).mean())
    if freedom < 1:
        return Interval(low=0.0, high=1.0)
    without = _f1(features.sum(axis=0) - features).mean(axis=-1)
    means = np.bincount(member, weights=without) / sizes
    squares = np.bincount(member, weights=(without - means[member]) ** 2)
    error = float(np.sqrt(((sizes - 1) / sizes * squares).sum()))
    if error == 0 or not 0 < observed < 1:
        return Interval(low=observed, high=observed)
    half = float(stdtrit(freedom, 0.975)) * error / (observed * (1 - observed))
    odds = math.log(observed / (1 - observed))
    low, high = (1 / (1 + math.exp(-end)) for end in (odds - half, odds + half))
    return Interval(low=low, high=high)


def interval(values: Floats) -> Interval:
    """Return the percentile interval that holds the middle 95 % of *values* (draws,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(low=float(low), high=float(high))


def centred(values: Floats, observed: float) -> Floats:
    """Return *values* (draws,) shifted so that their mean is *observed*, and not below 0.

    Resampling adds its own noise to a maximum of differences, so draws of a gap lie above the gap on average. The
    shift removes this bias as the bootstrap estimates it (Efron & Tibshirani 1993, 10.6).
    """
    return np.asarray(np.maximum(values - values.mean() + observed, 0.0))


def paired_difference(
    first: Counts, second: Counts, groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, Interval]:
    """Return macro-F1 of *first* minus *second* and its interval, both scored on the same subjects (s, 7, 7).

    The same subjects are drawn for both, so what is hard for both cancels (a paired bootstrap).
    """
    if first.shape != second.shape or not np.array_equal(first.sum(axis=2), second.sum(axis=2)):
        raise DataError("a paired difference needs two models scored on the same images of the same subjects")
    one, two = (bootstrap(counts, groups, draws=draws, seed=seed).macro_f1 for counts in (first, second))
    return float(macro_f1(first.sum(axis=0)) - macro_f1(second.sum(axis=0))), interval(one - two)


@dataclass(frozen=True, slots=True)
class Gap:
    """The raw gap with the expectation and the p-value that chance alone gives it; ``shrunk`` = max(0, gap - null)."""

    gap: float
    null: float
    p: float

    @property
    def shrunk(self) -> float:
        """What the gap exceeds its null expectation by, never negative."""
        return max(0.0, self.gap - self.null)


def permutation_gap(counts: Counts, groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Gap:
    """Return the gap, max - min of macro-F1 over groups, and what it is when group labels mean nothing.

    *counts* is (s, 7, 7), *groups* (s,) with at least two different values. The null distribution shuffles the labels
    over subjects. p = (1 + #{null >= gap}) / (1 + draws), never zero (Phipson & Smyth 2010).
    """
    names, member = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    features = _marginals(counts).astype(np.float32)
    observed = float(np.ptp(_group_f1(member[None], features, len(names)), axis=1)[0])
    rng = np.random.default_rng(seed)
    null = np.concatenate(
        [
            np.ptp(_group_f1(rng.permuted(np.tile(member, (chunk, 1)), axis=1), features, len(names)), axis=1)
            for chunk in _chunks(draws, len(counts) * len(names))
        ]
    )
    extreme = int((null >= observed - 1e-12).sum())
    return Gap(observed, float(null.mean()), (1 + extreme) / (1 + draws))


def large_groups(groups: ArrayLike) -> tuple[str, ...]:
    """Return the names in *groups* (s,) that at least ``MINIMUM_SUBJECTS`` subjects bear, sorted, without ""."""
    names, sizes = np.unique(np.asarray(groups, dtype=np.str_), return_counts=True)
    return tuple(str(name) for name, size in zip(names, sizes, strict=True) if name and size >= MINIMUM_SUBJECTS)


def group_score(name: str, counts: Counts) -> GroupScore:
    """Return the score of the part *name* of a set from the counts (s, 7, 7) of its subjects."""
    total = counts.sum(axis=0)
    return GroupScore(
        group=name,
        subjects=len(counts),
        images=int(total.sum()),
        accuracy=float(accuracy(total)),
        macro_f1=float(macro_f1(total)),
        macro_f1_interval=jackknife_interval(counts, [name] * len(counts)),
    )


def scores_from(counts: Counts, groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Scores:
    """Return every number of ``Scores`` for per-subject *counts* (s, 7, 7) and the *groups* (s,) of the subjects.

    The interval of the gap is the percentile interval of its ``centred`` bootstrap draws; whether a gap is more than
    chance is answered by ``gap_p``, not by this interval.

    Raises:
        DataError: there is no subject.
    """
    if not len(counts):
        raise DataError("no subject to score: the evaluation set is empty")
    labels = np.asarray(groups, dtype=np.str_)
    total = counts.sum(axis=0)
    resampled = bootstrap(counts, labels, draws=draws, seed=seed)
    members = tuple(group_score(name, counts[labels == name]) for name in resampled.groups if name)
    large = large_groups(labels)
    return Scores(
        images=int(total.sum()),
        subjects=len(counts),
        accuracy=float(accuracy(total)),
        balanced_accuracy=float(balanced_accuracy(total)),
        macro_f1=float(macro_f1(total)),
        macro_f1_interval=jackknife_interval(counts, labels),
        class_f1=dict(zip(EXPRESSIONS, class_f1(total).tolist(), strict=True)),
        groups=members,
        worst_group_f1=min((score.macro_f1 for score in members if score.group in large), default=None),
        confusion=tuple(tuple(row) for row in total.tolist()),
        **_gap_fields(counts, labels, large, resampled, seed=seed),
    )


def pack_counts(counts: Counts) -> str:
    """Return *counts* (s, 7, 7) as text: ``s:`` and the base64 of the zlib of little-endian uint16.

    Raises:
        DataError: a count does not fit 16 bits (more than 65,535 images of one subject in one cell).
    """
    if counts.size and int(counts.max()) > np.iinfo(np.uint16).max:
        raise DataError(f"{int(counts.max())} images of one subject are too many to pack (at most 65535)")
    packed = base64.b64encode(zlib.compress(counts.astype("<u2").tobytes(), 9)).decode("ascii")
    return f"{len(counts)}:{packed}"


def unpack_counts(text: str) -> Counts:
    """Return the counts (s, 7, 7) that ``pack_counts`` wrote.

    Raises:
        DataError: *text* is not what ``pack_counts`` writes.
    """
    try:
        subjects, packed = text.split(":")
        flat = np.frombuffer(zlib.decompress(base64.b64decode(packed, validate=True)), dtype="<u2")
        return flat.reshape(int(subjects), CLASSES, CLASSES).astype(np.int64)
    except (ValueError, zlib.error) as reason:
        raise DataError(f"these are not packed confusion counts ({reason}); score the model again") from reason


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Divide, with 0 where the denominator is 0."""
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    return np.divide(top, bottom, out=np.zeros(np.broadcast_shapes(top.shape, bottom.shape)), where=bottom > 0)


def _marginals(counts: Counts | Floats) -> Counts | Floats:
    """Return what F1 needs of *counts* (..., 7, 7), a sum over subjects: (..., 14) = 2 TP, then truth + predicted."""
    hits = 2 * np.diagonal(counts, axis1=-2, axis2=-1)
    return np.asarray(np.concatenate([hits, counts.sum(axis=-1) + counts.sum(axis=-2)], axis=-1))


def _f1(marginals: NDArray[np.generic]) -> Floats:
    return _ratio(marginals[..., :CLASSES], marginals[..., CLASSES:])


def _strata(groups: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the stratum of each subject (s,) and the sizes of the strata; who is alone in a group shares one."""
    names, member, sizes = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True, return_counts=True)
    alone = sizes[member] == 1
    member = np.where(alone, len(names), member)
    _, member, sizes = np.unique(member, return_inverse=True, return_counts=True)
    return member, sizes


def _chunks(draws: int, cells: int) -> Iterator[int]:
    """Split *draws* rows of *cells* cells each into chunks that stay within ``_CHUNK_CELLS``."""
    size = max(1, _CHUNK_CELLS // max(1, cells))
    while draws > 0:
        yield min(size, draws)
        draws -= size


def _subject_weights(member: NDArray[np.int64], draws: int, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Yield chunks (c, s): how often each subject is drawn, with replacement within its group *member* (s,)."""
    strata = [np.flatnonzero(member == group) for group in range(int(member.max()) + 1)]
    for chunk in _chunks(draws, len(member)):
        weights = np.empty((chunk, len(member)), dtype=np.float32)
        for columns in strata:
            size = len(columns)
            picks = rng.integers(0, size, size=(chunk, size)) + size * np.arange(chunk)[:, None]
            weights[:, columns] = np.bincount(picks.ravel(), minlength=chunk * size).reshape(chunk, size)
        yield weights


def _group_f1(labels: NDArray[np.int64], features: NDArray[np.float32], groups: int) -> Floats:
    """Return macro-F1 (c, groups) for *labels* (c, s), each row a way to share the subjects out over the groups."""
    belongs = (labels[:, None, :] == np.arange(groups)[:, None]).astype(np.float32)
    return np.asarray(_f1(belongs @ features).mean(axis=-1))


def _gap_fields(
    counts: Counts, labels: NDArray[np.str_], large: tuple[str, ...], resampled: Resampled, *, seed: int
) -> dict[str, float | Interval]:
    if len(large) < 2:
        return {}
    chosen = np.isin(labels, large)
    gap = permutation_gap(counts[chosen], labels[chosen], draws=len(resampled.macro_f1), seed=seed)
    return {
        "gap": gap.gap,
        "gap_interval": interval(centred(resampled.gap(large), gap.gap)),
        "gap_null": gap.null,
        "gap_p": gap.p,
        "gap_shrunk": gap.shrunk,
    }
