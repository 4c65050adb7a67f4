"""What ends a study: each part of the budget, at the event that spends it, and not before."""

import pytest

from search.budget import Budget, Spent, Stall
from search.config import StudyConfig
from search.objectives import Outcome
from search.record import TrialReported, TrialTold
from search.spending import Account, Spending


def _with(config: StudyConfig, **budget: object) -> StudyConfig:
    return config.model_copy(update={"budget": Budget(**budget)})


def _told(number: int, f1: float | None) -> TrialTold:
    values = {} if f1 is None else {"f1": f1, "gap": 0.1, "latency": 60.0}
    return TrialTold(number=number, outcome=Outcome(state="failed" if f1 is None else "complete", values=values))


def test_nothing_else_ends_a_study_by_itself(config: StudyConfig) -> None:
    account = Account(config, clock=lambda: 0.0)
    for number in range(50):
        account.hear(TrialReported(number=number, rung=1, values={}, spent=Spent(cpu_seconds=1e6, gpu_seconds=1e6)))
        account.hear(_told(number, 0.5))
    assert account.spent() is None


def test_minutes_count_from_the_beginning_of_a_run(config: StudyConfig) -> None:
    now = [1000.0]
    account = Account(_with(config, wall_minutes=2), clock=lambda: now[0])
    now[0] += 119.0
    assert account.spent() is None
    now[0] += 1.0
    assert account.spent() == Spending("wall_minutes", "time is up")


@pytest.mark.parametrize(("key", "name"), [("cpu", "CPU-hours"), ("gpu", "GPU-hours")])
def test_hours_count_over_reports_and_endings(config: StudyConfig, key: str, name: str) -> None:
    account = Account(_with(config, **{f"{key}_hours": 1.0}), clock=lambda: 0.0)
    account.hear(TrialReported(number=0, rung=1, values={}, spent=Spent(**{f"{key}_seconds": 1800.0})))
    other = "gpu" if key == "cpu" else "cpu"
    account.hear(TrialReported(number=0, rung=2, values={}, spent=Spent(**{f"{other}_seconds": 1e6})))
    assert account.spent() is None
    told = TrialTold(number=0, outcome=Outcome(state="failed"), spent=Spent(**{f"{key}_seconds": 1800.0}))
    account.hear(told)
    assert account.spent() == Spending(f"{key}_hours", f"{name} are spent: 1 of 1")


def test_a_front_that_stands_still_ends_the_study_after_so_many_trials(config: StudyConfig) -> None:
    account = Account(_with(config, stall=Stall(trials=3, percent=1.0)), clock=lambda: 0.0)
    seen = []
    for number, f1 in enumerate([None, None, None, None, 0.5, 0.3, 0.51, 0.511, None, 0.4]):
        account.hear(_told(number, f1))
        seen.append(account.spent())
    assert seen[:9] == [None] * 9, "failures before the first volume are no standstill, and 0.50 to 0.51 is 2 %"
    last = seen[9]
    assert last is not None
    assert last.key == "stall"
    assert last.sentence.endswith("0.2 % more than 3 trials ago")


def test_what_is_bounded_is_told_in_words() -> None:
    budget = Budget(trials=30, wall_minutes=13, cpu_hours=2, gpu_hours=0.5, stall=Stall(trials=20, percent=0.5))
    rule = "until 20 trials bring no more than 0.5 % of hypervolume"
    assert budget.sentences() == ("30 trials", "13 minutes a run", "2 CPU-hours", "0.5 GPU-hours", rule)
    spent = budget.sentences(Spent(cpu_seconds=900.0))
    assert spent[2:4] == ("2 CPU-hours (0.25 spent)", "0.5 GPU-hours (0 spent)")
