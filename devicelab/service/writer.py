"""The lab's one writer: a thread that owns the coordinator and lets commands happen, many in one transaction.

Whatever arrives while a transaction is under way shares the next one: under load the disk is waited for once for
many, and alone a command waits for nothing. The thread wakes for commands and for what is due by the clock; it polls
nothing.
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from devicelab.commands import Command, Outcome, Tick
from devicelab.coordinator import Coordinator
from devicelab.errors import DeviceLabError, StoreError

logger = logging.getLogger(__name__)

BATCH = 256
"""Most commands of one transaction."""
LONGEST_SLEEP_SECONDS = 5.0
RETRY_SECONDS = 1.0
"""How long the clock's own work waits after a transaction failed (a full disk)."""


@dataclass(slots=True)
class _Told:
    command: Command
    future: Future[Outcome] = field(default_factory=Future)


@dataclass(slots=True)
class _Asked:
    question: Callable[[Coordinator], Any]
    future: Future[Any] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Core:
    """A coordinator, the log's time (seconds since 1970), and what lets go of the store."""

    coordinator: Coordinator
    now: Callable[[], float]
    close: Callable[[], None]


type _Item = _Told | _Asked | None


class Writer:
    """Owns the core that *make* makes, in a thread of its own.

    *after* gets the outcome of every transaction's commands before their futures do.
    """

    def __init__(self, make: Callable[[], Core], after: Callable[[list[Outcome]], None]) -> None:
        self._make = make
        self._after = after
        self._inbox: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lab-writer", daemon=True)
        self._started: Future[None] = Future()
        self._resume_at = 0.0
        self._door = threading.Lock()
        self._open = True
        self._now: Callable[[], float] = lambda: 0.0

    @property
    def now(self) -> Callable[[], float]:
        """The log's time, in seconds since 1970."""
        return self._now

    def start(self) -> None:
        """Start the thread and return when the coordinator is there.

        Raises:
            DeviceLabError: it could not be made.
        """
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        """Finish what was told before, then end the thread; what is told later is refused."""
        with self._door:
            self._open = False
            self._inbox.put(None)
        self._thread.join()

    def tell(self, command: Command) -> Future[Outcome]:
        """Let *command* happen; the future holds what followed, once it is durable, or why it did not happen."""
        told = _Told(command)
        self._put(told)
        return told.future

    def ask[Result](self, question: Callable[[Coordinator], Result]) -> Future[Result]:
        """Run *question* in the writer's thread, between two transactions."""
        asked = _Asked(question)
        self._put(asked)
        return asked.future

    def _put(self, item: _Told | _Asked) -> None:
        with self._door:
            if self._open:
                self._inbox.put(item)
                return
        item.future.set_exception(StoreError("the lab is closed; ask again when it is back"))

    def _run(self) -> None:
        try:
            core = self._make()
        except BaseException as error:  # noqa: BLE001 - told to whoever starts us
            self._started.set_exception(error)
            return
        self._now, coordinator = core.now, core.coordinator
        self._started.set_result(None)
        while True:
            items = self._next(max(coordinator.due(), self._resume_at) - self._now())
            self._perform(coordinator, [item for item in items if isinstance(item, _Told)])
            for item in items:
                if isinstance(item, _Asked):
                    _settle(item.future, item.question, coordinator)
            if None in items:
                core.close()
                return

    def _next(self, patience: float) -> list[_Item]:
        """Return what has arrived, waiting for the first item until something is due; empty when it is."""
        items: list[_Item] = []
        try:
            items.append(self._inbox.get(timeout=min(max(patience, 0.0), LONGEST_SLEEP_SECONDS)))
            while len(items) < BATCH:
                items.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return items

    def _perform(self, coordinator: Coordinator, told: list[_Told]) -> None:
        now = self._now()
        commands: list[Command] = [one.command for one in told]
        if max(coordinator.due(), self._resume_at) <= now:
            commands.append(Tick())
        if not commands:
            return
        try:
            results = coordinator.perform_all(commands, now)
        except Exception as error:
            logger.exception("a transaction failed; nothing of it happened")
            self._resume_at = now + RETRY_SECONDS
            for one in told:
                one.future.set_exception(error if isinstance(error, DeviceLabError) else StoreError(repr(error)))
            return
        self._after([result for result in results if isinstance(result, Outcome)])
        for one, result in zip(told, results, strict=False):
            if isinstance(result, Outcome):
                one.future.set_result(result)
            else:
                one.future.set_exception(result)


def _settle(future: Future[Any], question: Callable[[Coordinator], Any], coordinator: Coordinator) -> None:
    try:
        future.set_result(question(coordinator))
    except Exception as error:  # noqa: BLE001 - told to whoever asked
        future.set_exception(error)
