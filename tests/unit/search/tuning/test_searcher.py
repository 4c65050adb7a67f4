"""Between Tune and the study: how each way in which Tune ends a trial reaches the study, or ends the run."""

import pickle
from types import SimpleNamespace

import pytest

from search.candidate import Candidate
from search.config import StudyConfig
from search.errors import LedgerError
from search.objectives import Outcome
from search.record import Report
from search.space import Given, covering_design, suggest
from search.study import Question
from search.tuning.searcher import Halt, StudySearcher, Watch


class Study:
    """Hands out trials 0, 1, 2 ... of one candidate and notes what it is told."""

    def __init__(self, candidate: Candidate, trials: int = 3) -> None:
        self.candidate, self.trials, self.asked = candidate, trials, 0
        self.reports: list[tuple[int, int, dict[str, float]]] = []
        self.told: dict[int, Outcome] = {}
        self.broken: Exception | None = None

    @property
    def finished(self) -> bool:
        return self.asked >= self.trials and len(self.told) == self.trials

    def ask(self) -> Question | None:
        if self.asked >= self.trials:
            return None
        self.asked += 1
        return Question(self.asked - 1, self.candidate)

    def report(self, number: int, rung: int, values: dict[str, float]) -> None:
        self.reports.append((number, rung, values))

    def tell(self, number: int, outcome: Outcome) -> None:
        if self.broken:
            raise self.broken
        self.told[number] = outcome


@pytest.fixture
def study(config: StudyConfig) -> Study:
    return Study(suggest(Given(covering_design(config)[0]), config))


@pytest.fixture
def searcher(study: Study) -> StudySearcher:
    return StudySearcher(study, concurrency=2, deadline=100.0, clock=lambda: 0.0)


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


def test_no_trial_starts_after_the_deadline(study: Study) -> None:
    times = iter([99.0, 100.0])
    searcher = StudySearcher(study, concurrency=2, deadline=100.0, clock=lambda: next(times))
    assert searcher.suggest("a")["number"] == 0
    assert searcher.suggest("b") == searcher.FINISHED
    assert searcher.out_of_time


def test_a_report_is_passed_on(searcher: StudySearcher, study: Study) -> None:
    searcher.suggest("a")
    searcher.on_trial_result("a", _result(2, val_f1=0.3))
    assert study.reports == [(0, 2, {"val_f1": 0.3})]


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
        searcher.on_trial_complete("a", {"crash": "ZeroDivisionError: no", "trace": "Traceback ..."})
    assert str(halt.value.cause) == "trial 0: ZeroDivisionError: no"
    assert halt.value.trace == "Traceback ..."
    assert study.told == {}


def test_a_trial_that_could_not_be_evaluated_stays_open_and_halts_the_run(
    searcher: StudySearcher, study: Study, tmp_path
) -> None:
    searcher.suggest("a")
    searcher.on_trial_complete("a", error=True)
    assert study.told == {}
    (tmp_path / "error.txt").write_text("Traceback\n  devicelab.errors.DeviceError: too hot\n\n")
    trial = SimpleNamespace(config={"number": 0}, error_file=str(tmp_path / "error.txt"))
    with pytest.raises(Halt) as halt:
        Watch(lambda: False, lambda: None).on_trial_error(iteration=1, trials=[], trial=trial)
    assert str(halt.value.cause) == "trial 0 could not be evaluated, 3 times: devicelab.errors.DeviceError: too hot"


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
    watch = Watch(lambda: len(looks) >= 2, lambda: looks.append(1))
    assert not watch.stop_all()
    assert not watch.stop_all()
    with pytest.raises(Halt) as halt:
        watch.stop_all()
    assert halt.value.cause is None
    assert pickle.dumps(watch), "Tune pickles it"
