"""Event files, read back by TensorBoard itself."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from search.errors import TrackingError
from search.tracking.page import Page, Point
from search.tracking.tensorboard import TensorBoard, records

EPOCHS = tuple(Point("val_f1", 0.1 * epoch, epoch, 1000.0 + epoch) for epoch in (1, 2, 3))
OPEN = Page("trial-7", "demo:7", "running", {"threads": 2}, {"simulated": "true"}, EPOCHS[:2], 1000.0, None)
END = Point("final/f1", 0.625, 3, 1004.0)
WHOLE = replace(OPEN, state="complete", points=(*EPOCHS, END), ended=1004.0, final=True)


@pytest.fixture(autouse=True)
def _without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard reads with its own stub where it finds this module; TensorFlow would take ten seconds to load."""
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("notf"))


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def scalars(folder: Path, tag: str) -> list[tuple[int, float, float]]:
    return [(event.step, pytest.approx(event.value), event.wall_time) for event in read(folder).Scalars(tag)]


def test_a_page_that_grows_is_written_once(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    for page in (OPEN, OPEN, WHOLE, WHOLE):
        board.show(page)
    assert scalars(tmp_path / "trial-7", "val_f1") == [(1, 0.1, 1001.0), (2, 0.2, 1002.0), (3, 0.3, 1003.0)]
    assert scalars(tmp_path / "trial-7", "final/f1") == [(3, 0.625, 1004.0)]
    assert len(list((tmp_path / "trial-7").iterdir())) == 1
    found = read(tmp_path / "trial-7")
    assert found.Tags()["tensors"] == ["about/text_summary"]
    assert b"simulated | true" in found.Tensors("about/text_summary")[0].tensor_proto.string_val[0]
    session = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"threads" in session


def test_another_process_goes_on_where_a_torn_end_was(tmp_path: Path) -> None:
    TensorBoard(tmp_path).show(OPEN)
    (path,) = (tmp_path / "trial-7").iterdir()
    path.write_bytes(path.read_bytes()[:-5])  # killed while it wrote epoch 2
    assert [step for step, *_ in scalars(tmp_path / "trial-7", "val_f1")] == [1]
    TensorBoard(tmp_path).show(WHOLE)
    assert [step for step, *_ in scalars(tmp_path / "trial-7", "val_f1")] == [1, 2, 3]
    before = path.read_bytes()
    TensorBoard(tmp_path).show(WHOLE)
    assert path.read_bytes() == before, "nothing is new"


def test_a_folder_that_cannot_be_written_is_told_and_caught_up(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path / "runs")
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(TrackingError, match=r"TensorBoard in .*runs: cannot be written: (Not a|File)"):
        board.show(OPEN)
    (tmp_path / "runs").unlink()
    board.show(WHOLE)
    assert [step for step, *_ in scalars(tmp_path / "runs" / "trial-7", "val_f1")] == [1, 2, 3]


def test_a_disk_that_fills_up_tears_nothing_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = TensorBoard(tmp_path)
    board.show(OPEN)

    def half(path: Path, _whole: int, _events: list) -> int:
        path.write_bytes(path.read_bytes() + b"half a record")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("search.tracking.tensorboard._append", half)
        with pytest.raises(TrackingError, match="No space left"):
            board.show(WHOLE)
    board.show(WHOLE)
    assert [step for step, *_ in scalars(tmp_path / "trial-7", "val_f1")] == [1, 2, 3]
    assert [step for step, *_ in scalars(tmp_path / "trial-7", "final/f1")] == [3]


def test_records_end_where_the_file_does() -> None:
    record = (3).to_bytes(8, "little") + b"....abc...."
    assert list(records(record + record)) == [(19, b"abc"), (38, b"abc")]
    assert [list(records((record + record)[:-cut])) for cut in (1, 8, 12, 18)] == [[(19, b"abc")]] * 4
    assert list(records(b"")) == []
