"""How a trial ends when something goes wrong in one of its stages, whom that blames, and how soon it is known.

    python benchmarks/endings.py                    # all of them, some five minutes
    python benchmarks/endings.py --part outcomes    # without those that end a run, each of which starts Ray

Stages are fake and fail on purpose; journey, overseer, worker, Ray Tune, searcher, driver and ledger are the real
ones. Seconds are from the fact (the last, where a trial is tried three times; for a hang, the limit of the stage) to
the ledger's line: of the trial, or of the run where that ends. Goal: each typed, the right one blamed, within 1 s.
"""

import argparse
import ctypes
import json
import logging
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

from no_faces import NO_FACES

from devicelab.errors import DeviceError, WorkloadError
from devicelab.measurement import Measurement, Workload
from fer_core.artifact import Artifact
from fer_core.errors import ConversionError, DivergedError, UnreadableModelError
from fer_core.scores import Interval, Scorecard, Scores
from search.candidate import Candidate
from search.errors import SearchError, TrialError
from search.folder import StudyFolder
from search.ledger import Ledger
from search.objectives import Outcome
from search.overseer import Overseer
from search.pipeline import journey
from search.record import Report
from search.tuning.driver import drive
from search.tuning.worker import Task, Walk

STAGES = ("draft", "measure", "train", "export", "score")
FAULTS = {
    "draft": ConversionError,
    "measure": WorkloadError,
    "train": DivergedError,
    "export": ConversionError,
    "score": UnreadableModelError,
}
STUDY = """\
name = "endings"
objectives = ["f1", "gap", "latency"]
[budget]
trials = {trials}
concurrency = 2
[sampler]
name = "random"
startup_trials = 0
[limits]
{limits}
[space]
architecture = ["mobilenetv3_small_100"]
[space.training]
epochs = 2
learning_rate = {{ low = 1e-3, high = 1e-2, log = true }}
"""
MEASUREMENT = Measurement.model_validate({
    **dict.fromkeys(("median_ms", "low_ms", "high_ms", "p90_ms", "first_ms", "phone_seconds", "measured_at"), 1.0),
    **dict.fromkeys(("fingerprint", "device", "product", "os_build", "runtime", "protocol"), "fake"),
    **dict.fromkeys(("threads", "runs", "blocks"), 1),
    "source": "simulated",
    "readings": (),
})  # fmt: skip
SCORES = Scores(
    images=1,
    subjects=1,
    accuracy=0.5,
    balanced_accuracy=0.5,
    macro_f1=0.5,
    macro_f1_interval=Interval(low=0.0, high=1.0),
    class_f1={},
    confusion=(),
)
"""What the fake phone and the fake faces say, where nothing goes wrong."""


class Case(NamedTuple):
    """What goes wrong where, and what should come of it."""

    stage: str
    fact: str
    ending: str
    blames: str | None


FINE = Case("", "nothing", "complete", None)
KILLED = [Case(stage, "killed, out of memory", "failed", "candidate") for stage in STAGES]
OUTCOMES = [
    *(Case(stage, "its own error", "failed", "candidate") for stage in STAGES),
    *(Case(stage, "NaN", "failed", "candidate") for stage in ("train", "score")),
    Case("score", "a missing objective", "failed", "us"),
    *(Case(stage, "hangs in Python", "failed", "candidate") for stage in STAGES if stage != "measure"),
    *(Case(stage, "hangs in a library", "failed", "candidate") for stage in STAGES if stage != "measure"),
]
FEW = [
    KILLED[2],
    FINE,
    FINE,
    *(case for case in OUTCOMES if case.stage == "score" and case.fact != "hangs in a library"),
    FINE,
    FINE,
]
RUNS = [
    *(Case(stage, "an exception", "run ends", "us") for stage in STAGES),
    Case("measure", "NaN", "run ends", "phone"),
    Case("measure", "a lost phone", "run ends", "phone"),
    Case("measure", "hangs in Python", "run ends", "phone"),
    Case("measure", "hangs in a library", "run ends", "phone"),
]


@dataclass
class Bench:
    """Stages that do *case* and note in *mark* when; one may take *limit* seconds."""

    case: Case
    mark: Path
    limit: float

    def _misbehave(self, stage: str) -> float:
        """Do what the case says, if it is about *stage*; return a number, or none."""
        if stage != self.case.stage:
            return 0.5
        fact = self.case.fact
        delay = self.limit if fact.startswith("hangs") else 0.0
        with self.mark.open("a") as stream:
            stream.write(f"{time.time() + delay}\n")
        match fact:
            case "its own error":
                raise FAULTS[stage]("on purpose")
            case "an exception":
                raise ZeroDivisionError("on purpose")
            case "a lost phone":
                raise DeviceError("it left on purpose")
            case "killed, out of memory":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hangs in Python":
                time.sleep(3600)
            case "hangs in a library":
                mutex, library = ctypes.create_string_buffer(64), ctypes.PyDLL(None)  # keeps Python's lock
                library.pthread_mutex_lock(mutex)
                library.pthread_mutex_lock(mutex)
        return math.nan if fact == "NaN" else 0.5

    def _artifact(self, stage: str) -> Artifact:
        self._misbehave(stage)
        return Artifact(path=self.mark, digest=stage, size=10**6, input_size=96, quantization="float32")

    def draft(self, *_: object) -> Artifact:
        """Export nothing."""
        return self._artifact("draft")

    def export(self, _: Candidate) -> Artifact:
        """Export nothing."""
        return self._artifact("export")

    def measure(self, workload: Workload) -> Measurement:
        """Measure nothing."""
        value = self._misbehave("measure")
        return MEASUREMENT.model_copy(update={"median_ms": value, "fingerprint": workload.fingerprint})

    def train(self, _: Candidate) -> Generator[Any]:
        """Train nothing."""
        for epoch in (1, 2):
            value = self._misbehave("train") if epoch == 2 else 0.5
            yield SimpleNamespace(epoch=epoch, epochs=2, val_f1=value, val_accuracy=0.5, train_loss=1.0)

    def score(self, _: Artifact) -> Scorecard:
        """Score nothing."""
        value = self._misbehave("score")
        gap = None if self.case.fact == "a missing objective" else 0.1
        scores = SCORES.model_copy(update={"macro_f1": value, "gap_shrunk": gap})
        return Scorecard(
            model_digest="fake",
            data_digest="fake",
            synthetic=True,
            search=scores,
            report=None,
            whole=scores,
            subject_confusions="",
        )


