"""fold: what events add up to."""

import pytest

from search.budget import Spent
from search.errors import LedgerError
from search.objectives import Outcome
from search.record import (
    RunEnded,
    RunStarted,
    StudyOpened,
    TrialAsked,
    TrialReported,
    TrialTold,
    fold,
)
from search.space import Given, covering_design, suggest

LOST = Outcome(state="failed", reason="lost")


@pytest.fixture
def opened(config):
    return StudyOpened(name="demo", config=config.model_dump(mode="json"), config_digest=config.digest)


@pytest.fixture
def asked(config):
    params = covering_design(config)[0]
    return lambda number: TrialAsked(number=number, candidate=suggest(Given(params), config), params=params)


def test_states_follow_from_events(opened, asked):
    record = fold([opened, asked(0), asked(1), TrialReported(number=0, rung=1, values={"f1": 0.1}),
                   TrialTold(number=1, outcome=LOST)])  # fmt: skip
    assert [trial.state for trial in record.trials.values()] == ["running", "failed"]
    assert [trial.number for trial in record.running] == [0]
    assert record.told == (1,)


def test_a_rung_reported_again_counts_once(opened, asked):
    reports = [
        TrialReported(number=0, rung=rung, values={"f1": value}) for rung, value in ((2, 0.2), (1, 0.1), (2, 0.3))
    ]
    record = fold([opened, asked(0), *reports])
    assert [(report.rung, report.values["f1"]) for report in record.trials[0].reports] == [(1, 0.1), (2, 0.3)]


def test_what_trials_took_adds_up_also_where_one_was_walked_twice(opened, asked):
    took = Spent(cpu_seconds=2.0, gpu_seconds=0.5)
    reports = [TrialReported(number=0, rung=1, values={}, spent=took) for _ in range(2)]
    record = fold([opened, asked(0), *reports, TrialTold(number=0, outcome=LOST, spent=took)])
    assert record.spent == Spent(cpu_seconds=6.0, gpu_seconds=1.5)


def test_runs_and_the_budget_of_the_last(opened):
    first = [RunStarted(pid=1, host="a"), RunEnded(reason="interrupted")]
    second = [RunStarted(pid=2, host="a", budget={"trials": 40}), RunEnded(reason="x", spent="stall")]
    record = fold([opened, *first, *second])
    assert [run.reason for run in record.runs] == ["interrupted", "x"]
    assert [run.spent for run in record.runs] == ["", "stall"]
    assert record.config.budget.trials == 40


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (lambda opened, asked: [], "holds no event"),
        (lambda opened, asked: [asked(0)], "begins with trial-asked"),
        (lambda opened, asked: [opened, opened], "opens its study twice"),
        (lambda opened, asked: [opened, asked(0), asked(0)], "handed out twice"),
        (lambda opened, asked: [opened, TrialTold(number=0, outcome=LOST)], "never handed out"),
        (lambda opened, asked: [opened, asked(0), *[TrialTold(number=0, outcome=LOST)] * 2], "told before"),
        (lambda opened, asked: [opened.model_copy(update={"config": {}})], "recorded study cannot be read: name"),
    ],
)
def test_impossible_histories_are_refused(opened, asked, events, told):
    with pytest.raises(LedgerError, match=told):
        fold(events(opened, asked))
