"""Multi-objective successive halving: hand-made rungs, and properties that every rung must have."""

import math

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.candidate import Candidate
from search.config import EarlyStopping
from search.halving import Halving, Progress, among_best, end_of, halving_of, progress_at
from search.ledger import Ledger
from search.objectives import Outcome

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


def halving_that_knows(gains, *, eta=3, grace=1, rung=1, slow=99.0):
    """Return halving that saw one training for each of *gains* go from *rung* to its end, far behind all others."""
    halving = Halving(grace=grace, eta=eta, evidence=len(gains))
    for number, gain in enumerate(gains, start=-len(gains)):
        assert halving.goes_on(progress(number, rung, (1.0, slow)))
        halving.ends(number, (1.0 - gain, slow))
    return halving


def test_nobody_is_stopped_before_enough_trainings_have_ended():
    halving = Halving(grace=1, eta=3, evidence=3)
    for number in range(6):
        assert halving.goes_on(progress(number, 1, (-0.9 + 0.1 * number, 1.0), training=f"t{number % 2}"))
        halving.ends(number, (-0.9 + 0.1 * number, 1.0))
    assert halving.goes_on(progress(6, 1, (0.5, 2.0))), "six trials, but two trainings"
    halving.ends(6, (0.5, 2.0))
    assert not halving.goes_on(progress(7, 1, (0.9, 3.0)))


def test_only_what_may_still_gain_enough_goes_on():
    halving = halving_that_knows([0.0, 0.1, 0.3])
    assert halving.goes_on(progress(0, 1, (-0.8, 5.0)))
    assert halving.goes_on(progress(1, 1, (-0.6, 5.0))), "it may get to 0.9, the other may stay at 0.8"
    assert halving.goes_on(progress(2, 1, (-0.1, 4.0))), "faster than all that are better"
    assert not halving.goes_on(progress(3, 1, (-0.4, 6.0))), "at 0.7 it is behind"


def test_the_best_of_many_go_on_behind_the_front_too():
    halving = halving_that_knows([0.0, 0.0])
    stands = [halving.goes_on(progress(number, 1, (-1 + 0.01 * number, 5.0))) for number in range(4)]
    assert stands == [True, True, False, False], "with the two that ended, the best 1 of 3, 2 of 4, 2 of 5, 2 of 6"


def test_a_rung_decides_once_and_never_about_a_training_at_its_end():
    halving = halving_that_knows([0.0], eta=9)
    assert halving.goes_on(progress(0, 1, (-0.9, 1.0)))
    assert not halving.goes_on(progress(1, 1, (-0.1, 2.0)))
    assert halving.goes_on(progress(1, 1, (-0.1, 2.0))), "a report that is repeated after a resumption decides nothing"
    assert halving.goes_on(progress(2, 9, (-0.1, 2.0))), "what is trained to the end is not stopped for that"


def test_no_rung_stands_before_the_grace_is_over():
    halving = halving_that_knows([0.0], eta=9, grace=2, rung=2)
    assert halving.goes_on(progress(0, 2, (-0.9, 1.0)))
    assert halving.goes_on(progress(1, 1, (-0.1, 2.0)))
    assert not halving.goes_on(progress(1, 2, (-0.1, 2.0)))


def test_a_rung_is_a_tenth_of_a_training():
    rungs = [progress(0, epoch, (0.0,), last=60).rung for epoch in (1, 5, 6, 11, 12, 60)]
    assert rungs == [0, 0, 1, 1, 2, 10]
    assert [progress(0, epoch, (0.0,), last=4).rung for epoch in (1, 2, 3)] == [2, 5, 7]


def test_populations_are_compared_and_learnt_from_among_themselves():
    halving = halving_that_knows([0.0], eta=9)
    assert halving.goes_on(progress(0, 1, (-0.9, 1.0)))
    assert halving.goes_on(progress(1, 1, (-0.1, 2.0), peers="children"))
    assert not halving.goes_on(progress(2, 1, (-0.1, 2.0)))


def test_epochs_that_are_there_already_cost_nothing():
    halving = halving_that_knows([0.0], eta=9)
    assert halving.goes_on(progress(0, 1, (-0.9, 1.0), training="shared"))
    assert not halving.goes_on(progress(1, 1, (-0.9, 2.0), training="shared")), "dominated, and no further epoch there"
    assert halving.goes_on(progress(0, 2, (-0.9, 1.0), training="shared"))
    assert halving.goes_on(progress(2, 1, (-0.9, 3.0), training="shared")), "free up to epoch 2"


