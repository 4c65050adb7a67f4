"""Between Tune and the study: how each way in which Tune ends a trial reaches the study, or ends the run."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.budget import Spent
from search.candidate import Candidate
from search.config import StudyConfig
from search.errors import LedgerError, TrialError
from search.objectives import Outcome
from search.overseer import Note
from search.record import Report
from search.space import Given, covering_design, suggest
from search.spending import Spending
from search.study import NOTHING, Question
from search.tuning.searcher import MACHINES, RETRIES, Halt, StudySearcher, Watch

KILLED = "ActorDiedError: killed"
LOST = """\
ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.
	class_name: Journey
The actor died because its node has died. Node Id: 1
"""


class Study:
    """Hands out trials 0, 1, 2 ... of one candidate and notes what it is told."""

    def __init__(self, candidate: Candidate, trials: int = 3) -> None:
        self.candidate, self.trials, self.asked = candidate, trials, 0
        self.reports: list[tuple[int, int, dict[str, float]]] = []
        self.told: dict[int, Outcome] = {}
        self.broken: Exception | None = None
        self.spent = NOTHING

    @property
    def finished(self) -> bool:
        return self.asked >= self.trials and len(self.told) == self.trials

    def ask(self) -> Question | None:
        if self.asked >= self.trials:
            return None
        self.asked += 1
        return Question(self.asked - 1, self.candidate)

    def report(
        self, number: int, rung: int, values: dict[str, float], _features: tuple[float, ...], *, spent: Spent
    ) -> None:
        self.reports.append((number, rung, values))
        self.spent += spent

    def tell(self, number: int, outcome: Outcome, *, spent: Spent = NOTHING) -> None:
        if self.broken:
            raise self.broken
        self.spent += spent
        self.told[number] = outcome


@pytest.fixture
def study(config: StudyConfig) -> Study:
    return Study(suggest(Given(covering_design(config)[0]), config))


@pytest.fixture
def searcher(study: Study) -> StudySearcher:
    return StudySearcher(study, in_flight=2)


def _crash(said: str, blames: str, *, again: bool) -> dict[str, object]:
    return {"crash": said, "trace": "Traceback ...", "blames": blames, "again": again}


def _result(rung: int = 1, **values: float) -> dict[str, object]:
    return {"report": Report(rung=rung, values=values, at=None).model_dump_json()}


def test_no_more_trials_run_at_a_time_than_were_asked_for(searcher: StudySearcher, study: Study) -> None:
    first = searcher.suggest("a")
    assert first["number"] == 0
    assert Candidate.model_validate_json(first["candidate"]) == study.candidate
    assert searcher.suggest("b")["number"] == 1
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a", {"outcome": Outcome(state="failed", reason="x").model_dump_json()})
    assert searcher.suggest("c")["number"] == 2
    assert study.told[0].reason == "x"


def test_a_study_that_is_finished_ends_the_search(searcher: StudySearcher, study: Study) -> None:
    study.trials = 1
    searcher.suggest("a")
    assert searcher.suggest("b") is None, "the last trial still runs"
    searcher.on_trial_complete("a", {"outcome": Outcome(state="failed", reason="x").model_dump_json()})
    assert searcher.suggest("b") == searcher.FINISHED


def test_no_trial_starts_when_part_of_the_budget_is_spent(study: Study) -> None:
    over = Spending("wall_minutes", "time is up")
    spent = iter([None, over])
    searcher = StudySearcher(study, in_flight=2, spent=lambda: next(spent))
    assert searcher.suggest("a")["number"] == 0
    assert searcher.suggest("b") == searcher.FINISHED
    assert searcher.ended_by == over
    searcher.on_trial_complete("a", {"outcome": Outcome(state="complete").model_dump_json()})
    assert study.told[0].state == "complete", "what runs comes to its end"


def test_what_a_step_took_is_passed_on(searcher: StudySearcher, study: Study) -> None:
    searcher.suggest("a")
    searcher.on_trial_result("a", _result(1, val_f1=0.3) | {"spent": '{"cpu_seconds": 2.0, "gpu_seconds": 0.5}'})
    outcome = Outcome(state="complete").model_dump_json()
    searcher.on_trial_complete("a", {"outcome": outcome, "spent": '{"cpu_seconds": 3.0, "gpu_seconds": 0.25}'})
    assert study.spent == Spent(cpu_seconds=5.0, gpu_seconds=0.75)


def test_a_report_is_passed_on(searcher: StudySearcher, study: Study) -> None:
    searcher.suggest("a")
    searcher.on_trial_result("a", _result(2, val_f1=0.3))
    assert study.reports == [(0, 2, {"val_f1": 0.3})]


def test_what_is_measured_is_learnt(study: Study) -> None:
    learnt: list[Report] = []
    searcher = StudySearcher(study, in_flight=2, learn=learnt.append)
    searcher.suggest("a")
    measured = Report(rung=0, values={"latency_ms": 20.0}, features=(1.0, 2.0))
    searcher.on_trial_result("a", {"report": measured.model_dump_json()})
    assert learnt == [measured]


def test_a_trial_that_the_scheduler_ends_is_stopped_and_its_last_report_kept(
    searcher: StudySearcher, study: Study
) -> None:
    searcher.suggest("a")
    searcher.on_trial_complete("a", _result(3, val_f1=0.25))
    assert study.reports == [(0, 3, {"val_f1": 0.25})]
    assert study.told[0].state == "stopped"
    assert study.told[0].reason == "early stopping at epoch 3: val_f1 0.25"


def test_a_journey_that_crashed_halts_the_run_and_stays_open(searcher: StudySearcher, study: Study) -> None:
    searcher.suggest("a")
    with pytest.raises(Halt) as halt:
        searcher.on_trial_complete("a", _crash("ZeroDivisionError: no", "us", again=False))
    assert str(halt.value.cause) == "trial 0: ZeroDivisionError: no (to blame: us)"
    assert halt.value.trace == "Traceback ..."
    assert study.told == {}


def _dies(searcher: StudySearcher, trial_id: str, number: int, trace: str = KILLED) -> None:
    """End a trial's process as Tune tells it."""
    searcher.on_trial_complete(trial_id, error=True)
    searcher.died(number, trace)


