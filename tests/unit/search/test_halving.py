"""Multi-objective successive halving: hand-made rungs, and properties that every rung must have."""

import math
from itertools import count

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.candidate import Candidate
from search.config import EarlyStopping
from search.halving import Halving, Progress, among_best, halving_of, progress_at
from search.ledger import Ledger

ROWS = st.integers(1, 3).flatmap(
    lambda columns: st.lists(
        st.tuples(*[st.integers(0, 12).map(float)] * columns),
        min_size=1,
        max_size=40,
    )
)


def reference_order(values):
    """The rule in plain Python: front after front; within a front by the volume that is lost without a row."""
    left, order = list(range(len(values))), []

    def dominates(one, other):
        return bool((values[one] <= values[other]).all() and (values[one] < values[other]).any())

    while left:
        front = [row for row in left if not any(dominates(other, row) for other in left)]
        span = np.ptp(values[front], axis=0)
        scaled = {row: (values[row] - values[front].min(axis=0)) / np.where(span > 0, span, 1) for row in front}

        def volume(rows, scaled=scaled):
            points = np.array([scaled[row] for row in rows])
            return moocore.hypervolume(points, ref=np.full(values.shape[1], 1.1)) if rows else 0.0

        lost = {row: volume(front) - volume([one for one in front if one != row]) for row in front}
        order += sorted(front, key=lambda row: (-round(lost[row], 9), row))
        left = [row for row in left if row not in front]
    return order


@given(ROWS, st.data())
def test_the_best_are_those_of_the_rule_by_definition(rows, data):
    values = np.unique(np.array(rows), axis=0)
    best = data.draw(st.integers(1, len(values)))
    chosen = [row for row in range(len(values)) if among_best(values, row, best)]
    assert chosen == sorted(reference_order(values)[:best])


@given(ROWS, st.integers(2, 4))
def test_a_newcomer_of_the_fronts_that_fit_is_never_stopped_and_one_behind_them_always(rows, eta):
    values = np.array(rows)
    best = math.ceil(len(values) / eta)
    ranks = moocore.pareto_rank(values)
    newcomer = len(values) - 1
    if (ranks <= ranks[newcomer]).sum() <= best:
        assert among_best(values, newcomer, best)
    if (ranks < ranks[newcomer]).sum() >= best:
        assert not among_best(values, newcomer, best)


@given(ROWS, st.data())
def test_units_do_not_matter(rows, data):
    values = np.array(rows)
    best, row = data.draw(st.integers(1, len(values))), data.draw(st.integers(0, len(values) - 1))
    scaled = 1024.0 * values - 7
    assert among_best(values, row, best) == among_best(scaled, row, best)


@given(ROWS, st.randoms(use_true_random=False), st.data())
def test_the_order_of_arrival_decides_only_between_equals(rows, chance, data):
    values = np.unique(np.array(rows), axis=0)
    best = data.draw(st.integers(1, len(values)))
    order = list(range(len(values)))
    chance.shuffle(order)
    shuffled = values[order]
    chosen = {tuple(values[row]) for row in range(len(values)) if among_best(values, row, best)}
    again = {tuple(shuffled[row]) for row in range(len(values)) if among_best(shuffled, row, best)}
    ranks = dict(zip(map(tuple, values), moocore.pareto_rank(values), strict=True))
    assert len(chosen) == len(again) == best
    assert sorted(ranks[row] for row in chosen) == sorted(ranks[row] for row in again)


def test_of_equal_rows_the_earlier_goes_on():
    values = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    assert [among_best(values, row, 1) for row in range(3)] == [True, False, False]


def test_a_row_without_a_number_is_worse_than_all_others():
    values = np.array([[5.0, 9.0], [math.nan, 1.0], [6.0, 10.0], [math.nan, math.nan]])
    assert [among_best(values, row, 1) for row in range(4)].count(True) == 1
    assert not among_best(values, 3, 3)


def test_on_a_front_too_large_those_go_on_that_cover_most_alone():
    front = np.array([[0.0, 1.0], [0.02, 0.98], [0.04, 0.96], [0.5, 0.5], [1.0, 0.0]])
    assert among_best(front, 3, 1), "alone in the middle"
    assert not among_best(front, 1, 2), "crowded"


def progress(number, epoch, vector, *, training=None, peers="all", last=9):
    return Progress(number, training or f"t{number}", peers, epoch, last, vector)


