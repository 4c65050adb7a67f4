"""The driver's parts that need no Ray: signals, the audience, the scheduler, the refusal of a changed study."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType, SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from devicelab.errors import DeviceError
from search.budget import Stall
from search.config import EarlyStopping
from search.errors import StudyError, TrialError
from search.folder import StudyFolder
from search.ledger import Ledger
from search.objectives import Outcome
from search.record import Report, RunEnded, StudyRecord, TrialTold
from search.tuning.driver import Audience, Ending, Interruption, _ledger, _scheduler, drive
from search.tuning.engine import Share, ray_running
from search.tuning.preparation import check_data
from search.tuning.scheduler import HalvingScheduler, InOrder
from search.tuning.searcher import Halt
from search.tuning.worker import in_one_line, portable


@pytest.fixture
def usual() -> Iterator[Callable[[int, FrameType | None], None]]:
    """Python's own answer to Ctrl-C, which a shell takes away from what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_the_first_signal_is_noted_and_the_second_acts_as_usual(usual: Callable[[int, FrameType | None], None]) -> None:
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.came
        assert signal.getsignal(signal.SIGINT) is usual
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) in {signal.SIG_DFL, usual}


def test_an_interruption_takes_its_signals_back_from_ray() -> None:
    with Interruption() as interruption:
        signal.signal(signal.SIGTERM, lambda *_: None)
        interruption.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.came
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_audience_sees_what_changed_and_no_more_than_twice_a_second(studied: StudyFolder) -> None:
    now = [0.0]
    seen: list[StudyRecord] = []
    with Ledger.open(studied.ledger_path) as ledger:
        audience = Audience(ledger, seen.append, clock=lambda: now[0])
        audience.look()
        assert len(seen) == 1
        ledger.append(TrialTold(number=6, outcome=Outcome(state="failed", reason="x")))
        now[0] = 0.1
        audience.look()
        assert len(seen) == 1
        now[0] = 0.6
        audience.look()
        assert seen[1].trials[6].state == "failed"
        now[0] = 2.0
        audience.look()
        assert len(seen) == 2, "nothing is new"


