"""How busy 16 turns are under real Ray Tune, with trials ahead and without (E14): stages sleep, all else is real.

    python benchmarks/turns.py [--trials 200] [--ahead 0 4] [--phones 16 4] [--bare]

Study, searcher, Tune, Ray's workers (a process for each trial in flight), overseer and turns are the real ones. A trial
is an export (0.2 to 4 s, as every stage, evenly in the logarithm: 1 to 20), a measurement, nine epochs, an export and a
score, the same in every arm. All but the measurement take a turn; phones are as many and are queued for. A stage that
sleeps needs no core, so 16 "workers" fit on a small machine; Ray gives each of them a sixteenth of it. With ``--bare``
processes walk the same trials without Ray, Tune and study, where a machine is too busy to start twenty of Ray's.

Busy is the share of 16 times the time in which somebody has a turn and works: from when the last process of the arm
has begun until the last trial is handed out. ``benchmarks/utilisation.py`` asks the same in simulated time. Goal: 90 %.
"""

import argparse
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import psutil
from no_faces import NO_FACES

from search.budget import Limits, Stage
from search.folder import StudyFolder
from search.ledger import Ledger
from search.objectives import Outcome
from search.overseer import Overseer
from search.record import Report, TrialAsked
from search.tuning.driver import drive
from search.tuning.worker import Task, Walk
from search.turns import Turns

WORKERS, SHORTEST, LONGEST, EPOCHS = 16, 0.2, 4.0, 9
STUDY = """\
name = "turns"
objectives = ["f1", "latency"]

[budget]
trials = {trials}
concurrency = {workers}
ahead = {ahead}

[sampler]
name = "random"

[space]
architecture = ["mobilenetv3_small_100", "mobilenetv2_100"]

[space.training]
learning_rate = {{ low = 1e-3, high = 1e-2, log = true }}
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What an arm came to: ``busy`` is a share, ``megabytes`` those of a worker."""

    busy: float
    minutes: float
    megabytes: float


@contextmanager
def workshop(phones: int, task: Task, overseer: Overseer) -> Iterator[Walk]:
    """Walk candidates through stages that sleep."""
    walk = walking(phones, task.folder, overseer)
    yield lambda candidate: walk(candidate.digest)


def walking(phones: int, folder: Path, overseer: Overseer) -> Callable[[str], Generator[Report | Outcome]]:
    """Return what walks the candidate of a digest through stages that sleep, and notes when this process worked."""
    log = folder / f"worked-{os.getpid()}"
    queue = Turns(folder / "phones", phones)

    def work(stage: Stage, seconds: float) -> None:
        with overseer(stage), overseer.turn():
            begun = time.time()
            time.sleep(seconds)
            with log.open("a") as stream:
                stream.write(f"{begun} {time.time()} {psutil.Process().memory_info().rss}\n")

    return partial(journey, work, queue, overseer)


def journey(
    work: Callable[[Stage, float], None], queue: Turns, overseer: Overseer, digest: str
) -> Generator[Report | Outcome]:
    """Yield what a trial tells; how long its stages take follows from *digest*."""
    rng = np.random.default_rng(int(digest[:8], 16))

    def seconds() -> float:
        return float(np.exp(rng.uniform(math.log(SHORTEST), math.log(LONGEST))))

    quality, latency, epoch = rng.random(), 10 + 80 * rng.random(), seconds()
    work("draft", seconds())
    with overseer("measure"), queue.taken():
        time.sleep(seconds())
    yield Report(rung=0, values={"latency_ms": latency}, at=None)
    for number in range(1, EPOCHS + 1):
        work("train", epoch)
        yield Report(rung=number, values={"val_f1": quality * number / EPOCHS}, at=None)
    work("export", seconds())
    work("score", seconds())
    yield Outcome(state="complete", values={"f1": quality, "latency": latency})


def through_tune(folder: Path, trials: int, ahead: int, phones: int) -> list[float]:
    """Run the study; return when its trials were handed out."""
    (folder / "study.toml").write_text(STUDY.format(trials=trials, workers=WORKERS, ahead=ahead) + NO_FACES)
    drive(StudyFolder(folder), partial(workshop, phones))
    with Ledger.open(folder / "ledger.db", readonly=True) as ledger:
        return [event.at.timestamp() for event in ledger.events() if isinstance(event, TrialAsked) and event.at]


def bare(folder: Path, trials: int, ahead: int, phones: int) -> list[float]:
    """Let forked processes walk the trials, each the next one; return when they were handed out."""
    fork = multiprocessing.get_context("fork")
    asked = fork.Array("d", trials)
    given = fork.Value("i", 0)

    def process() -> None:
        overseer = Overseer(Limits(), Turns(folder / "turns", WORKERS).taken)
        walk = walking(phones, folder, overseer)
        while True:
            with given.get_lock():
                number, given.value = given.value, given.value + 1
            if number >= trials:
                return
            asked[number] = time.time()
            for _ in walk(sha256(str(number).encode()).hexdigest()):
                pass

    processes = [fork.Process(target=process) for _ in range(WORKERS + ahead)]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
    return asked[:]


def measured(folder: Path, asked: list[float], ahead: int, minutes: float) -> Found:
    """Return how busy the turns were whose trials were handed out at the times *asked*."""
    logs = [np.loadtxt(path, ndmin=2) for path in folder.glob("worked-*")]
    if len(logs) != WORKERS + ahead:
        raise RuntimeError(f"{len(logs)} processes took part, {WORKERS + ahead} were to; more trials are needed")
    begin, end = max(log[0, 0] for log in logs), max(asked)
    spans = np.concatenate(logs)
    worked = np.clip(np.minimum(spans[:, 1], end) - np.maximum(spans[:, 0], begin), 0, None).sum()
    return Found(worked / (WORKERS * (end - begin)), minutes, float(np.median(spans[:, 2])) / 1e6)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--ahead", type=int, nargs="*", default=[0, 4])
    parser.add_argument("--phones", type=int, nargs="*", default=[16, 4])
    parser.add_argument("--bare", action="store_true", help="without Ray, Tune and study")
    arguments = parser.parse_args()
    print(f"{WORKERS} turns, {arguments.trials} trials; goal 90 %\n")
    print(f"{'phones':>6} {'ahead':>6} {'busy':>7} {'minutes':>8} {'MB a process':>13} {'load':>6}", flush=True)
    for phones in arguments.phones:
        for ahead in arguments.ahead:
            with tempfile.TemporaryDirectory(prefix="fer-turns-", dir="/tmp") as home:
                folder, begun = Path(home) / "turns", time.time()
                folder.mkdir()
                asked = (bare if arguments.bare else through_tune)(folder, arguments.trials, ahead, phones)
                found = measured(folder, asked, ahead, (time.time() - begun) / 60)
            print(
                f"{phones:6} {ahead:6} {found.busy:7.1%} {found.minutes:8.1f} {found.megabytes:13.0f} "
                f"{os.getloadavg()[0]:6.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
