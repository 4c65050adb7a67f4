"""What is lost when parts of a running search are killed? (E3).

    python benchmarks/search_chaos.py --kills 100 --seed 0

A private Ray of two raylets on this machine; a driver in a process of its own, as ``fer-search run`` starts one; a
study whose stages are fake and quick. The rest is real: Study, TPE, ledger, Tune, artifact store. Candidates that
differ in quantization or threads share a training. SIGKILLs come at random times: the driver (started again at once), a
worker, the raylet of the second node (which is replaced). Then the study may end, and it is counted:

- lost: trials that were handed out and have no outcome, and outcomes without a trial;
- doubled: trials told twice, and trainings that were finished more than once;
- wrong: trials whose outcome is not the one that follows from their candidate;
- left over: processes that were seen at work and still are there when all is over;
- strayed: proposals that an uninterrupted Study with the same seed, told the same in the same order, does not make.

The goal is 0 of each. Beside it: given up, trials that ended as failed because their worker died as often as
``search.tuning.searcher`` allows. Kills come faster here than faults do; a raylet's does not count.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

import click
import numpy as np
import psutil
from no_faces import NO_FACES
from ray.cluster_utils import Cluster
from rich.progress import Progress

from fer_core.specs import ArchitectureName
from search.artifacts import ArtifactStore
from search.candidate import Candidate
from search.folder import StudyFolder
from search.ledger import Ledger
from search.objectives import Outcome
from search.overseer import Overseer
from search.record import Report, StudyOpened, TrialAsked, TrialReported, TrialTold
from search.study import Study
from search.tuning.driver import drive
from search.tuning.searcher import RETRIES
from search.tuning.worker import Task, Walk

type Victim = Literal["driver", "worker", "node"]

SHARES: dict[Victim, float] = {"driver": 0.25, "worker": 0.55, "node": 0.2}
PAUSE_SECONDS = (0.5, 4.0)
PATIENCE_SECONDS = 180.0
"""For the last driver to end the study, and for a worker to appear."""
MORE_TRIALS = 6
"""What the study may still do after the last kill."""
FAREWELL_SECONDS = 30.0
"""How long processes may take to go when their driver or cluster has gone."""
GIVEN_UP = f"could not be evaluated, {RETRIES + 1} times: its process ended"
BESIDE = {"trials", "trainings", "given up"}
STORE_BYTES = 100 * 2**20
LEARNING_RATES = [1e-3, 1.5e-3, 2e-3, 2.5e-3, 3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 8e-3, 9e-3, 1e-2]
STUDY = f"""\
name = "chaos"
objectives = ["f1", "latency"]

[budget]
trials = 700
concurrency = 2
ahead = AHEAD

[space]
architecture = {json.dumps(get_args(ArchitectureName))}
quantization = ["float32", "float16", "dynamic_int8", "int8"]
threads = [1, 2, 4]

[space.training]
learning_rate = {LEARNING_RATES}
"""


def outcome_of(candidate: Candidate) -> Outcome:
    """Return the outcome that follows from the candidate's digest."""
    luck = int(candidate.digest[:8], 16) / 16**8
    return Outcome(state="complete", values={"f1": luck, "latency": 100 - 50 * luck**2})


def train(overseer: Overseer, finished: Path, key: str, folder: Path) -> None:
    """Take a turn of 0.2 to 0.6 s; note in the file *finished* that the training *key* got to its end."""
    with overseer.turn():
        time.sleep(0.2 + 0.4 * int(key[:2], 16) / 255)
    (folder / "weights").write_text(key)
    with finished.open("a") as stream:
        stream.write(f"{key}\n")


def journey(
    overseer: Overseer, store: ArtifactStore, finished: Path, candidate: Candidate
) -> Generator[Report | Outcome]:
    """Yield a latency, then train or find the training, then yield an epoch and the outcome."""
    outcome = outcome_of(candidate)
    yield Report(rung=0, values={"latency_ms": outcome.values["latency"]}, at=None)
    shared = candidate.architecture.model_dump_json() + candidate.training.model_dump_json()
    key = sha256(shared.encode()).hexdigest()
    store.get_or_compute(key, partial(train, overseer, finished, key))
    yield Report(rung=1, values={"val_f1": outcome.values["f1"]}, at=None)
    time.sleep(0.1)
    yield outcome


