"""Threads that nobody waits for: what they raise is told, and stops nothing."""

import queue
import threading

import pytest

from devicelab.agent import threads
from devicelab.agent.threads import InOrder, beside, detached


def fail():
    raise ValueError("no phone like that")


def test_beside_gives_what_was_returned_or_raised():
    assert beside(lambda: 6 * 7, "sum").result() == 42
    with pytest.raises(ValueError, match="no phone"):
        beside(fail, "failing").result()


def test_what_a_detached_thread_raises_is_logged(monkeypatch):
    told = queue.SimpleQueue()
    monkeypatch.setattr(threads.logger, "exception", lambda text, *values: told.put(text % values))
    detached(fail, "opening-moto")
    assert told.get() == "opening-moto failed"


def test_an_act_that_fails_does_not_keep_the_next_from_its_turn():
    desk, done = InOrder("desk"), []
    over = threading.Event()
    for act in (lambda: done.append(1), fail, lambda: done.append(2), over.set):
        desk.put(act)
    over.wait()
    assert done == [1, 2]
