"""Ends a stage that takes too long, in the process that walks candidates: first gently, then with the process.

At its limit the stage's helper processes are killed and ``StageTimeoutError`` is raised where the main thread is: that
ends whatever waits, sleeps or computes in Python. What does not come back to Python within ``GRACE`` (a library that
is stuck in its own code) ends with the whole process, by a watchdog that needs no Python.

Meanwhile a note says what the process is at, for the driver, who learns of the death of a process but not why: a line
with the stage, its limit and whether it waits, and behind it, where the watchdog ended it, where each thread was.

A stage that waits, for a turn to compute or for what another process computes, has no time pass meanwhile.
"""

import faulthandler
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import IO, NamedTuple

import psutil

from search.budget import Limits, Stage
from search.errors import StageTimeoutError

GRACE = 0.5
"""Seconds between the two ends; both within the second in which a trial has to be told how it ended."""


class Overseer:
    """Watches one stage at a time by its *limits*; to be made, and called, in a main thread. Takes SIGALRM.

    Before ``begin`` there is no note, and only the gentle end. *taken* waits for a turn and holds it
    (``search.turns``), *clock* counts seconds.
    """

    def __init__(
        self,
        limits: Limits,
        taken: Callable[[], AbstractContextManager[None]] = nullcontext,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._limits = limits
        self._taken = taken
        self._clock = clock
        self._waited = self._computed = 0.0
        self._has_turn = False
        self._note: IO[bytes] | None = None
        self._path: Path | None = None
        self._stage: Stage | None = None
        signal.signal(signal.SIGALRM, self._ring)

    def begin(self, note: Path) -> None:
        """Take up a trial; its *note* is made, or made empty."""
        self.end()
        note.parent.mkdir(exist_ok=True)
        self._path, self._note = note, note.open("wb", buffering=0)

    def end(self) -> None:
        """Put the trial down; its note goes."""
        if self._note is not None and self._path is not None:
            self._note.close()
            self._path.unlink(missing_ok=True)
            self._note = None

    @contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        """Oversee *stage* inside the block.

        Raises:
            StageTimeoutError: it took longer than its limit.
        """
        minutes: float = getattr(self._limits, stage)
        self._stage = stage
        self._write()
        self._arm(60 * minutes)
        try:
            yield
        finally:
            self._stage = None
            self._disarm()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let no time pass inside the block: another process has what this stage needs.

        Raises:
            RuntimeError: there is a turn in hand. That other process may need it to go on.
        """
        if self._has_turn:
            raise RuntimeError("a turn is to be taken behind every lock, and given back before any wait")
        left, begun = self._disarm(), self._clock()
        self._write(" waiting")
        try:
            yield
        finally:
            self._waited += self._clock() - begun
            self._write()
            if left > 0:
                self._arm(left)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a turn inside the block, to compute; ``waiting`` before it until there is one."""
        with ExitStack() as held:
            with self.waiting():
                held.enter_context(self._taken())
            begun, self._has_turn = self._clock(), True
            try:
                yield
            finally:
                self._computed += self._clock() - begun
                self._has_turn = False

    def stage_time(self) -> float:
        """Return what a clock shows, in seconds, that stands still in ``waiting``."""
        return self._clock() - self._waited

    def turn_time(self) -> float:
        """Return the seconds of all turns until now."""
        return self._computed

    def _write(self, more: str = "") -> None:
        """Write the note of the stage that this process is in."""
        if self._note is not None and self._stage is not None:
            self._note.seek(0)
            self._note.truncate()
            self._note.write(f"{self._stage} {getattr(self._limits, self._stage):g}{more}\n".encode())

    def _arm(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        if self._note is not None:
            faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=self._note)

    def _disarm(self) -> float:
        """Stop the clocks; return the seconds that were left, 0 if they did not run."""
        if self._note is not None:
            faulthandler.cancel_dump_traceback_later()
        return signal.setitimer(signal.ITIMER_REAL, 0)[0]

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        stage = self._stage
        if stage is None:
            return
        end_children()
        raise StageTimeoutError(stage, getattr(self._limits, stage))


class Note(NamedTuple):
    """What a process that died was at; ``hung`` where the watchdog ended it, with where its threads were."""

    stage: str
    minutes: float
    hung: bool
    trace: str


def read_note(path: Path) -> Note | None:
    """Return the note at *path* and remove it; ``None`` if there is none, or the process was between stages."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    path.unlink(missing_ok=True)
    head, _, trace = text.partition("\n")
    stage, minutes = [*head.split(" "), "", ""][:2]
    return Note(stage, float(minutes), trace.startswith("Timeout ("), trace) if minutes else None


def end_children() -> None:
    """Kill the processes that this one started, and what they started."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