@contextmanager
def workshop(task: Task, overseer: Overseer) -> Iterator[Walk]:
    """Share one store of trainings."""
    store = ArtifactStore(task.folder / "artifacts", overseer.waiting)
    yield partial(journey, overseer, store, task.folder / "finished")


class Search:
    """The cluster, the driver on it, and every process that was seen at work."""

    def __init__(self, home: Path, ahead: int) -> None:
        self.folder = StudyFolder(home / "chaos")
        self.folder.path.mkdir()
        self.folder.config_path.write_text(STUDY.replace("AHEAD", str(ahead)) + NO_FACES)
        self._log = (home / "drivers.log").open("w")
        self._cluster = Cluster(initialize_head=True, head_node_args=self._arguments())
        self._cluster.add_node(**self._arguments())
        self.seen: set[psutil.Process] = set()
        self.endings: Counter[str] = Counter()
        self.driver = self._started()

    @staticmethod
    def _arguments() -> dict[str, object]:
        return {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}

    def _started(self, trials: int | None = None) -> "subprocess.Popen[bytes]":
        command = [sys.executable, __file__, "--inside", str(self.folder.path)]
        command += ["--trials", str(trials)] if trials else []
        place = {**os.environ, "RAY_ADDRESS": self._cluster.address}
        driver = subprocess.Popen(command, env=place, stdout=self._log, stderr=self._log, start_new_session=True)
        self.seen.add(psutil.Process(driver.pid))
        return driver

    def _raylet(self, node: object) -> psutil.Process:
        return psutil.Process(node.all_processes["raylet"][0].process.pid)  # type: ignore[attr-defined]

    def workers(self) -> list[psutil.Process]:
        """Return the processes that walk trials right now."""
        found = []
        for node in [self._cluster.head_node, *self._cluster.worker_nodes]:
            with suppress(psutil.NoSuchProcess):
                children = self._raylet(node).children()
                self.seen.update(children)
                found += [child for child in children if _is_walking(child)]
        return found

    def kill(self, victim: Victim, chance: np.random.Generator) -> None:
        """Kill *victim* and, unless it is a worker, start its successor."""
        self.look()
        if victim == "driver":
            os.kill(self.driver.pid, signal.SIGKILL)
            self.driver.wait()
            self.driver = self._started()
        elif victim == "node":
            node = next(iter(self._cluster.worker_nodes))
            self.workers()
            self._raylet(node).kill()
            self._cluster.remove_node(node, allow_graceful=False)
            self._cluster.add_node(**self._arguments())
        else:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not (workers := self.workers()):
                self.look()
                if time.monotonic() > deadline:
                    raise click.ClickException("no worker appears")
                time.sleep(0.1)
            with suppress(psutil.NoSuchProcess):
                workers[chance.integers(len(workers))].kill()

    def look(self) -> None:
        """Start the driver again where it ended by itself, and note how."""
        if self.driver.poll() is not None:
            self.endings[f"exit {self.driver.returncode}"] += 1
            self.driver = self._started()

    def finish(self) -> None:
        """Let the study come to its end after a few more trials; an error on the way is one more resumption."""
        os.kill(self.driver.pid, signal.SIGKILL)
        self.driver.wait()
        with Ledger.open(self.folder.ledger_path, readonly=True) as ledger:
            trials = len(ledger.record().trials) + MORE_TRIALS
        self.driver = self._started(trials)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.driver.poll() is None and time.monotonic() < deadline:
            self.workers()
            time.sleep(0.2)
        if self.driver.poll() != 0:
            raise click.ClickException(f"the last driver did not finish: {self.driver.poll()}")

    def left_over(self) -> list[psutil.Process]:
        """Return what still walks trials after the last driver, and what is there at all after the cluster."""
        _, walking = psutil.wait_procs([each for each in self.seen if _is_walking(each)], FAREWELL_SECONDS)
        self._cluster.shutdown()
        _, there = psutil.wait_procs(self.seen, FAREWELL_SECONDS)
        self._log.close()
        return sorted({*walking, *there}, key=lambda process: process.pid)


