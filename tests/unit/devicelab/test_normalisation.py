"""Factors of phones: they follow, they flag what is too quick, and they are kept on a schedule."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicelab.normalisation import SCHEDULE, calibrated, drifted, due, phone_spread


def after(ratios, known=None, error=0.003):
    for number, ratio in enumerate(ratios):
        known = calibrated(known, ratio, error, 60.0 * number)
    return known


def test_the_first_references_count_alike_and_later_ones_decay():
    assert after([1.02]).factor == 1.02
    assert after([1.0, 1.02]).factor == pytest.approx(math.sqrt(1.02))
    known = after([1.0] * 20)
    assert calibrated(known, 1.02, 0.003, 0.0).factor == pytest.approx(1.02**0.2)
    assert known.references == 20
    assert known.error < after([1.0]).error / 2


def test_one_odd_reference_moves_little_and_flags_nothing():
    known = calibrated(after([1.0] * 20), 1.5, 0.003, 0.0)
    assert known.factor < 1.015
    assert not drifted(known)


@pytest.mark.parametrize("change", [1.03, 1 / 1.03, 1.068])
def test_a_drift_is_flagged_soon_and_calibrating_anew_ends_it(change):
    known = after([1.0] * SCHEDULE.baseline)
    assert not drifted(known)
    references = 0
    while not drifted(known):
        known = calibrated(known, change, 0.003, 0.0)
        references += 1
    assert references <= 5
    assert not drifted(calibrated(None, change, 0.003, 0.0))


def test_a_quiet_phone_is_hardly_ever_flagged():
    rng = np.random.default_rng(0)
    flags = 0
    for _ in range(100):
        known = after(np.exp(rng.normal(0, 0.009, 50)))
        flags += drifted(known)
    assert flags <= 2


@given(st.lists(st.floats(0.9, 1.1), min_size=1, max_size=30))
def test_a_factor_stays_within_what_was_seen(ratios):
    known = after(ratios)
    assert min(ratios) - 1e-9 <= known.factor <= max(ratios) + 1e-9
    assert known.error > 0


def test_references_are_due_by_count_and_by_time():
    known = after([1.0])
    assert due(None, 0, 0.0)
    assert not due(known, 19, 1799.0)
    assert due(known, 20, 0.0)
    assert due(known, 0, 1800.0)


def test_the_spread_of_phones():
    assert phone_spread([0.98, 1.02]) == pytest.approx(0.0283, abs=1e-4)
    assert phone_spread([1.0]) == 0.0
