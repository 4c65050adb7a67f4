"""Work beside the caller's, in threads that never keep the process from ending: what they wait for may never come."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future


def beside[Result](act: Callable[[], Result], name: str) -> Future[Result]:
    """Do *act* in a thread of its own; the future holds what it returns or raises."""
    future: Future[Result] = Future()
    threading.Thread(target=_do, args=(act, future), name=name, daemon=True).start()
    return future


class InOrder:
    """A thread that does what it is given, one after the other."""

    def __init__(self, name: str) -> None:
        self._acts: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def put(self, act: Callable[[], None]) -> None:
        """Do *act*, which must not raise, after what was given before."""
        self._acts.put(act)

    def _work(self) -> None:
        while True:
            self._acts.get()()


def _do[Result](act: Callable[[], Result], future: Future[Result]) -> None:
    try:
        future.set_result(act())
    except BaseException as error:  # noqa: BLE001 - told to whoever asks the future
        future.set_exception(error)
