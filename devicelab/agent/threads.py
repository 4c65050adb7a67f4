"""Work beside the caller's, in threads that never keep the process from ending: what they wait for may never come."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

logger = logging.getLogger(__name__)


def beside[Result](act: Callable[[], Result], name: str) -> Future[Result]:
    """Do *act* in a thread of its own; the future holds what it returns or raises."""
    future: Future[Result] = Future()
    threading.Thread(target=_do, args=(act, future), name=name, daemon=True).start()
    return future


def detached(act: Callable[[], object], name: str) -> None:
    """Do *act* in a thread of its own; nobody asks how it went, so what it raises is logged."""
    threading.Thread(target=_logged, args=(act,), name=name, daemon=True).start()


class InOrder:
    """A thread that does what it is given, one after the other; what that raises is logged."""

    def __init__(self, name: str) -> None:
        self._acts: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def put(self, act: Callable[[], None]) -> None:
        """Do *act* after what was given before."""
        self._acts.put(act)

    def _work(self) -> None:
        while True:
            _logged(self._acts.get())


def _logged(act: Callable[[], object]) -> None:
    try:
        act()
    except Exception:
        logger.exception("%s failed", threading.current_thread().name)


def _do[Result](act: Callable[[], Result], future: Future[Result]) -> None:
    try:
        future.set_result(act())
    except BaseException as error:  # noqa: BLE001 - told to whoever asks the future
        future.set_exception(error)
