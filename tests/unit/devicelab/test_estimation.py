"""The statistics: against exact binomial tails, against simulation with a known truth, and by their laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicelab import estimation
from devicelab.estimation import Block, Interval, agreeing, combine, lag1, median_interval, settled

positive = st.floats(0.1, 1e4)


def test_ranks_are_the_textbook_ones():
    # Conover, Practical Nonparametric Statistics: n = 20, 95 %: the 6th and the 15th value (level 0.9586)
    interval = median_interval(_uncorrelated(20), alpha=0.05)
    assert (interval.low, interval.value, interval.high) == (6, 10.5, 15)
    assert estimation._rank(5, 0.05) == 0
    assert estimation._rank(6, 0.05) == 1


def _uncorrelated(count):
    """The numbers 1 to *count* in an order whose lag-1 correlation is below 0."""
    return [
        value for pair in zip(range(1, count // 2 + 1), range(count, count // 2, -1), strict=True) for value in pair
    ]


@given(st.lists(positive, min_size=1, max_size=60), st.floats(0.1, 10))
def test_interval_holds_the_median_and_scales(times, factor):
    interval = median_interval(times)
    assert min(times) <= interval.low <= interval.value <= interval.high <= max(times)
    assert interval.value == pytest.approx(np.median(times))
    scaled = median_interval([factor * time for time in times])
    assert scaled.low == pytest.approx(factor * interval.low)
    assert scaled.high == pytest.approx(factor * interval.high)


def test_sequential_looks_keep_the_level():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        times = np.exp(rng.normal(0, 0.05, estimation.LOOKS[-1]))
        looks = [median_interval(times[:look]) for look in estimation.LOOKS]
        missed += any(not look.low <= 1.0 <= look.high for look in looks)
    assert missed <= 0.05 * 400


def test_correlated_runs_widen_the_interval():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=300)
    drift = np.zeros(300)
    for i in range(1, 300):
        drift[i] = 0.9 * drift[i - 1] + noise[i]
    slow, fast = 100 + drift, 100 + rng.permutation(drift)
    assert lag1(slow) == pytest.approx(0.9, abs=0.1)
    assert abs(lag1(fast)) < 0.2
    assert median_interval(slow).precision > 2 * median_interval(fast).precision


def test_settled_waits_for_the_cold_start_to_pass():
    cold = [100 * (1 + 0.9 * math.exp(-run / 1.5)) for run in range(40)]
    needed = next(count for count in range(41) if settled(cold[:count]))
    assert 6 < needed < 15
    assert cold[needed - 1] == pytest.approx(100, rel=0.01)
    assert not settled([100.0] * 5)
    assert settled([100.0] * 6)


def test_agreeing_names_those_near_the_median():
    assert agreeing([]) is agreeing([100]) is None
    assert agreeing([100, 102.1]) is None
    assert agreeing([100, 101.9]) == (0, 1)
    assert agreeing([100, 101.9], close=0.01) is None
    assert agreeing([100, 110, 101]) == (0, 2)
    assert agreeing([100, 101, 99]) == (0, 1, 2)
    assert agreeing([100, 130, 101, 131]) is None
    assert agreeing([100, 130, 101, 131, 100.5]) == (0, 2, 4)
    assert agreeing([100, 110, 120]) is None


@given(st.lists(positive, min_size=2, max_size=5), st.randoms())
def test_agreement_does_not_depend_on_order_and_is_agreement(values, random):
    group = agreeing(values)
    shuffled = random.sample(values, len(values))
    other = agreeing(shuffled)
    assert (group is None) == (other is None)
    if group is not None:
        assert sorted(values[index] for index in group) == sorted(shuffled[index] for index in other)
        low, *_, high = sorted(values[index] for index in group)
        assert high / low <= (1 + estimation.AGREEMENT) / (1 - estimation.AGREEMENT)


@given(st.integers(0, 99), st.floats(0.01, 0.08))
def test_spread_is_that_of_the_runs_and_blind_to_spikes(seed, sd):
    rng = np.random.default_rng(seed)
    times = np.exp(rng.normal(0, sd, 400))
    times[rng.random(400) < 0.05] *= 2
    assert estimation.spread(times) == pytest.approx(sd, rel=0.4)


def test_spread_of_a_summary_is_that_of_its_runs():
    rng = np.random.default_rng(3)
    for count in (10, 20, 50):
        found = [
            estimation.spread_below(float(np.median(t)), t.min(), count) for t in rng.normal(1, 0.03, (500, count))
        ]
        assert np.mean(found) == pytest.approx(0.03, rel=0.08)
    assert estimation.spread_below(1.0, 1.0, 1) == 0.0


def test_a_stretch_apart_is_seen_and_single_spikes_are_not():
    calm = [100.0] * 20
    assert estimation.stretch_apart(calm[:9]) == estimation.stretch_apart(calm) == 0.0
    spiky = [200.0 if index % 5 == 0 else 100.0 for index in range(20)]
    assert estimation.stretch_apart(spiky) == 0.0
    assert estimation.stretch_apart([*calm[:12], *[130.0] * 4, *calm[:4]]) == pytest.approx(0.3)


def test_weighting_prefers_what_is_known_better():
    mean, error = estimation.weighted([(1.0, 0.01), (1.1, 0.02)])
    assert mean == pytest.approx(1.02)
    assert error == pytest.approx(0.01 * math.sqrt(0.8))


def test_a_threshold_is_cleared_only_surely():
    assert estimation.clears(90, block(100)) is True
    assert estimation.clears(110, block(100)) is False
    assert estimation.clears(102, block(100)) is None
    assert estimation.clears(90, block(100, half=0.1)) is None


def block(value, factor=1.0, device="a", half=0.0):
    return Block(device, Interval(value, value * (1 - half), value * (1 + half)), factor, 0.0)


def test_combination_normalises_and_is_the_geometric_mean():
    blocks = [block(90, 0.9), block(104.04, 1.0, "b")]
    assert combine(blocks, blocks).value == pytest.approx(102)


def test_combination_adds_up_by_hand():
    blocks = [block(100, half=0.01), block(100, half=0.01)]
    variance = ((0.01 / 1.96) ** 2 + 0.012**2) / 2 + 0.005**2
    assert combine(blocks, blocks).high == pytest.approx(100 * math.exp(1.96 * math.sqrt(variance)))


def test_two_phones_know_more_than_one_and_unrest_costs_certainty():
    one, two = [block(100), block(100)], [block(100), block(100, device="b")]
    assert combine(two, two).precision < combine(one, one).precision
    restless = [*one, block(120), block(80)]
    assert combine(one, restless).precision > 3 * combine(one, one).precision