def _get_on(searcher: StudySearcher, trial_id: str) -> int:
    """Walk the next trial to its end."""
    asked = searcher.suggest(trial_id)
    searcher.on_trial_complete(trial_id, {"outcome": Outcome(state="complete").model_dump_json()})
    return int(asked["number"])


@pytest.mark.parametrize("party", ["phone", "lab", "worker"])
def test_what_may_fare_better_is_tried_again_and_then_ends_the_run_blaming_the_right_one(
    study: Study, party: str
) -> None:
    study.trials = 1
    searcher = StudySearcher(study, in_flight=2)
    for attempt in "ab":
        assert searcher.suggest(attempt)["number"] == 0
        searcher.on_trial_complete(attempt, _crash("too hot", party, again=True))
    assert searcher.suggest("c")["number"] == 0
    with pytest.raises(Halt) as halt:
        searcher.on_trial_complete("c", _crash("too hot", party, again=True))
    assert isinstance(halt.value.cause, TrialError)
    assert halt.value.cause.blames == party
    told = f"trial 0 could not be evaluated, 3 times: too hot (to blame: {party})"
    assert str(halt.value.cause) == told
    assert study.told == {}


def test_a_candidate_that_ends_three_workers_while_others_get_on_is_to_blame(study: Study) -> None:
    study.trials = 5
    searcher = StudySearcher(study, in_flight=1)
    searcher.suggest("a")
    _dies(searcher, "a", 0)
    assert _get_on(searcher, "b") == 1, "a new trial goes before one that failed"
    for attempt in "cd":
        assert searcher.suggest(attempt)["number"] == 0, "and then that one"
        _dies(searcher, attempt, 0)
    assert study.told[0].state == "failed"
    assert study.told[0].blames == "candidate"
    assert study.told[0].reason == "could not be evaluated, 3 times: its process ended: ActorDiedError: killed"


def test_workers_that_all_die_are_to_blame_themselves(study: Study) -> None:
    study.trials = 2
    searcher = StudySearcher(study, in_flight=1)
    for attempt in range(4):
        number = searcher.suggest(str(attempt))["number"]
        assert number == (0, 1, 0, 1)[attempt]
        _dies(searcher, str(attempt), number)
    searcher.suggest("last")
    with pytest.raises(Halt) as halt:
        _dies(searcher, "last", 0)
    assert halt.value.cause.blames == "worker"
    assert study.told == {}


