"""Studies through real Ray with fake journeys: no trial lost, duplicated or left open, whatever is killed."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from search.errors import SearchError
from search.ledger import Ledger
from search.record import StudyRecord, TrialAsked, TrialTold

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("fake_study.py")
SECONDS = 600
"""For machines that do much else beside."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "fake"
    path.mkdir()
    text = SCRIPT.read_text().split('STUDY = """\\\n')[1].split('"""')[0]
    (path / "study.toml").write_text(text)
    return path


def _start(folder: Path, behaviour: str = "plain") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(SCRIPT), str(folder), behaviour],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
    )


def _run(folder: Path, behaviour: str = "plain") -> tuple[int, str]:
    with _start(folder, behaviour) as driver:
        said, _ = driver.communicate(timeout=SECONDS)
    return driver.returncode, said


def _record(folder: Path) -> StudyRecord:
    with Ledger.open(folder / "ledger.db", readonly=True) as ledger:
        return ledger.record()


def _told(folder: Path) -> int:
    """How many trials are told; -1 while the ledger is being made."""
    try:
        return len(_record(folder).told)
    except SearchError:
        return -1


def _kill_after(folder: Path, told: int, number: signal.Signals, *, group: bool = False) -> tuple[int, str]:
    """Start the study, send *number* when *told* trials are told, and return how it ended."""
    with _start(folder, "slow") as driver:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and driver.poll() is None and _told(folder) < told:
            time.sleep(0.1)
        (os.killpg if group else os.kill)(driver.pid, number)
        said, _ = driver.communicate(timeout=SECONDS)
    return driver.returncode, said


def _check_whole(folder: Path, trials: int = 12) -> None:
    """Every trial was asked once and told once, each by an outcome, and nothing is left of Ray."""
    with Ledger.open(folder / "ledger.db", readonly=True) as ledger:
        events = ledger.events()
    assert Counter(event.number for event in events if isinstance(event, TrialAsked)) == Counter(range(trials))
    assert Counter(event.number for event in events if isinstance(event, TrialTold)) == Counter(range(trials))
    record = _record(folder)
    assert {trial.state for trial in record.trials.values()} == {"complete", "infeasible"}
    assert record.spent.cpu_seconds > 0
    assert not (folder / "ray.json").exists()


def test_a_study_survives_ctrl_c_and_a_kill(folder: Path) -> None:
    code, said = _kill_after(folder, 2, signal.SIGINT, group=True)  # as a terminal sends it
    assert (code, said) == (0, "reason: interrupted\n")
    first = _record(folder)
    assert first.runs[-1].reason == "interrupted"
    assert first.running, "the trials that were running stay open"

    code, _ = _kill_after(folder, 5, signal.SIGKILL)
    assert code == -signal.SIGKILL
    second = _record(folder)
    assert second.runs[-1].ended_at is None
    assert second.running
    for number, trial in first.trials.items():
        assert second.trials[number].candidate == trial.candidate

    assert _run(folder) == (0, "reason: finished\n")
    _check_whole(folder)
    evaluations = [len(path.read_text().split()) for path in (folder / "marks").iterdir()]
    assert len(evaluations) == 12
    assert max(evaluations) <= 3, "only what was cut short is evaluated again"


def test_mlflow_and_tensorboard_are_told_once_also_across_a_kill(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = (tmp_path / "store").as_uri()
    with (folder / "study.toml").open("a") as study:
        study.write(f'\n[tracking]\nmlflow = "{store}"\ntensorboard = true\n')
    code, _ = _kill_after(folder, 3, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert _run(folder) == (0, "reason: finished\n")
    _check_whole(folder)
    record = _record(folder)

    client = MlflowClient(store)
    found = client.search_runs([client.get_experiment_by_name("fake").experiment_id])
    runs = {run.data.tags["fer.page"]: run for run in found}
    assert len(found) == len(runs) == 1 + len(record.trials)
    assert {run.info.status for run in found} == {"FINISHED"}
    for number, trial in record.trials.items():
        run = runs[f"trial-{number}"]
        assert run.data.tags["state"] == trial.state
        for name in run.data.metrics:
            told = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)]
            reported = [(one.rung, one.values[name]) for one in trial.reports if name in one.values]
            assert told == reported or name.startswith(("objective/", "violation/"))
            assert len(told) == len(set(told))
    assert {path.name for path in (folder / "tensorboard").iterdir()} == set(runs)


@pytest.mark.parametrize("told", [0, 1])  # while Ray starts, and while trials run
def test_sigterm_is_an_interruption_too(folder: Path, told: int) -> None:
    code, said = _kill_after(folder, told, signal.SIGTERM)
    assert code == 0
    assert said.endswith("reason: interrupted\n")
    assert _record(folder).runs[-1].reason == "interrupted"
    assert _told(folder) < 12, "it did not wait for the end of the study"
    assert not (folder / "ray.json").exists()


def test_a_worker_that_dies_is_replaced_and_its_trial_walked_again(folder: Path) -> None:
    code, said = _run(folder, "dies")
    assert code == 0
    assert said.endswith("reason: finished\n")
    assert "starts again" in said
    _check_whole(folder)


def test_a_bug_stops_the_run_loudly_and_loses_nothing(folder: Path) -> None:
    code, said = _run(folder, "bug")
    assert code == 1
    assert said.startswith("error: trial ")
    assert "ZeroDivisionError: a bug of ours (to blame: us); details in" in said
    assert said.count("\n") == 1
    assert "Traceback" in (folder / "errors.log").read_text()
    assert _record(folder).running
    assert _run(folder) == (0, "reason: finished\n")
    _check_whole(folder)


def test_early_stopping_stops_some_and_leaves_none_open(folder: Path) -> None:
    study = folder / "study.toml"
    one = study.read_text().replace('objectives = ["f1", "latency"]', 'objectives = ["f1"]')
    study.write_text(one + "\n[early_stopping]\nevidence = 1\nreduction_factor = 9\n")
    assert _run(folder) == (0, "reason: finished\n")
    trials = _record(folder).trials
    states = Counter(trial.state for trial in trials.values())
    assert set(states) <= {"complete", "infeasible", "stopped"}
    assert states["stopped"]
    assert states["complete"]
    stopped = [trial for trial in trials.values() if trial.state == "stopped"]
    assert {trial.reports[-1].rung for trial in stopped} <= {1, 2, 3}, "rungs of 4 epochs"
    assert all(trial.outcome is not None and "early stopping at epoch" in trial.outcome.reason for trial in stopped)


def test_trials_ahead_take_turns_and_end_as_they_would_without(folder: Path) -> None:
    text = (folder / "study.toml").read_text()
    by_chance = "startup_trials = 12\ncost_aware = false"  # proposals that know of no outcome
    text = text.replace("startup_trials = 5", by_chance)
    ended = []
    for ahead, behaviour in ((0, "plain"), (2, "three")):
        study = folder.with_name(f"ahead-{ahead}")
        study.mkdir()
        (study / "study.toml").write_text(text.replace("concurrency = 2", f"concurrency = 1\nahead = {ahead}"))
        assert _run(study, behaviour) == (0, "reason: finished\n")
        _check_whole(study)
        trials = _record(study).trials
        ended.append({number: (trial.candidate, trial.outcome.values) for number, trial in trials.items()})
        walked = [path.read_text().split() for path in (study / "marks").iterdir()]
        assert len(set(chain.from_iterable(walked))) == ahead + 1
        counts = (study / "at-work" / "counts").read_text().split()
        assert set(counts) == {"1"}, "one turn, however many trials"
        assert not (study / "turns").exists()
    assert ended[0] == ended[1]