def test_one_objective_is_asha():
    halving = Halving(grace=1, eta=3)
    stands = [halving.goes_on(progress(number, 1, (-f1,))) for number, f1 in enumerate([0.5, 0.4, 0.6, 0.45, 0.55])]
    assert stands == [True, False, True, False, True], "ceil(n / 3) of n go on: 1 of 1, 1 of 2, 1 of 3, 2 of 4, 2 of 5"


def test_only_rungs_decide_and_each_once():
    halving = Halving(grace=1, eta=3)
    assert halving.goes_on(progress(0, 1, (-0.9,)))
    for number in (1, 2):
        assert halving.goes_on(progress(number, 2, (-0.1,))), "no rung"
    assert halving.goes_on(progress(0, 3, (-0.9,)))
    assert not halving.goes_on(progress(1, 3, (-0.1,)))
    assert halving.goes_on(progress(1, 3, (-0.1,))), "a report that is repeated after a resumption decides nothing"
    assert halving.goes_on(progress(2, 9, (-0.1,))), "what is trained to the end is not stopped for that"


def test_populations_are_compared_among_themselves():
    halving = Halving(grace=1, eta=3)
    assert halving.goes_on(progress(0, 1, (-0.9,), peers="adults"))
    assert halving.goes_on(progress(1, 1, (-0.1,), peers="children"))


def test_epochs_that_are_there_already_cost_nothing():
    halving = Halving(grace=1, eta=3)
    assert halving.goes_on(progress(0, 1, (-0.9, 1.0), training="shared"))
    assert not halving.goes_on(progress(1, 1, (-0.9, 2.0), training="shared")), "dominated, and rung 3 not there yet"
    assert halving.goes_on(progress(0, 3, (-0.9, 1.0), training="shared"))
    assert halving.goes_on(progress(2, 1, (-0.9, 3.0), training="shared")), "free up to the next rung"
    assert not halving.goes_on(progress(2, 3, (-0.9, 3.0), training="shared")), "from there on it is not"
    assert halving.goes_on(progress(3, 1, (-0.1, 9.0), training="shared", last=3)), "its own end is rung 3"


def test_the_worst_third_ends_and_the_front_goes_on():
    rng = np.random.default_rng(0)
    stopped = {"front": [], "worst": []}
    for _ in range(20):
        halving, seen, numbers = Halving(grace=1, eta=3), [], count()
        quality = rng.normal(size=200)
        for value in quality:
            vector = (float(-value + rng.normal(0, 0.3)), float(value + rng.normal(0, 1.0)), float(rng.normal()))
            seen.append(vector)
            stands = halving.goes_on(progress(next(numbers), 1, vector))
            ranks = moocore.pareto_rank(np.array(seen))
            if len(seen) < 50:
                continue
            if (ranks <= ranks[-1]).sum() <= math.ceil(len(seen) / 3):
                stopped["front"].append(not stands)
            if (ranks < ranks[-1]).mean() > 2 / 3:
                stopped["worst"].append(not stands)
    assert len(stopped["front"]) > 300
    assert len(stopped["worst"]) > 300
    assert not any(stopped["front"])
    assert all(stopped["worst"])


@pytest.fixture
def candidate(studied):
    with Ledger.open(studied.ledger_path) as ledger:
        return next(iter(ledger.record().trials.values())).candidate


def test_progress_reads_what_the_objectives_have_at_a_rung(candidate: Candidate):
    known = {"val_f1": 0.4, "latency_ms": 12.0, "val_accuracy": 0.5}
    both = progress_at(3, candidate, 2, known, ("f1", "gap", "latency"))
    assert both.vector == (-0.4, 12.0)
    assert both.last == candidate.training.epochs
    assert progress_at(3, candidate, 2, known, ("f1",)).vector == (-0.4,)
    other = candidate.model_copy(
        update={"compression": candidate.compression.model_copy(update={"quantization": "int8"})}
    )
    assert progress_at(4, other, 2, known, ("f1",)).training == both.training, "compression has no part in training"


def test_a_resumed_study_finds_its_rungs_again(studied):
    with Ledger.open(studied.ledger_path) as ledger:
        record = ledger.record()
    halving = halving_of(EarlyStopping(grace_epochs=1, reduction_factor=3), record)
    arrived = {number for trials in halving._rungs.values() for number in trials}
    reported = {
        trial.number
        for trial in record.trials.values()
        for report in trial.reports
        if report.rung == 1 < trial.candidate.training.epochs
    }
    assert reported
    assert arrived >= reported
