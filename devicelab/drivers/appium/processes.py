"""The processes that this lab started, known by a mark in their environment that all their descendants inherit.

Appium starts adb, adb starts a server that leaves its parent, and ``adb logcat`` and ``adb shell am instrument``
outlive an Appium that was killed. None of them can be found by its parent, and ending processes by name would end other
people's. So each is started with ``FER_LAB_MARK=<pid>-<start>`` of the lab process it works for; nothing without
that mark is ever touched, and what is marked with a process that no longer lives is an orphan. A worker of that process
has a slash behind the mark (``WORKER``): an orphan as the others, but it does not end with Appium.
"""

import os
from collections.abc import Callable
from pathlib import Path

import psutil

MARK = "FER_LAB_MARK"
WORKER = "/worker"
GRACE_SECONDS = 3.0


def my_mark() -> str:
    """Return the mark of this process."""
    return mark_of(os.getpid())


def mark_of(pid: int) -> str:
    """Return the mark of the process *pid*: its number and when it started, since numbers are used again.

    The start is counted from the machine's own (clock ticks, proc(5)): the time of day that psutil makes of it moves
    when the clock is set, and then a lab that lives would look like another one that died.

    Raises:
        psutil.Error: there is no such process.
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended, or this is no Linux
        return f"{pid}-{psutil.Process(pid).create_time():.2f}"
    return f"{pid}-{told.rpartition(')')[2].split()[19]}"


def owner_lives(mark: str) -> bool:
    """Whether the process that *mark* names is still there."""
    mark = mark.removesuffix(WORKER)
    try:
        return mark_of(int(mark.partition("-")[0])) == mark
    except (psutil.Error, ValueError):
        return False


def marked(mark: str) -> list[psutil.Process]:
    """Return the living processes that carry *mark*, this one excepted."""
    return [process for process, owner in _all_marked() if owner == mark]


def end_marked(mark: str, *, spare_adb_server: bool = False) -> int:
    """End every process that carries *mark*: asked first, killed after ``GRACE_SECONDS``. Return how many there were.

    adb's server may be spared: all phones' connections are in it, and it has nothing to do with Appium's death.
    """
    return _end([process for process in marked(mark) if not (spare_adb_server and _is_adb_server(process))])


def end_orphans() -> int:
    """End every marked process whose owner is gone. Return how many there were."""
    return _end([process for process, owner in _all_marked() if not owner_lives(owner)])


def _all_marked() -> list[tuple[psutil.Process, str]]:
    found = []
    for process in psutil.process_iter():
        try:
            owner = process.environ().get(MARK)
        except (psutil.Error, OSError):  # somebody else's, or gone
            continue
        if owner and process.pid != os.getpid():
            found.append((process, owner))
    return found


def _is_adb_server(process: psutil.Process) -> bool:
    try:
        return "fork-server" in process.cmdline()
    except psutil.Error:
        return False


def _end(processes: list[psutil.Process]) -> int:
    for process in processes:
        _quietly(process.terminate)
    _, left = psutil.wait_procs(processes, timeout=GRACE_SECONDS)
    for process in left:
        _quietly(process.kill)
    psutil.wait_procs(left, timeout=GRACE_SECONDS)
    return len(processes)


def _quietly(act: Callable[[], None]) -> None:
    try:
        act()
    except psutil.Error:
        return