def test_what_ended_without_numbers_teaches_nothing():
    halving = Halving(grace=1, eta=9, evidence=1)
    for number, end in enumerate([None, (math.nan, 1.0)]):
        assert halving.goes_on(progress(number, 1, (-0.9, 1.0)))
        halving.ends(number, end)
        halving.ends(99, (-0.9, 1.0))
    assert halving.goes_on(progress(3, 1, (-0.1, 2.0)))


def test_a_trial_without_a_number_is_stopped_once_anything_is_known():
    halving = halving_that_knows([0.0])
    assert not halving.goes_on(progress(0, 1, (math.nan, 1.0)))


STUDIES = st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 9), st.integers(-3, 6)), min_size=1, max_size=30)
"""Trials: where they stand at the rung, how slow they are, what they gain from there."""


@given(STUDIES, st.integers(2, 6), st.data())
def test_no_trial_of_the_true_front_is_ever_stopped_while_gains_are_as_seen(trials, eta, data):
    halving = halving_that_knows([-3.0, 6.0], eta=eta)
    ends = [(float(at - gain), float(slow)) for at, slow, gain in trials]
    for number, (at, slow, _) in enumerate(trials):
        if not halving.goes_on(progress(number, 1, (float(at), float(slow)))):
            dominated = [
                other for other in ends[:number] if other != ends[number] and np.less_equal(other, ends[number]).all()
            ]
            assert dominated, "something that came before ends better in everything"
        elif data.draw(st.booleans()):
            halving.ends(number, ends[number])


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-3, 6)), min_size=1, max_size=30), st.integers(2, 6))
def test_with_one_objective_the_true_best_part_is_never_stopped_while_gains_are_as_seen(trials, eta):
    halving = Halving(grace=1, eta=eta, evidence=2)
    for number, gain in ((-2, -3.0), (-1, 6.0)):
        halving.goes_on(progress(number, 1, (99.0,)))
        halving.ends(number, (99.0 - gain,))
    ends = [float(at - gain) for at, gain in trials]
    for number, (at, _) in enumerate(trials):
        if not halving.goes_on(progress(number, 1, (float(at),))):
            better = sum(end < ends[number] for end in ends[:number])
            assert better >= math.ceil((number + 3) / eta), "as many end better as go on"


@given(STUDIES, st.integers(2, 6))
def test_units_do_not_decide_who_is_stopped(trials, eta):
    plain, scaled = (halving_that_knows([0.0], eta=eta, slow=slow) for slow in (99.0, 1024 * 99.0))
    for number, (at, slow, _) in enumerate(trials):
        stands = plain.goes_on(progress(number, 1, (float(at), float(slow))))
        assert stands == scaled.goes_on(progress(number, 1, (float(at), 1024.0 * slow)))


@pytest.mark.parametrize("telling", [True, False])
def test_where_a_rung_tells_the_end_the_worst_are_stopped_and_the_front_never_is(telling):
    rng = np.random.default_rng(0)
    ends, stopped = rng.random((200, 2)), set()
    halving = Halving(grace=1, eta=3, evidence=9)
    for number, (loss, slow) in enumerate(ends):
        if halving.goes_on(progress(number, 1, (loss + 0.01 * rng.random() if telling else 1.0, slow))):
            halving.ends(number, (loss, slow))
        else:
            stopped.add(number)
    assert len(stopped) > 80 if telling else len(stopped) < 10
    assert not stopped & set(np.flatnonzero(moocore.is_nondominated(ends)).tolist())


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


def test_an_end_is_an_outcome_in_the_columns_of_a_rung():
    whole = Outcome(state="complete", values={"f1": 0.4, "gap": 0.1, "latency": 12.0})
    assert end_of(whole, ("f1", "gap", "latency")) == (-0.4, 12.0)
    assert end_of(whole, ("f1",)) == (-0.4,)
    assert end_of(None, ("f1",)) is end_of(Outcome(state="stopped", reason="early"), ("f1",)) is None


def test_a_resumed_study_finds_its_rungs_and_their_ends_again(studied):
    with Ledger.open(studied.ledger_path) as ledger:
        record = ledger.record()
    halving = halving_of(EarlyStopping(grace_epochs=1), record)
    arrived = {number for rung in halving._rungs.values() for number in rung.row_of}
    reported = {
        trial.number
        for trial in record.trials.values()
        for report in trial.reports
        if report.rung == 1 < trial.candidate.training.epochs
    }
    assert reported
    assert arrived >= reported
    ended = {trial.number for trial in record.trials.values() if trial.state == "complete"} & arrived
    known = {number for rung in halving._rungs.values() for number, row in rung.row_of.items() if rung.ended[row]}
    assert known == ended
    assert not halving._open.keys() & record.trials.keys() - {trial.number for trial in record.running}
