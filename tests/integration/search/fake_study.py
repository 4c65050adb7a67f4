"""A study whose journeys are fake and everything else is real; run as a script: ``fake_study.py FOLDER [BEHAVIOUR]``.

An epoch is a turn, and notes how many trials have one just then. Being ``__main__``, its functions travel to Ray's
workers by value. Behaviours: ``slow`` takes half a second per
epoch; ``bug`` raises on trial 3; ``dies`` ends the worker's process once, ``dies-always`` each time; ``hot``
raises a phone's error each time; ``three`` begins when three workers have a trial.
"""

import os
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from devicelab.errors import DeviceError
from search.candidate import Candidate
from search.errors import SearchError
from search.folder import StudyFolder
from search.objectives import Outcome
from search.overseer import Overseer
from search.record import Report
from search.tracking import beside
from search.tuning.driver import drive
from search.tuning.worker import Task, Walk

STUDY = """\
name = "fake"
objectives = ["f1", "latency"]

[budget]
trials = 12
concurrency = 2

[sampler]
startup_trials = 5

[constraints]
latency_ms = 140

[data]
evaluation = { layout = "cafe", path = "nowhere" }

[[data.training]]
layout = "folders"
path = "nowhere"

[space]
architecture = ["mobilenetv3_small_100", "mobilenetv2_100", "efficientnet_b0", "mobilenetv3_large_100", "nasnet_mobile"]
quantization = ["float32", "float16", "dynamic_int8", "int8"]
threads = [1, 2, 4]

[space.training]
epochs = 4
learning_rate = { low = 1e-3, high = 1e-2, log = true }
"""


def journey(behaviour: str, marks: Path, overseer: Overseer, candidate: Candidate) -> Generator[Report | Outcome]:
    """Yield four epochs and an outcome that follow from the candidate's digest."""
    luck = int(candidate.digest[:8], 16) / 16**8
    latency = 30 + 130 * luck
    mark = marks / candidate.digest
    with mark.open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    while behaviour == "three" and len(workers_of(marks)) < 3:
        time.sleep(0.05)
    misbehave(behaviour, mark)
    yield Report(rung=0, values={"latency_ms": latency}, at=None)
    if latency > 140:
        broken = {"latency_ms": latency - 140}
        yield Outcome(state="infeasible", reason="slow", values={"latency": latency}, violations=broken)
        return
    for epoch in range(1, 5):
        with overseer.turn(), noted(marks.with_name("at-work")):
            time.sleep(0.5 if behaviour == "slow" else 0.01)
        yield Report(rung=epoch, values={"val_f1": luck * epoch / 4}, at=None)
    yield Outcome(state="complete", values={"f1": luck, "latency": latency})


def workers_of(marks: Path) -> set[str]:
    """Return who has walked a candidate."""
    return {line for path in marks.iterdir() for line in path.read_text().split()}


@contextmanager
def noted(folder: Path) -> Iterator[None]:
    """Add to the file ``counts`` in *folder* how many processes are in such a block; one that was killed counts on."""
    mine = folder / f"process-{os.getpid()}"
    mine.touch()
    with (folder / "counts").open("a") as stream:
        stream.write(f"{len(list(folder.glob('process-*')))}\n")
    yield
    mine.unlink()


def misbehave(behaviour: str, mark: Path) -> None:
    """Do what *behaviour* says, on candidates that begin with a low digit."""
    if mark.name[0] > "7":
        return
    if behaviour == "bug":
        raise ZeroDivisionError("a bug of ours")
    if behaviour == "hot":
        raise DeviceError("moto-g6-1 is too hot")
    if behaviour == "dies-always" or (behaviour == "dies" and len(mark.read_text().split()) == 1):
        os._exit(9)


@contextmanager
def workshop(behaviour: str, task: Task, overseer: Overseer) -> Iterator[Walk]:
    marks = task.folder / "marks"
    for folder in (marks, marks.with_name("at-work")):
        folder.mkdir(exist_ok=True)
    yield partial(journey, behaviour, marks, overseer)


def main(folder: Path, behaviour: str = "plain") -> int:
    study = StudyFolder(folder)
    try:
        with beside(study, lambda _record: None, print) as show:
            reason = drive(study, partial(workshop, behaviour), on_change=show)
        sys.stdout.write(f"reason: {reason}\n")
    except SearchError as error:
        sys.stdout.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
