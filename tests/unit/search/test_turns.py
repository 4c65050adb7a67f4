"""Turns, by real processes: never more holders than turns, first come first served, whoever is killed."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from search.artifacts import ArtifactStore
from search.errors import ArtifactError
from search.turns import Turns, one_by_one

LONG = 60.0
"""Seconds that a test waits for another process; one that fails takes as long."""

OFTEN = """
import sys
from pathlib import Path
from random import random
from time import sleep
from search.turns import Turns
folder, name = Path(sys.argv[1]), sys.argv[2]
turns = Turns(folder / "turns", 2)
with (folder / f"seen-{name}").open("w") as seen:
    for _ in range(20):
        with turns.taken():
            (folder / "holding" / name).touch()
            seen.write(f"{len(list((folder / 'holding').iterdir()))}\\n")
            sleep(0.002 * random())
            (folder / "holding" / name).unlink()
"""
ONCE = """
import sys
from pathlib import Path
from search.turns import Turns
folder, name = Path(sys.argv[1]), sys.argv[2]
with Turns(folder / "turns", 1).taken(), (folder / "log").open("a") as log:
    log.write(name)
"""
HOLD = """
import sys, time
from pathlib import Path
from search.turns import Turns
with Turns(Path(sys.argv[1]) / "turns", 1).taken():
    print("held", flush=True)
    time.sleep(600)
"""
SHARED = """
import sys
from pathlib import Path
from search.artifacts import ArtifactStore
from search.turns import Turns
folder, name = Path(sys.argv[1]), sys.argv[2]
turns = Turns(folder / "turns", 1)
def compute(partial):
    for _ in range(20):
        with turns.taken():
            (partial / "result").write_text(name)
    with (folder / "log").open("a") as log:
        log.write(name)
print(len(list(ArtifactStore(folder / "store").get_or_compute(name, compute).iterdir())))
"""


@contextmanager
def _started(script: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _places(folder: Path) -> int:
    return len(list((folder / "turns" / "queue").glob("[!.]*")))


def _wait_for_places(folder: Path, count: int) -> None:
    deadline = time.monotonic() + LONG
    while _places(folder) < count:
        assert time.monotonic() < deadline, "nobody joins the queue"
        time.sleep(0.005)


def test_there_are_never_more_holders_than_turns(tmp_path: Path) -> None:
    (tmp_path / "holding").mkdir()
    with ExitStack() as running:
        started = [running.enter_context(_started(OFTEN, tmp_path, str(number))) for number in range(5)]
        assert [process.wait(LONG) for process in started] == [0] * 5
    seen = [int(line) for path in tmp_path.glob("seen-*") for line in path.read_text().split()]
    assert len(seen) == 100
    assert set(seen) <= {1, 2}
    assert _places(tmp_path) == 0


def test_who_asks_first_has_the_next_turn_and_who_is_killed_in_the_queue_holds_nobody_up(tmp_path: Path) -> None:
    with ExitStack() as running:
        with Turns(tmp_path / "turns", 1).taken():
            waiting = []
            for place, name in enumerate("abcdef"):
                waiting.append(running.enter_context(_started(ONCE, tmp_path, name)))
                _wait_for_places(tmp_path, place + 1)
            for killed in (0, 3):
                waiting[killed].kill()
                waiting[killed].wait(LONG)
            assert not (tmp_path / "log").exists()
        assert [process.wait(LONG) for process in waiting] == [-9, 0, 0, -9, 0, 0]
    assert (tmp_path / "log").read_text() == "bcef"
    assert _places(tmp_path) == 0, "the places of the dead are cleared"


def test_the_turn_of_a_holder_that_is_killed_is_free_at_once(tmp_path: Path) -> None:
    with _started(HOLD, tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        looks: list[float] = []

        def look(seconds: float) -> None:
            looks.append(seconds)
            holder.kill()
            holder.wait(LONG)

        with Turns(tmp_path / "turns", 1, sleep=look).taken():
            assert len(looks) == 1, "taken at the first look behind the kill"


def test_who_waits_for_what_another_computes_keeps_no_turn_from_it(tmp_path: Path) -> None:
    with ExitStack() as running:
        started = [running.enter_context(_started(SHARED, tmp_path, name)) for name in ("aa", "bb") * 3]
        assert [process.wait(LONG) for process in started] == [0] * 6
        assert [process.stdout.read() for process in started if process.stdout] == ["2\n"] * 6
    assert sorted((tmp_path / "log").read_text()[::2]) == ["a", "b"], "each computed once"


def test_a_turn_is_given_back_by_an_error_and_taken_again(tmp_path: Path) -> None:
    turns = Turns(tmp_path, 1, sleep=pytest.fail)
    with pytest.raises(ZeroDivisionError), turns.taken():
        raise ZeroDivisionError
    with turns.taken():
        pass


def test_a_place_that_cannot_be_written_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "turns").write_text("no folder")
    with pytest.raises(ArtifactError, match=r"cannot write .*turns.*resume"), Turns(tmp_path / "turns", 1).taken():
        pass


def test_a_store_waits_without_a_turn_and_computes_with_one(tmp_path: Path) -> None:
    turns, held = Turns(tmp_path / "turns", 1, sleep=pytest.fail), []

    @contextmanager
    def waiting() -> Iterator[None]:
        with turns.taken():  # which would fail if the store's caller had it
            held.append("free")
        yield

    def compute(folder: Path) -> None:
        with turns.taken():
            (folder / "x").write_text("y")

    assert (ArtifactStore(tmp_path / "store", waiting).get_or_compute("ab", compute) / "x").read_text() == "y"
    assert held == ["free"]


def test_each_item_is_made_inside_and_handed_out_outside() -> None:
    log: list[str] = []

    @contextmanager
    def inside() -> Iterator[None]:
        log.append("in")
        yield
        log.append("out")

    log.extend(str(item) for item in one_by_one((number for number in (1, 2)), inside))
    assert log == ["in", "out", "1", "in", "out", "2", "in", "out"]