def _is_walking(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("Journey" in word for word in process.cmdline())
    return False


def counted(folder: StudyFolder) -> dict[str, int]:
    """Return what the ledger and the trainings of *folder* say of lost, doubled and failed."""
    with Ledger.open(folder.ledger_path, readonly=True) as ledger:
        events = ledger.events()
    asked = Counter(event.number for event in events if isinstance(event, TrialAsked))
    told = Counter(event.number for event in events if isinstance(event, TrialTold))
    candidates = {event.number: event.candidate for event in events if isinstance(event, TrialAsked)}
    ended = {event.number: event.outcome for event in events if isinstance(event, TrialTold)}
    given_up = {number for number, outcome in ended.items() if (outcome.reason or "").startswith(GIVEN_UP)}
    right = {number for number, outcome in ended.items() if outcome.values == outcome_of(candidates[number]).values}
    trainings = Counter((folder.path / "finished").read_text().split())
    return {
        "trials": len(asked),
        "trainings": len(trainings),
        "lost": len(asked.keys() ^ told.keys()) + len(set(range(len(asked))) - asked.keys()),
        "told twice": sum(count - 1 for count in told.values()),
        "trained twice": sum(count - 1 for count in trainings.values()),
        "wrong": len(ended.keys() - given_up - right),
        "given up": len(given_up),
    }


def strayed(folder: StudyFolder, home: Path) -> int:
    """Return how many proposals of the study an uninterrupted one, told the same in the same order, makes otherwise."""
    with Ledger.open(folder.ledger_path, readonly=True) as ledger:
        events = ledger.events()
    opened = next(event for event in events if isinstance(event, StudyOpened))
    different = 0
    with Ledger.create(home / "again.db", opened.model_copy(update={"at": None})) as again:
        study = Study(folder.config, again)
        for event in events:
            if isinstance(event, TrialAsked):
                question = study.ask()
                different += question is None or question.candidate != event.candidate
            elif isinstance(event, TrialReported):
                study.report(event.number, event.rung, event.values)
            elif isinstance(event, TrialTold):
                study.tell(event.number, event.outcome)
    return different


@click.command()
@click.option("--kills", default=100, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of who is killed, and when.")
@click.option("--ahead", default=0, show_default=True, help="Trials in flight beside the two that train.")
@click.option(
    "--inside", type=click.Path(exists=True, path_type=Path), hidden=True, help="Be the driver of this study."
)
@click.option("--trials", type=int, hidden=True, help="Of that driver: its budget.")
def main(kills: int, seed: int, ahead: int, inside: Path | None, trials: int | None) -> None:
    """Search, kill, resume; count what is lost."""
    if inside is not None:
        print(drive(StudyFolder(inside, trials), workshop))
        return
    chance = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="fer-chaos-", dir="/tmp") as given, Progress() as progress:
        home = Path(given)
        os.environ["RAY_TMPDIR"] = str(home / "ray")
        search = Search(home, ahead)
        victims: Counter[Victim] = Counter()
        for _ in progress.track(range(kills), description="kills"):
            time.sleep(chance.uniform(*PAUSE_SECONDS))
            victim = list(SHARES)[chance.choice(len(SHARES), p=list(SHARES.values()))]
            search.kill(victim, chance)
            victims[victim] += 1
        search.finish()
        left = search.left_over()
        found = counted(search.folder) | {"left over": len(left), "strayed": strayed(search.folder, home)}
        log = (home / "drivers.log").read_text()
    print(f"killed: {dict(victims)}; drivers that ended by themselves: {dict(search.endings)}")
    print(f"processes seen: {len(search.seen)}")
    for name, count in found.items():
        print(f"{name:14}{count}")
    bad = {name: count for name, count in found.items() if name not in BESIDE and count}
    if bad or search.endings:
        print(log[-3000:])
    print("met" if not bad else f"MISSED: {bad}")


if __name__ == "__main__":
    main()