def test_of_many_candidates_in_a_row_that_end_all_workers_the_last_is_not_to_blame(study: Study) -> None:
    study.trials = 4
    searcher = StudySearcher(study, in_flight=1, proven=True)
    for number in range(3):
        for attempt in range(3):
            assert searcher.suggest(f"{number} {attempt}")["number"] == number
            _dies(searcher, f"{number} {attempt}", number)
    for attempt in "ab":
        searcher.suggest(attempt)
        _dies(searcher, attempt, 3)
    searcher.suggest("c")
    with pytest.raises(Halt) as halt:
        _dies(searcher, "c", 3)
    assert halt.value.cause.blames == "worker"
    assert {outcome.blames for outcome in study.told.values()} == {"candidate"}


@pytest.mark.parametrize(
    ("note", "state"),
    [
        (Note("train", 2, hung=True, trace="Timeout ("), "failed"),
        (Note("measure", 2, hung=True, trace="Timeout ("), "again"),
        (Note("train", 2, hung=False, trace=""), "again"),
        (None, "again"),
    ],
)
def test_what_a_dead_worker_noted_decides(study: Study, note: Note | None, state: str) -> None:
    searcher = StudySearcher(study, in_flight=1, note_of=lambda _: note)
    searcher.suggest("a")
    _dies(searcher, "a", 0)
    if state == "failed":
        assert study.told[0].blames == "candidate"
        told = "StageTimeoutError: train took more than 2 minutes (limits.train in study.toml)"
        assert study.told[0].reason == told
    else:
        assert study.told == {}
        assert [_get_on(searcher, str(n)) for n in range(3)] == [1, 0, 2]


def test_a_machine_that_is_lost_does_not_count_against_its_trial_but_not_for_ever(study: Study) -> None:
    study.trials = 1
    searcher = StudySearcher(study, in_flight=1, proven=True)
    for attempt in range(MACHINES + RETRIES):
        assert searcher.suggest(str(attempt))["number"] == 0
        _dies(searcher, str(attempt), 0, LOST)
    assert study.told == {}
    searcher.suggest("last")
    _dies(searcher, "last", 0, LOST)
    assert study.told[0].blames == "candidate"
    assert study.told[0].reason.startswith("could not be evaluated, 3 times: its process ended: The actor died because")


def test_between_machines_that_are_lost_the_deaths_of_workers_count(study: Study) -> None:
    study.trials = 1
    searcher = StudySearcher(study, in_flight=1, proven=True)
    for trace in (LOST, KILLED, LOST, KILLED, LOST):
        searcher.suggest(trace)
        _dies(searcher, trace, 0, trace)
    assert study.told == {}
    searcher.suggest("last")
    _dies(searcher, "last", 0, KILLED)
    assert study.told[0].reason == "could not be evaluated, 3 times: its process ended: ActorDiedError: killed"


def test_tune_tells_of_a_death_with_what_it_wrote_down(tmp_path: Path) -> None:
    (tmp_path / "error.txt").write_text("Failure\n  ActorDiedError: killed\n\n")
    died: list[tuple[int, str]] = []
    watch = Watch(lambda: False, lambda: None, lambda number, trace: died.append((number, trace)))
    watch.on_trial_error(
        iteration=1, trials=[], trial=SimpleNamespace(config={"number": 4}, error_file=str(tmp_path / "error.txt"))
    )
    assert died == [(4, "Failure\n  ActorDiedError: killed\n\n")]


@pytest.mark.parametrize("error", [LedgerError("disk full"), ZeroDivisionError("ours")])
def test_an_error_of_the_study_is_not_lost_in_tune(searcher: StudySearcher, study: Study, error: Exception) -> None:
    searcher.suggest("a")
    study.broken = error
    with pytest.raises(Halt) as halt:
        searcher.on_trial_complete("a", {"outcome": Outcome(state="failed").model_dump_json()})
    if isinstance(error, LedgerError):
        assert halt.value.cause is error
        assert halt.value.trace == ""
    else:
        assert str(halt.value.cause) == "ZeroDivisionError: ours"
        assert "Traceback" in halt.value.trace


def test_an_interruption_halts_without_a_cause() -> None:
    looks: list[int] = []
    watch = Watch(lambda: len(looks) >= 2, lambda: looks.append(1), lambda *_: None)
    assert not watch.stop_all()
    assert not watch.stop_all()
    with pytest.raises(Halt) as halt:
        watch.stop_all()
    assert halt.value.cause is None
    assert pickle.dumps(watch), "Tune pickles it"
