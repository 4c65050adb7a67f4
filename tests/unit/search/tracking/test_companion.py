"""The process beside a run: its warnings are told, its failure never is the run's."""

import sys

import pytest

from search.folder import StudyFolder
from search.record import StudyRecord
from search.tracking.companion import Companion, beside

LONG = 600.0


def companion(folder: StudyFolder, code: str, said: list[str]) -> Companion:
    return Companion(folder, [sys.executable, "-c", code], said.append)


def test_what_it_says_is_told_once(studied: StudyFolder) -> None:
    said: list[str] = []
    beside_it = companion(studied, "import sys; print('one\\ntwo', file=sys.stderr); print('an answer')", said)
    beside_it.look()
    beside_it.end(LONG)
    assert said == ["one", "two"]


def test_where_it_fails_it_is_told_how_to_catch_up(studied: StudyFolder) -> None:
    said: list[str] = []
    beside_it = companion(studied, "raise SystemExit('MLflow is down')", said)
    beside_it.look()
    beside_it.look()
    beside_it.end(LONG)
    assert said == [
        "MLflow is down",
        f"tracking is behind ({studied.path}/tracking.log); catch up with: fer-search track demo",
    ]


def test_it_is_not_waited_for_without_end(studied: StudyFolder) -> None:
    said: list[str] = []
    beside_it = companion(studied, "import time; time.sleep(600)", said)
    beside_it.look()
    beside_it.end(0)
    assert len(said) == 1
    assert "catch up with" in said[0]


def test_what_cannot_be_started_is_told_and_the_run_goes_on(studied: StudyFolder) -> None:
    said: list[str] = []
    beside_it = Companion(studied, [str(studied.path / "no such program")], said.append)
    beside_it.look()
    beside_it.end(LONG)
    assert said == ["tracking: No such file or directory"]


def test_a_run_is_shown_and_told_where_the_study_asks_for_it(
    studied: StudyFolder, record: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.tracking.companion.END_SECONDS", LONG)
    seen: list[StudyRecord] = []
    with beside(studied, seen.append, print) as show:
        assert show == seen.append, "nobody is to be told"
    with studied.config_path.open("a") as study:
        study.write("\n[tracking]\ntensorboard = true\n")
    asked = StudyFolder(studied.path)
    with beside(asked, seen.append, print) as show:
        assert not (asked.path / "tracking.log").exists(), "not before the study is opened"
        show(record)
        show(record)
    assert len(seen) == 2
    assert (asked.path / "tracking.log").read_text() == ""
    assert len(list((asked.path / "tensorboard").iterdir())) == 8


def test_nothing_is_started_for_a_run_that_was_refused(studied: StudyFolder) -> None:
    said: list[str] = []
    companion(studied, "print('ready')", said).end(LONG)
    assert said == []
    assert not (studied.path / "tracking.log").exists()
