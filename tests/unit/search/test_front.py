"""The front: against closed forms, a brute force, a Monte Carlo, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search.config import StudyConfig
from search.errors import NothingToShow
from search.front import front_rows, hypervolume, hypervolume_history, membership, non_dominated
from search.ledger import Ledger
from search.record import TrialRecord
from search.space import Given, covering_design, suggest

THREE = ["maximize", "minimize", "minimize"]
REFERENCE = [0.0, 1.0, 100.0]

points = st.integers(1, 25).flatmap(lambda n: arrays(np.float64, (n, 3), elements=st.integers(0, 5).map(float)))
inside = st.integers(1, 12).flatmap(
    lambda n: arrays(np.float64, (n, 3), elements=st.floats(0.01, 0.99)).map(lambda v: v * [1, 1, 100])
)


def brute_force(values):
    gains = values * [1, -1, -1]
    beaten = (gains[:, None] >= gains[None]).all(axis=2) & (gains[:, None] > gains[None]).any(axis=2)
    return ~beaten.any(axis=0)


@given(points)
def test_non_dominated_is_what_brute_force_says(values):
    assert (non_dominated(values, THREE) == brute_force(values)).all()


@given(points, st.randoms())
def test_order_never_matters(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    assert (non_dominated(values[order], THREE) == non_dominated(values, THREE)[order]).all()


def test_nan_is_never_on_the_front_and_beats_nobody():
    values = np.array([[0.5, 0.1, 50.0], [np.nan, 0.0, 1.0], [0.9, 0.0, np.nan]])
    assert non_dominated(values, THREE).tolist() == [True, False, False]
    assert non_dominated(np.zeros((0, 3)), THREE).tolist() == []


def test_hypervolume_of_one_point_is_its_box():
    assert hypervolume(np.array([[0.5, 0.25, 40.0]]), THREE, REFERENCE).share == pytest.approx(0.5 * 0.75 * 0.6)


def test_hypervolume_of_two_points_by_inclusion_and_exclusion():
    values = np.array([[0.5, 0.25, 40.0], [0.8, 0.5, 80.0]])
    expected = 0.5 * 0.75 * 0.6 + 0.8 * 0.5 * 0.2 - 0.5 * 0.5 * 0.2
    assert hypervolume(values, THREE, REFERENCE).share == pytest.approx(expected)


def test_points_outside_are_dropped_and_counted():
    values = np.array([[0.5, 0.25, 40.0], [0.9, 0.0, 100.0], [0.0, 0.0, 1.0], [np.nan, 0.0, 1.0]])
    volume = hypervolume(values, THREE, REFERENCE)
    assert volume.outside == 3
    assert volume.share == pytest.approx(0.225)
    assert hypervolume(values[1:], THREE, REFERENCE) == (0.0, 3)
    assert hypervolume(np.zeros((0, 3)), THREE, REFERENCE) == (0.0, 0)


@given(inside)
def test_hypervolume_is_what_monte_carlo_says(values):
    corners = np.random.default_rng(0).random((4000, 3)) * [1, 1, 100]
    covered = ((corners[:, None] * [-1, 1, 1]) >= (values[None] * [-1, 1, 1])).all(axis=2).any(axis=1)
    assert hypervolume(values, THREE, REFERENCE).share == pytest.approx(covered.mean(), abs=0.04)


@given(inside)
def test_hypervolume_counts_only_the_front_and_only_grows(values):
    whole = hypervolume(values, THREE, REFERENCE).share
    assert hypervolume(values[non_dominated(values, THREE)], THREE, REFERENCE).share == pytest.approx(whole)
    assert hypervolume(values[:-1], THREE, REFERENCE).share <= whole + 1e-12


@pytest.fixture
def trial(config: StudyConfig):
    params = covering_design(config)[0]
    candidate = suggest(Given(params), config)
    return lambda number, outcome: TrialRecord(
        number=number, candidate=candidate, params=params, outcome=outcome, asked_at=None
    )


def test_membership_is_sure_of_what_is_far_and_unsure_of_what_is_near(trial, outcomes, config):
    good, slow, bad = (trial(number, outcomes[number]) for number in range(3))
    chances = membership([good, slow, bad], config, draws=200)
    assert chances[0] == 1.0  # the fastest by far
    assert chances[1] > 0.95
    assert chances[2] < 0.3  # slower and worse than both, but for the gap

    rival = outcomes[0].measurement.model_copy(
        update={"median_ms": 40.1, "low_ms": 39.3, "high_ms": 41.3, "fingerprint": "r"}
    )
    near = outcomes[0].model_copy(update={"measurement": rival, "values": {**outcomes[0].values, "latency": 40.1}})
    first, second = membership([good, trial(3, near)], config, draws=400)
    assert 0.5 < first < 1.0
    assert 0.2 < second < first


def test_one_measurement_has_one_latency(trial, outcomes, config):
    """Trials with the same graph and the same scores stand or fall together: neither is ever faster."""
    twins = [trial(number, outcomes[0]) for number in range(2)]
    assert membership(twins, config, draws=100).tolist() == [1.0, 1.0]


def test_membership_of_nobody(config):
    assert membership([], config).shape == (0,)


def test_front_rows_are_the_front_fastest_first(studied):
    with Ledger.open(studied.ledger_path, readonly=True) as ledger:
        record = ledger.record()
    rows = front_rows(record, draws=50)
    assert [row.trial for row in rows] == [0, 1]
    assert all(row.on_front for row in rows)
    everything = front_rows(record, everything=True, draws=50)
    assert [(row.trial, row.on_front) for row in everything] == [(0, True), (1, True), (2, False)]
    outcome = record.trials[0].outcome
    row = rows[0]
    assert row.f1 == outcome.values["f1"] == outcome.scorecard.search.macro_f1
    assert row.report_f1 == outcome.scorecard.report.macro_f1
    assert (row.latency_ms, row.source, row.synthetic_faces) == (40.0, "simulated", True)
    assert row.candidate_digest == record.trials[0].candidate.digest
    history = hypervolume_history(record)
    assert [count for count, _ in history] == [1, 2, 3]
    assert sorted(share for _, share in history) == [share for _, share in history]


def test_without_a_complete_trial_there_is_nothing_to_show(make_study, outcomes):
    folder = make_study(outcomes[3:], running=1)
    with Ledger.open(folder.ledger_path, readonly=True) as ledger, pytest.raises(NothingToShow) as caught:
        front_rows(ledger.record())
    assert caught.value.exit_code == 3
    assert "3 ended, 1 running" in str(caught.value)
