"""Work shared out among processes: one thread each, none outlives its parent, Ctrl-C is the parent's business."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

import cv2

from fer_core.errors import DataError

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def in_processes[T](work: Callable[..., T], tasks: Sequence[tuple[Any, ...]], processes: int) -> Iterator[T]:
    """Yield ``work(*task)`` for all *tasks*, in the order in which they get ready; a single one is done here.

    *work* is a function at the top of a module. What it raises is raised here; the rest is given up.

    Raises:
        DataError: a process died (of memory, or of a decoder).
    """
    if len(tasks) <= 1 or processes == 1:
        for task in tasks:
            yield work(*task)
        return
    context = multiprocessing.get_context("spawn")
    with (
        _environment(_ONE_THREAD),
        ProcessPoolExecutor(min(processes, len(tasks)), mp_context=context, initializer=_start) as pool,
    ):
        try:
            for future in as_completed([pool.submit(work, *task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a process that decoded images died (out of memory?); what is finished is kept: run it again"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start() -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    os._exit(1)
