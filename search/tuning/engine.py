"""Bringing Ray up and down: a cluster where ``RAY_ADDRESS`` names one, else a private Ray on this machine."""

import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import ray

from search.errors import StudyError

OBJECT_STORE_BYTES = 128 * 1024 * 1024
"""Nothing large travels through Ray: workers read faces and artifacts from files."""
_PREFIX = "fer-ray-"
LONGEST_FOLDER = 40
"""Ray makes sockets in its folder under names of some 60 characters; Linux allows 107 for the whole path."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one of ``beside`` trials on a machine may use. ``threads`` is the whole number of CPUs, at least 1."""

    cpus: float
    gpus: float
    beside: int = 1

    @property
    def threads(self) -> int:
        """How many threads its computations start."""
        return max(1, int(self.cpus))


@contextmanager
def ray_running(mark: Path) -> Iterator[Path]:
    """Connect to Ray, or start it on this machine; yield a temporary folder that goes when Ray goes.

    *mark* is a file that names the folder while Ray runs, so that the next run can clear up after one that was
    killed. A Ray started here ends with this process, however it ends: the kernel kills its daemons, and workers
    follow their daemon. (Two of its agents take a minute to notice, and write to their folder meanwhile: what a
    killed run left is removed at the beginning and again at the end of the next.)

    Raises:
        StudyError: Ray cannot be started, or there is none at ``RAY_ADDRESS``.
    """
    old = _marked(mark)
    _remove(old)
    given = tempfile.gettempdir()
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=given if len(given) <= LONGEST_FOLDER else "/tmp"))  # noqa: S108
    mark.write_text(json.dumps([str(folder) for folder in (*old, home)]))
    try:
        _start(home / "ray")
        yield home
    finally:
        ray.shutdown()
        _remove([*old, home])
        mark.unlink(missing_ok=True)


def _start(folder: Path) -> None:
    """Connect to the cluster at ``RAY_ADDRESS``, or start a Ray that keeps its files in *folder*.

    Ray would take SIGTERM for itself and answer it with a ``SystemExit`` that may be raised, and lost, anywhere:
    signals are ours (``search.tuning.driver``).
    """
    address = os.environ.get("RAY_ADDRESS")
    local = {
        "num_cpus": len(os.sched_getaffinity(0)),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(folder),
    }
    try:
        with patch.object(ray._private.utils, "set_sigterm_handler", lambda _handler: None):  # noqa: SLF001 - no switch
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **({} if address else local))
    except (ConnectionError, RuntimeError, OSError, ValueError) as error:
        what = f"no Ray cluster at RAY_ADDRESS={address}" if address else "Ray does not start on this machine"
        raise StudyError(f"{what}: {' '.join(str(error).split())}") from error


def share(count: int) -> Share:
    """Return what each of *count* trials may use of the largest machine that Ray has.

    Trials share a machine evenly; on a cluster of several machines each may use up to a whole one. A GPU is shared by
    as many as it takes, for Ray gives parts of one GPU, never of two.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = max(machine.get("CPU", 1.0) for machine in machines)
    gpus = max(machine.get("GPU", 0.0) for machine in machines)
    beside = max(1, -(-count // len(machines)))
    fair = cpus / beside
    return Share(
        cpus=_counted(fair) if fair < 1 else float(int(fair)),
        gpus=_counted(1 / math.ceil(beside / gpus)) if gpus else 0.0,
        beside=beside,
    )


def _counted(part: float) -> float:
    """Return *part* in the ten-thousandths that Ray counts in, rounded down, so that all parts fit."""
    return math.floor(part * 10_000) / 10_000


def _marked(mark: Path) -> list[Path]:
    """Return the folders that *mark* names; only those that ``ray_running`` may have made."""
    try:
        folders = [Path(name) for name in json.loads(mark.read_text())]
    except (OSError, ValueError, TypeError):
        return []
    return [folder for folder in folders if folder.name.startswith(_PREFIX)]


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