def case_of(candidate: Candidate, marks: Path, cases: list[Case]) -> Case:
    """Return the case that *candidate* is to be: the next that no other is, the same for every attempt."""
    known = {path.suffix[1:]: int(path.stem) for path in marks.glob("*.*")}
    if candidate.digest in known:
        return cases[known[candidate.digest]]
    for number, case in enumerate(cases):
        try:
            os.close(os.open(marks / f"{number}.taken", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        (marks / f"{number}.{candidate.digest}").touch()
        return case
    return FINE


@contextmanager
def workshop(cases: list[Case], task: Task, overseer: Overseer) -> Iterator[Walk]:
    """Set a process up for fake stages."""
    marks = task.folder / "marks"

    def walk(candidate: Candidate) -> Generator[Report | Outcome]:
        case = case_of(candidate, marks, cases)
        bench = Bench(case, marks / candidate.digest, 60 * task.config.limits.draft)
        for step in journey(candidate, bench, task.config.constraints, overseer):
            yield bare(step) if isinstance(step, Outcome) else step

    with patch("devicelab.graph.read_graph", lambda _path: SimpleNamespace(fingerprint="graph")):
        yield walk


def bare(outcome: Outcome) -> Outcome:
    """Return *outcome* without the parts that are not real here."""
    return outcome.model_copy(update={"scorecard": None, "measurement": None, "artifact": None})


def study(folder: Path, cases: list[Case], limit: float) -> list[dict[str, Any]]:
    """Run a study of *cases*, whose stages may take *limit* seconds; return a row for each that went wrong."""
    (folder / "marks").mkdir(parents=True)
    limits = "\n".join(f"{stage} = {limit / 60}" for stage in STAGES)
    (folder / "study.toml").write_text(STUDY.format(trials=len(cases), limits=limits) + NO_FACES)
    error = None
    try:
        drive(StudyFolder(folder), partial(workshop, cases))
    except SearchError as raised:
        error = raised
    with Ledger.open(folder / "ledger.db", readonly=True) as ledger:
        record = ledger.record()
    numbers = {path.suffix[1:]: int(path.stem) for path in (folder / "marks").glob("*.*")}
    rows = []
    for trial in record.trials.values():
        case = cases[numbers[trial.candidate.digest]] if trial.candidate.digest in numbers else FINE
        mark = folder / "marks" / trial.candidate.digest
        if case is FINE or not mark.exists():
            continue
        ended = trial.told_at or record.runs[-1].ended_at
        times = [float(line) for line in mark.read_text().split()]
        outcome = trial.outcome
        rows.append({
            **case._asdict(),
            "got": outcome.state if outcome else "run ends",
            "got_blames": outcome.blames if outcome else error.blames if isinstance(error, TrialError) else None,
            "reason": outcome.reason if outcome else str(error).split("; details in")[0],
            "attempts": len(times),
            "seconds": ended.timestamp() - times[-1] if ended else math.inf,
        })  # fmt: skip
    return rows


def main() -> int:
    """Print the table; return 1 where an ending is not the right one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("all", "outcomes", "few", "runs"), default="all")
    parser.add_argument("--limit", type=float, default=3.0, help="seconds that a stage may take")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as root:
        if arguments.part != "runs":
            mixed = [case for pair in zip(KILLED, [FINE] * len(KILLED), strict=True) for case in pair]
            cases = FEW if arguments.part == "few" else [*mixed, *OUTCOMES, FINE, FINE]
            rows += study(Path(root) / "outcomes", cases, arguments.limit)
        if arguments.part in {"all", "runs"}:
            for number, case in enumerate(RUNS):
                rows += study(Path(root) / f"run-{number}", [case], arguments.limit)
    if arguments.json:
        print(json.dumps(rows), flush=True)
    else:
        show(rows)
    return 0 if all((row["got"], row["got_blames"]) == (row["ending"], row["blames"]) for row in rows) else 1


def show(rows: list[dict[str, Any]]) -> None:
    """Print *rows* and what they add up to."""
    print(f"{'stage':8} {'fact':22} {'ending':9} {'blames':10} {'times':>5} {'s':>6}  reason")
    for row in rows:
        right = (row["got"], row["got_blames"]) == (row["ending"], row["blames"])
        print(
            f"{row['stage']:8} {row['fact']:22} {row['got']:9} {row['got_blames'] or '-'!s:10} {row['attempts']:5} "
            f"{row['seconds']:6.2f}  {row['reason'][:90]}{'' if right else '  WRONG'}"
        )
    slow = [row for row in rows if row["seconds"] > 1]
    seconds = sorted(row["seconds"] for row in rows)
    middle, most = seconds[len(seconds) // 2], seconds[-1]
    print(f"\n{len(rows)} facts; median {middle:.2f} s, most {most:.2f} s; over 1 s: {len(slow)}")


if __name__ == "__main__":
    sys.exit(main())
