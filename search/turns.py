"""Turns to compute: never more processes of a machine at a time than it has turns, in the order in which they asked.

A turn is a file under a lock. The lock belongs to the open file, so the kernel releases it when its holder dies,
however it dies: nothing to renew, nobody to ask. Whoever asks stands in a queue, as a file of its own under a lock.
Each waits in the kernel for the one before it, as in the queue lock of Craig, Landin and Hagersten; only the first
looks for a turn.
"""

import fcntl
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from search.writing import opened, writing

LOOK_SECONDS = 0.01
"""Time between two looks of the first in the queue; a turn stands idle half as long on average."""


class Turns:
    """The *count* turns of one machine, in *folder*, which the machine's processes share; for one thread each.

    *clock* counts nanoseconds alike in all of them; *sleep* passes the time between two looks.
    """

    def __init__(
        self,
        folder: Path,
        count: int,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._folder = folder
        self._queue = folder / "queue"
        self._count = count
        self._clock = clock
        self._sleep = sleep

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a turn inside the block; wait before it until there is one. Not to be entered again inside the block.

        Raises:
            ArtifactError: the folder cannot be written.
        """
        turn = self._take()
        try:
            yield
        finally:
            os.close(turn)

    def _take(self) -> int:
        with self._queued() as place:
            while (before := self._before(place)) is not None:
                _wait_for(before)
            while (turn := self._free()) is None:
                self._sleep(LOOK_SECONDS)
            return turn

    @contextmanager
    def _queued(self) -> Iterator[Path]:
        """Stand in the queue inside the block. The file appears under its name with its lock on."""
        place = self._queue / f"{self._clock():020}-{os.getpid()}"
        made = place.with_name(f".{place.name}")
        with writing(place):
            self._queue.mkdir(parents=True, exist_ok=True)
        handle = opened(made)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            made.rename(place)
            yield place
        finally:
            place.unlink(missing_ok=True)
            os.close(handle)

    def _before(self, place: Path) -> Path | None:
        """Return the place right before *place*."""
        standing = (other for other in self._queue.iterdir() if not other.name.startswith("."))
        return max((other for other in standing if other < place), default=None)

    def _free(self) -> int | None:
        """Return a turn, as its open file under lock, or ``None`` if all are taken."""
        for number in range(self._count):
            handle = opened(self._folder / str(number))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
            else:
                return handle
        return None


def one_by_one[Item](items: Generator[Item], inside: Callable[[], AbstractContextManager[None]]) -> Generator[Item]:
    """Yield *items*, each made inside a context of its own."""
    with closing(items):
        while True:
            with inside():
                item = next(items, None)
            if item is None:
                return
            yield item


def _wait_for(place: Path) -> None:
    """Return when whoever stands at *place* has left; clear up after it if it died there."""
    try:
        handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        place.unlink(missing_ok=True)
    finally:
        os.close(handle)
