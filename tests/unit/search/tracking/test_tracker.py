"""Who brings pages where: what changed only, whatever fails, until nobody runs the study."""

import fcntl
from pathlib import Path

import pytest
from click.testing import CliRunner

from search.cli import cli
from search.errors import StudyError, TrackingError
from search.folder import StudyFolder
from search.ledger import Ledger
from search.objectives import Outcome
from search.record import StudyRecord, TrialReported, TrialTold
from search.trackers import TrackingConfig
from search.tracking import Tracker, catch_up, keep_up, trackers
from search.tracking.page import STUDY, Page


class Board:
    """Keeps the pages that it is shown; refuses while it is ``down``."""

    name = "a board"

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.down = False

    def show(self, page: Page) -> None:
        if self.down:
            raise TrackingError("a board: is down")
        self.pages.append(page)

    def took(self) -> list[str]:
        """What was shown since the last time: trials by number, the study as S."""
        found = ["S" if page.key == STUDY else page.key.removeprefix("trial-") for page in self.pages]
        self.pages.clear()
        return found


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def tracker(board: Board) -> Tracker:
    return Tracker(board, lambda _record, _trial: None)


def test_only_what_changed_is_shown_and_the_study_first(studied: StudyFolder, board: Board, tracker: Tracker) -> None:
    catch_up(studied, [tracker])
    assert board.took() == ["S", "0", "1", "2", "3", "4", "5", "6"]
    catch_up(studied, [tracker])
    assert board.took() == []
    with Ledger.open(studied.ledger_path) as ledger:
        ledger.append(TrialReported(number=6, rung=2, values={"val_f1": 0.4}))
        catch_up(studied, [tracker])
        assert board.took() == ["S", "6"], "somebody runs the study"
        ledger.append(TrialTold(number=6, outcome=Outcome(state="failed", reason="x")))
    catch_up(studied, [tracker])
    assert board.took() == ["S", "6"]


def test_a_place_that_fails_holds_up_no_other(studied: StudyFolder, board: Board, tracker: Tracker) -> None:
    other = Board()
    other.down = True
    with pytest.raises(TrackingError, match="is down"):
        catch_up(studied, [Tracker(other, lambda _record, _trial: None), tracker])
    assert len(board.took()) == 8


def test_a_run_is_followed_warned_about_once_and_caught_up(
    studied: StudyFolder, board: Board, tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    with Ledger.open(studied.ledger_path) as ledger:
        moments = iter(["down", "down", "up", "end"])

        def wait() -> None:
            moment = next(moments)
            board.down = moment == "down"
            shown.append(board.took())
            ledger.append(TrialReported(number=6, rung=2 + len(shown), values={"val_f1": 0.4}))
            if moment == "end":
                ledger.close()

        shown: list[list[str]] = []
        keep_up(studied, [tracker], wait)
    assert shown == [["S", "0", "1", "2", "3", "4", "5", "6"], [], [], ["6"]]
    assert board.took() == ["6", "S"], "the last look was while it ran; then nobody did"
    assert [record.message for record in caplog.records] == [
        "a board: is down; the search goes on, what is missing is written later",
        "a board: caught up",
    ]


def test_one_process_at_a_time_tells(studied: StudyFolder, board: Board, tracker: Tracker) -> None:
    with studied.config_path.open("rb") as study:
        fcntl.flock(study, fcntl.LOCK_EX)
        with pytest.raises(StudyError, match="demo: another process tracks this study"):
            catch_up(studied, [tracker])
    assert board.took() == []


def test_where_a_study_is_told(studied: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    def names(**given: object) -> list[str]:
        return [tracker.name for tracker in trackers(studied, TrackingConfig.model_validate(given))]

    assert names(tensorboard=True) == [f"TensorBoard in {studied.path}/tensorboard"]
    assert names(tensorboard=tmp_path, mlflow="http://there") == [
        "MLflow at http://there",
        f"TensorBoard in {tmp_path}/demo",
    ]


def test_the_file_of_a_model_is_handed_on_while_it_is_intact(
    studied: StudyFolder, record: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Page] = []
    monkeypatch.setattr("search.tracking.mlflow.MLflow.show", lambda _self, page: shown.append(page))
    files = {0: studied.path / "model.tflite"}
    monkeypatch.setattr("search.tracking.tracker.model_of", lambda _record, trial, _folder: _file(files, trial.number))
    (tracker,) = trackers(studied, TrackingConfig(mlflow="http://there", models=True))
    tracker.bring(record, running=False)
    assert {page.key: page.model for page in shown if page.model} == {"trial-0": files[0]}


def _file(files: dict[int, Path], number: int) -> Path:
    if number not in files:
        raise StudyError("the file is gone")
    return files[number]


def test_the_command(studied: StudyFolder, tmp_path: Path) -> None:
    def call(*words: str | Path) -> tuple[int, str]:
        found = CliRunner().invoke(cli, ["track", "demo", "--studies", str(studied.path.parent), *map(str, words)])
        assert "Traceback" not in found.output
        return found.exit_code, found.output

    code, said = call()
    assert code == 2
    assert "say where to: --mlflow URI, --tensorboard DIR, or [tracking]" in said
    runs = tmp_path / "runs"
    assert call("--tensorboard", runs) == (0, f"demo: 7 trials in TensorBoard in {runs}/demo\n")
    assert {path.name for path in (runs / "demo").iterdir()} == {STUDY, *(f"trial-{number}" for number in range(7))}
    assert call("--tensorboard", runs, "--follow")[0] == 0, "nobody runs it: at once"
    with studied.config_path.open("a") as study:
        study.write("\n[tracking]\ntensorboard = true\n")
    assert call() == (0, f"demo: 7 trials in TensorBoard in {studied.path}/tensorboard\n")
    (tmp_path / "file").write_text("")
    code, said = call("--tensorboard", tmp_path / "file")
    assert code == 1
    assert "cannot be written" in said
