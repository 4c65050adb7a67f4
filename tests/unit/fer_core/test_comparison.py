"""Paired comparison: against brute force, SciPy, and cases whose answer is known."""

import numpy as np
import pytest
from scipy.stats import binomtest

from fer_core import comparison, statistics
from fer_core.errors import DataError


def example(seed, subjects=60, each=8, skill=(0.7, 0.7), groups=("a", "b", "c")):
    """Return labels, two predictions (independent, right with probability *skill*), subjects and groups."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(subjects), each)
    labels = rng.integers(0, 7, len(who))
    wrong = (labels + rng.integers(1, 7, (2, len(who)))) % 7
    first, second = np.where(rng.random((2, len(who))) < np.array(skill)[:, None], labels, wrong)
    return labels, first, second, np.char.zfill(who.astype(str), 3), np.array(groups)[who % len(groups)]


def test_a_model_does_not_differ_from_itself():
    labels, first, _, subjects, groups = example(0)
    found = comparison.compare(labels, first, first, subjects, groups, draws=200)
    for difference in (found.macro_f1, found.accuracy, found.gap):
        assert (difference.value, difference.interval.low, difference.interval.high) == (0, 0, 0)
        assert not difference.resolved
    assert (found.images, found.subjects, found.only_first, found.only_second, found.mcnemar_p) == (480, 60, 0, 0, 1)


def test_a_better_model_is_found_and_the_sign_turns_with_the_order():
    labels, first, second, subjects, groups = example(1, skill=(0.8, 0.6))
    found = comparison.compare(labels, first, second, subjects, groups, draws=2000)
    turned = comparison.compare(labels, second, first, subjects, groups, draws=2000)
    assert found.macro_f1.resolved
    assert found.accuracy.value == pytest.approx((first == labels).mean() - (second == labels).mean())
    assert found.accuracy.interval.low < found.accuracy.value < found.accuracy.interval.high
    assert found.mcnemar_p < 1e-4
    for ahead, behind in (
        (found.macro_f1, turned.macro_f1),
        (found.accuracy, turned.accuracy),
        (found.gap, turned.gap),
    ):
        assert ahead.value == pytest.approx(-behind.value)
        assert ahead.interval.low == pytest.approx(-behind.interval.high)
    assert (found.only_first, found.only_second) == (turned.only_second, turned.only_first)


def test_intervals_are_those_of_a_loop_that_draws_the_same_children_for_both():
    labels, first, second, subjects, groups = example(2, subjects=9, groups=("a",))
    found = comparison.compare(labels, first, second, subjects, groups, draws=300, seed=4)
    (weights,) = statistics._subject_weights(np.zeros(9, dtype=int), 300, np.random.default_rng(4))
    values = []
    for row in weights:
        images = np.concatenate(
            [np.flatnonzero(subjects == f"{who:03}") for who in np.repeat(np.arange(9), row.astype(int))]
        )
        values.append((first[images] == labels[images]).mean() - (second[images] == labels[images]).mean())
    low, high = np.percentile(values, [2.5, 97.5])
    assert (found.accuracy.interval.low, found.accuracy.interval.high) == pytest.approx((low, high))
    assert found.gap is None


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (3, 9), (9, 3), (40, 41), (500, 410)])
def test_mcnemar_is_the_exact_binomial_test(only_first, only_second):
    total = only_first + only_second
    expected = binomtest(only_first, total).pvalue if total else 1.0
    assert comparison.mcnemar(only_first, only_second) == pytest.approx(expected)


def test_intervals_of_equal_models_hold_zero_about_95_times_in_100():
    held = np.zeros(2)
    for seed in range(200):
        labels, first, second, subjects, groups = example(seed)
        found = comparison.compare(labels, first, second, subjects, groups, draws=200, seed=seed)
        held += [not found.macro_f1.resolved, not found.accuracy.resolved]
    assert (held >= 178).all()  # 4.1 standard errors below 95 %
    assert (held < 200).all()


def test_other_images_are_refused():
    labels, first, second, subjects, groups = example(3)
    with pytest.raises(DataError, match="same images"):
        comparison.compare(labels, first, second[:-1], subjects, groups)
    with pytest.raises(DataError, match="same images"):
        comparison.compare([], [], [], [], [])
    _, counts = statistics.subject_confusions(labels, first, subjects)
    with pytest.raises(DataError, match="same images"):
        comparison.differences(counts, np.roll(counts, 1, axis=0), groups[::8])


def test_the_mean_over_pairs_draws_the_same_children_for_all():
    labels, first, second, subjects, groups = example(5, skill=(0.8, 0.7))
    one, two = (statistics.subject_confusions(labels, predicted, subjects)[1] for predicted in (first, second))
    each = groups[::8]
    alone = comparison.differences(one, two, each, draws=500)[0]
    assert comparison.mean_difference([(one, two)] * 3, each, draws=500) == alone
    both = comparison.mean_difference([(one, two), (two, one)], each, draws=500)
    assert (both.value, both.interval.low, both.interval.high) == pytest.approx((0, 0, 0))