def test_a_study_whose_meaning_changed_is_refused(studied: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.tuning.driver.check_data", lambda *_: None)
    text = studied.config_path.read_text()
    studied.config_path.write_text(text.replace("trials = 12", "trials = 40"))
    with _ledger(StudyFolder(studied.path)) as (ledger, _):
        assert ledger.record().trials
    studied.config_path.write_text(text.replace("seed = 3", "seed = 4"))
    with pytest.raises(StudyError, match="changed since the study was opened"), _ledger(StudyFolder(studied.path)):
        pass


@pytest.fixture
def without_ray(
    make_study: Callable[..., StudyFolder], outcomes: list[Outcome], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of a study of *outcomes*, where no Ray can be reached."""
    monkeypatch.setattr("search.tuning.driver.check_data", lambda *_: None)
    monkeypatch.setenv("RAY_ADDRESS", "nonsense://nowhere")
    return make_study(outcomes).path


def test_a_study_whose_budget_is_spent_is_finished_without_ray(without_ray: Path, outcomes: list[Outcome]) -> None:
    path, config = without_ray, without_ray / "study.toml"
    config.write_text(config.read_text().replace("trials = 12", f"trials = {len(outcomes)}"))
    seen: list[StudyRecord] = []
    assert drive(StudyFolder(path), None, on_change=seen.append) == "finished"
    assert len(seen[-1].trials) == len(outcomes)
    config.write_text(config.read_text().replace(f"trials = {len(outcomes)}", "trials = 12"))
    with pytest.raises(StudyError, match="no Ray cluster"):
        drive(StudyFolder(path), None)


def test_a_spent_budget_ends_a_run_with_its_key_and_a_larger_one_goes_on(without_ray: Path) -> None:
    path, config = without_ray, without_ray / "study.toml"
    bounded = "trials = 12\nstall = { trials = 3 }"
    config.write_text(config.read_text().replace("trials = 12", bounded))
    with Ledger.open(path / "ledger.db", readonly=True) as ledger:
        trials = len(ledger.record().trials)
    reason = drive(StudyFolder(path), None)
    assert reason.startswith("the front stands still: hypervolume ")
    with Ledger.open(path / "ledger.db", readonly=True) as ledger:
        record = ledger.record()
    assert (record.runs[-1].reason, record.runs[-1].spent) == (reason, "stall")
    assert len(record.trials) == trials
    assert record.config.budget.stall == Stall(trials=3)
    config.write_text(config.read_text().replace(bounded, "trials = 12\nstall = { trials = 30 }"))
    with pytest.raises(StudyError, match="no Ray cluster"):
        drive(StudyFolder(path), None)


@pytest.mark.parametrize(
    ("raised", "reason", "kind"),
    [
        (None, "finished", None),
        (Halt(None), "interrupted", None),
        (KeyboardInterrupt(), "interrupted", None),
        (Halt(TrialError("trial 3: hot (to blame: phone)", "phone")), "trial 3: hot (to blame: phone)", TrialError),
        (Halt(StudyError("a bug"), "Traceback ..."), "a bug; details in", StudyError),
        (DeviceError("gone"), "gone", DeviceError),
        (ZeroDivisionError("division"), "ZeroDivisionError: division; details in", StudyError),
    ],
)
def test_what_ended_a_run_is_written_down_once_and_before_ray_goes(
    studied: StudyFolder,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException | None,
    reason: str,
    kind: type[Exception] | None,
) -> None:
    before_ray_went: list[str] = []

    def written() -> list[str]:
        with Ledger.open(studied.ledger_path, readonly=True) as ledger:
            return [event.reason for event in ledger.events() if isinstance(event, RunEnded)]

    @contextmanager
    def ray(_mark: Path) -> Iterator[Path]:
        try:
            yield studied.path
        finally:
            before_ray_went.extend(written())

    def run(*_: object, **__: object) -> None:
        if raised is not None:
            raise raised

    monkeypatch.setattr("search.tuning.driver.check_data", lambda *_: None)
    monkeypatch.setattr("search.tuning.driver.ray_running", ray)
    monkeypatch.setattr("search.tuning.driver.share", lambda _: Share(1, 0))
    monkeypatch.setattr("search.tuning.driver.lab_open", lambda *_: nullcontext())
    monkeypatch.setattr("search.tuning.driver.tune.run", run)
    with pytest.raises(kind) if kind else nullcontext():
        assert drive(studied, None) == reason
    assert before_ray_went == written()
    assert len(before_ray_went) == 1
    assert before_ray_went[-1].startswith(reason)
    assert ("details in" in before_ray_went[-1]) == (studied.path / "errors.log").exists()


def test_an_ending_that_cannot_be_written_hides_nothing(studied: StudyFolder) -> None:
    with Ledger.open(studied.ledger_path, readonly=True) as ledger:
        ending = Ending(ledger, studied)
        with pytest.raises(DeviceError, match="gone"), ending.told():
            raise DeviceError("gone")
        ending.tell("finished")
    assert ending.reason == "gone"


def test_early_stopping_goes_by_the_reports_and_a_study_without_it_stops_nobody(studied: StudyFolder) -> None:
    with Ledger.open(studied.ledger_path) as ledger:
        record = ledger.record()
    candidate = record.trials[0].candidate
    stopping = EarlyStopping(evidence=1)
    on = record.model_copy(
        update={"config": record.config.model_copy(update={"early_stopping": stopping}), "trials": {}}
    )
    scheduler = _scheduler(on)
    assert isinstance(scheduler, HalvingScheduler)

    def decide(number: int, rung: int, **values: float) -> str:
        trial = SimpleNamespace(config={"number": number, "candidate": candidate.model_dump_json()})
        report = Report(rung=rung, values=values)
        return str(scheduler.on_trial_result(None, trial, {"report": report.model_dump_json()}))

    assert decide(0, 0, latency_ms=10.0) == decide(1, 0, latency_ms=20.0) == TrialScheduler.CONTINUE
    assert decide(0, 1, val_f1=0.5) == TrialScheduler.CONTINUE
    outcome = Outcome(state="complete", values={"f1": 0.5, "gap": 0.1, "latency": 10.0})
    ended = SimpleNamespace(config={"number": 0, "candidate": candidate.model_dump_json()})
    scheduler.on_trial_complete(None, ended, {"outcome": outcome.model_dump_json()})
    assert decide(1, 1, val_f1=0.4) == TrialScheduler.STOP
    off = record.model_copy(update={"config": record.config.model_copy(update={"early_stopping": None})})
    assert type(_scheduler(off)) is InOrder


def test_trials_start_in_their_order_and_those_that_ended_are_not_looked_at() -> None:
    states = {4: "PENDING", 2: "RUNNING", 3: "PENDING"}
    live = {number: SimpleNamespace(status=state, config={"number": number}) for number, state in states.items()}
    controller = SimpleNamespace(get_live_trials=lambda: live.values())  # noqa: PLW0108 - live changes; no other question is answered
    assert InOrder().choose_trial_to_run(controller) is live[3]
    live = {2: live[2]}
    assert InOrder().choose_trial_to_run(controller) is None


def test_a_ray_that_is_not_there_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nonsense://nowhere")
    with pytest.raises(StudyError, match="no Ray cluster at RAY_ADDRESS=nonsense"), ray_running(tmp_path / "ray.json"):
        pass
    assert not (tmp_path / "ray.json").exists()


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left, other = tmp_path / "fer-ray-left", tmp_path / "precious"
    left.mkdir()
    other.mkdir()
    (tmp_path / "ray.json").write_text(f'["{left}", "{other}"]')
    monkeypatch.setenv("RAY_ADDRESS", "nonsense://nowhere")
    with pytest.raises(StudyError), ray_running(tmp_path / "ray.json"):
        pass
    assert not left.exists()
    assert other.exists()


def test_faces_that_changed_since_they_judged_are_refused(
    studied: StudyFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Ledger.open(studied.ledger_path, readonly=True) as ledger:
        record = ledger.record()
    for digest, refused in (("d" * 64, False), ("e" * 64, True)):
        faces = SimpleNamespace(digest=digest)
        faces.of_population = lambda _population, faces=faces: faces
        monkeypatch.setattr("search.tuning.preparation.load_faces", lambda *_, faces=faces: faces)
        with pytest.raises(StudyError, match="changed since they judged") if refused else nullcontext():
            check_data(record, studied.config, tmp_path)


def test_errors_in_one_line() -> None:
    assert in_one_line(DeviceError("too\n  hot")) == "too hot"
    assert in_one_line(ZeroDivisionError("division")) == "ZeroDivisionError: division"


def test_an_artifact_is_named_below_the_folder_of_artifacts(
    outcomes: list[Outcome], make_study: Callable[..., StudyFolder]
) -> None:
    artifacts = make_study(outcomes).artifacts_path
    inside = outcomes[0].artifact.model_copy(update={"path": artifacts / "ab" / "model.tflite"})
    outcome = portable(outcomes[0].model_copy(update={"artifact": inside}), artifacts)
    assert outcome.artifact.path == Path("ab/model.tflite")
    assert portable(outcomes[4], artifacts) == outcomes[4]
