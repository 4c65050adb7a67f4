"""The overseer: a stage beyond its limit ends with its helper processes, gently or with the process; waits are free."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from pathlib import Path

import pytest

from search.budget import Limits
from search.errors import StageTimeoutError
from search.overseer import Overseer, read_note

LONG = 60.0
"""Seconds that a test waits for what has to come at once; a test that fails takes as long."""
SHORT = Limits(train=0.2 / 60)

STUCK = """
import ctypes, sys
from pathlib import Path
from search.budget import Limits
from search.overseer import Overseer
overseer = Overseer(Limits(export=0.2 / 60))
overseer.begin(Path(sys.argv[1]) / "7")
with overseer("export"):
    mutex = ctypes.create_string_buffer(64)
    library = ctypes.PyDLL(None)  # does not let go of Python's lock: no line of Python runs any more
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)
"""


def _oversee(work: Callable[[], object]) -> None:
    with Overseer(SHORT)("train"):
        work()


def _compute() -> None:
    while True:
        sum(range(1000))


@pytest.mark.parametrize("work", [partial(time.sleep, LONG), _compute])
def test_a_stage_that_sleeps_or_computes_is_ended(work: Callable[[], object]) -> None:
    with pytest.raises(StageTimeoutError, match=r"train took more than 0\.0033\d+ minutes \(limits\.train") as late:
        _oversee(work)
    assert late.value.stage == "train"
    assert str(copy(late.value)) == str(late.value), "it can be pickled"


def test_the_helpers_of_a_stage_end_with_it() -> None:
    helper = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LONG})"])
    with pytest.raises(StageTimeoutError):
        _oversee(partial(time.sleep, LONG))
    assert helper.wait(LONG) == -signal.SIGKILL


def _left() -> float:
    return signal.getitimer(signal.ITIMER_REAL)[0]


def test_the_clock_runs_in_a_stage_and_not_while_it_waits_for_another_process() -> None:
    overseer = Overseer(Limits(train=5))
    with overseer("train"):
        assert 0 < _left() <= 300
        with overseer.waiting():
            assert _left() == 0
        assert 0 < _left() <= 300
    assert _left() == 0
    with overseer.waiting():
        pass
    assert _left() == 0, "no stage, no clock"


def test_the_wait_for_a_turn_is_no_time_of_the_stage_and_the_turn_is_time_of_the_trial(tmp_path: Path) -> None:
    now, log = [100.0], []
    note = tmp_path / "7"

    @contextmanager
    def taken() -> Iterator[None]:
        now[0] += 50  # until there is one
        log.append((_left(), note.read_text()))
        yield
        log.append("given back")

    overseer = Overseer(Limits(train=5), taken, clock=lambda: now[0])
    overseer.begin(note)
    with overseer("train"), overseer.turn():
        assert 0 < _left() <= 300
        assert (overseer.stage_time(), note.read_text()) == (100.0, "train 5\n")
        now[0] += 8
        with pytest.raises(RuntimeError, match="turn"), overseer.waiting():
            pytest.fail("whoever has what is waited for may need the turn")
        assert 0 < _left() <= 300
    assert log == [(0, "train 5 waiting\n"), "given back"]
    assert (overseer.stage_time(), overseer.turn_time()) == (108.0, 8.0)
    overseer.end()


def test_a_turn_is_given_back_when_its_stage_takes_too_long() -> None:
    log = []

    @contextmanager
    def taken() -> Iterator[None]:
        try:
            yield
        finally:
            log.append("given back")

    overseer = Overseer(SHORT, taken)
    with pytest.raises(StageTimeoutError), overseer("train"), overseer.turn():
        time.sleep(LONG)
    assert log == ["given back"]
    with overseer.waiting():  # it has none any more
        pass


def test_what_does_not_come_back_to_python_ends_with_its_process_and_a_note(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", STUCK, str(tmp_path)], check=False, timeout=LONG)
    assert ended.returncode == 1
    note = read_note(tmp_path / "7")
    assert note is not None
    assert (note.stage, note.hung) == ("export", True)
    assert note.minutes == pytest.approx(0.2 / 60, rel=1e-3)
    assert 'File "<string>", line 12' in note.trace
    assert read_note(tmp_path / "7") is None


def test_a_note_tells_what_a_process_was_at(tmp_path: Path) -> None:
    overseer = Overseer(Limits())
    overseer.begin(tmp_path / "notes" / "3")
    with overseer("measure"):
        note = read_note(tmp_path / "notes" / "3")
    assert note == ("measure", 1440.0, False, "")
    overseer.begin(tmp_path / "notes" / "6")
    with overseer("train"), overseer.waiting():
        note = read_note(tmp_path / "notes" / "6")
    assert note == ("train", 120.0, False, "")
    overseer.begin(tmp_path / "notes" / "4")
    assert read_note(tmp_path / "notes" / "4") is None, "before its first stage"
    overseer.begin(tmp_path / "notes" / "5")
    overseer.end()
    assert not list((tmp_path / "notes").iterdir())
