"""Following a study that another process runs."""

from search.folder import StudyFolder
from search.ledger import Ledger
from search.objectives import Outcome
from search.record import StudyRecord, TrialTold
from search.watching import follow


def test_a_run_is_followed_to_its_last_event(studied: StudyFolder) -> None:
    seen: list[StudyRecord] = []
    with Ledger.open(studied.ledger_path) as ledger:

        def wait() -> None:
            """Nothing happens first; then the last trial ends, and the driver with it."""
            waits.append(len(seen))
            if len(waits) == 2:
                ledger.append(TrialTold(number=6, outcome=Outcome(state="failed", reason="x")))
                ledger.close()

        waits: list[int] = []
        follow(studied, seen.append, wait)
    assert waits == [1, 1], "nothing new, nothing shown"
    assert [len(record.told) for record in seen] == [6, 7]


def test_a_study_that_nobody_runs_is_shown_once(studied: StudyFolder) -> None:
    seen: list[StudyRecord] = []
    follow(studied, seen.append, lambda: None)
    assert len(seen) == 1


def test_the_stages_of_trials_are_read_from_what_workers_noted(studied: StudyFolder) -> None:
    assert studied.stages() == {}
    studied.notes_path.mkdir()
    notes = {"3": "train 120\n", "4": "", "5": "score 60\nTimeout (...", "6": "train 120 waiting\n", "x": "train 1\n"}
    for name, text in notes.items():
        (studied.notes_path / name).write_text(text)
    assert studied.stages() == {3: "train", 5: "score", 6: "waiting"}
