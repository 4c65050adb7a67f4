"""How many trivial trials a second go from question to durable answer, and whether that stays so.

    python benchmarks/throughput.py                       # 500 trials of each arm, a few minutes
    python benchmarks/throughput.py --trials 10000 --arms study-tpe study-random
    python benchmarks/throughput.py --arms study-tpe --profile study.prof

A trial reports a latency, then its outcome, and computes nothing. Arms, one process each, two trials at a time:

tune-default   Ray Tune as it comes, a function that reports twice; no search. At most 30 trials: it takes seconds each.
tune-tuned     Ray Tune with reused actors and no loggers, a class with two results; no search, no ledger.
study-random   the driver of fer-search through Tune: space of examples/cafe.toml, random proposals, durable ledger.
study-tpe      the same with TPE, three objectives.
tasks-tpe      the same study, TPE and ledger on plain calls of two Ray actors, without Tune.

Seconds and CPU seconds (of the process that drives, Ray's own and workers' not counted) are per 1,000 trials; memory is
the driver's. Goals: 20 trials/s through Tune, flat over 10,000 trials, at most 1.5 GB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from search.candidate import Candidate
from search.folder import StudyFolder
from search.ledger import Ledger
from search.objectives import Outcome
from search.overseer import Overseer
from search.record import Report, StudyOpened, TrialTold
from search.study import Study
from search.tuning.driver import drive
from search.tuning.engine import ray_running
from search.tuning.worker import Task, Walk

ARMS = ("tune-default", "tune-tuned", "study-random", "study-tpe", "tasks-tpe")
STUDY = Path(__file__).resolve().parents[1] / "examples" / "cafe.toml"
AT_A_TIME = 2
FEW = 30
"""Trials of Tune as it comes."""


def outcome_of(candidate: Candidate) -> Outcome:
    """Return made-up objectives that conflict, from the digest of *candidate*."""
    draws = [int(candidate.digest[start : start + 8], 16) / 16**8 for start in (0, 8, 16)]
    values = {"f1": draws[0], "gap": 0.1 + 0.5 * draws[0] * draws[1], "latency": 30 + 100 * draws[0] * draws[2]}
    return Outcome(state="complete", values=values)


def walk(candidate: Candidate) -> Generator[Report | Outcome]:
    """Go through a journey of no stages."""
    outcome = outcome_of(candidate)
    yield Report(rung=0, values={"latency_ms": outcome.values["latency"]}, at=None)
    yield outcome


@contextmanager
def workshop(_task: Task, _overseer: Overseer) -> Iterator[Walk]:
    """Set nothing up."""
    yield walk


def study_folder(folder: Path, sampler: str, trials: int) -> StudyFolder:
    """Return the folder of a new study of examples/cafe.toml with simulated phones."""
    text = STUDY.read_text().replace('config = "lab.toml"', "devices = 1")
    text = text.replace("trials = 400\nconcurrency = 8", f"trials = {trials}\nconcurrency = {AT_A_TIME}")
    text = text.replace('name = "tpe"', f'name = "{sampler}"')
    before, after = text.split("[early_stopping]")
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(before + after[after.index("[data]") :])
    return StudyFolder(folder)


def through_tune(folder: Path, sampler: str, trials: int) -> None:
    """Run the study as fer-search does, somebody looking on."""
    drive(study_folder(folder, sampler, trials), workshop, on_change=lambda _record: None)


def on_tasks(folder: Path, trials: int) -> None:
    """Run the study's questions, reports and answers over Ray actors, without Tune."""
    import ray

    class Walker:
        def walk(self, number: int, candidate: str) -> tuple[int, list[tuple[str, str]]]:
            told = walk(Candidate.model_validate_json(candidate))
            return number, [(type(one).__name__, one.model_dump_json()) for one in told]

    config = study_folder(folder, "tpe", trials).config
    opened = StudyOpened(name="x", config=config.model_dump(mode="json"), config_digest=config.digest)
    with ray_running(folder / "ray.json"), Ledger.create(folder / "ledger.db", opened) as ledger:
        study = Study(config, ledger)
        idle = [ray.remote(Walker).options(num_cpus=1).remote() for _ in range(AT_A_TIME)]
        busy: dict[Any, Any] = {}
        while not study.finished:
            while idle and (question := study.ask()):
                walker = idle.pop()
                busy[walker.walk.remote(question.number, question.candidate.model_dump_json())] = walker
            done = ray.wait(list(busy))[0][0]
            idle.append(busy.pop(done))
            number, told = ray.get(done)
            report = Report.model_validate_json(told[0][1])
            study.report(number, report.rung, report.values)
            study.tell(number, Outcome.model_validate_json(told[1][1]))


def bare_tune(folder: Path, trials: int, *, tuned: bool) -> None:
    """Let Tune run trials that report twice; the time of each end goes to ``told.txt``."""
    from ray import tune

    told = (folder / "told.txt").open("a")

    class Note(tune.Callback):  # type: ignore[misc] # Ray is untyped
        def __getstate__(self) -> dict[str, Any]:
            return {}

        def on_trial_complete(self, **_: Any) -> None:  # noqa: ANN401
            told.write(f"{time.time()}\n")
            told.flush()

    class Twice(tune.Trainable):  # type: ignore[misc] # Ray is untyped
        def step(self) -> dict[str, Any]:
            return {"latency": 1.0, "done": self.iteration == 1}

        def reset_config(self, _config: dict[str, Any]) -> bool:
            return True

    def twice(_config: dict[str, Any]) -> None:
        for _ in range(2):
            tune.report({"latency": 1.0})

    ways: dict[str, Any] = {"reuse_actors": True} if tuned else {}
    with ray_running(folder / "ray.json"), loggers(on=not tuned):
        tune.run(
            Twice if tuned else twice,
            config={"luck": tune.uniform(0, 1)},
            num_samples=trials,
            max_concurrent_trials=AT_A_TIME,
            resources_per_trial={"cpu": 1},
            storage_path=str(folder / "tune"),
            callbacks=[Note()],
            verbose=0,
            **ways,
        )


def loggers(*, on: bool) -> Any:  # noqa: ANN401 - a context manager
    """Let Tune write its files about each trial, or not; search.tuning switches them off."""
    return patch.dict("os.environ", {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "0" if on else "1"})


def run_arm(arm: str, folder: Path, trials: int) -> None:
    """Do *arm* in this process."""
    match arm.split("-"):
        case ["tune", how]:
            bare_tune(folder, trials, tuned=how == "tuned")
        case ["study", sampler]:
            through_tune(folder, sampler, trials)
        case _:
            on_tasks(folder, trials)


def ends(folder: Path) -> list[float]:
    """Return when trials ended, in seconds."""
    if (folder / "told.txt").exists():
        return [float(line) for line in (folder / "told.txt").read_text().split()]
    with Ledger.open(folder / "ledger.db", readonly=True) as ledger:
        return [event.at.timestamp() for event in ledger.events() if isinstance(event, TrialTold) and event.at]


def measured(arm: str, trials: int, profile: str | None) -> dict[str, Any]:
    """Run *arm* in a process of its own; return when its trials ended, and samples of its CPU time and memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, *(["-m", "cProfile", "-o", profile] if profile else []), __file__]
        process = subprocess.Popen([*command, "--inside", arm, "--folder", name, "--trials", str(trials)])
        samples = []
        observed = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                spent = observed.cpu_times()
                samples.append((time.time(), spent.user + spent.system, observed.memory_info().rss))
            except psutil.Error:
                break
            time.sleep(0.5)
        if process.wait() != 0:
            raise RuntimeError(f"{arm} ended with {process.returncode}")
        return {"ends": ends(folder), "samples": samples}


def rows(found: dict[str, Any], block: int) -> list[dict[str, float]]:
    """Return seconds and CPU seconds per 1,000 trials, and megabytes, for each *block* of trials."""
    told = sorted(found["ends"])
    table = []
    for first in range(0, len(told) - block + 1, block):
        begin, end = told[first], told[first + block - 1]
        inside = [sample for sample in found["samples"] if begin <= sample[0] <= end]
        per_thousand = 1000 / (block - 1)
        cpu = (inside[-1][1] - inside[0][1]) * (end - begin) / (inside[-1][0] - inside[0][0]) if inside[2:] else 0.0
        most = max((sample[2] for sample in inside), default=0.0)
        table.append({
            "trials": first + block,
            "seconds": (end - begin) * per_thousand,
            "cpu": cpu * per_thousand,
            "megabytes": most / 1e6,
        })  # fmt: skip
    return table


def show(arm: str, table: list[dict[str, float]]) -> None:
    """Print the *table* of *arm*, and what it adds up to."""
    for row in table:
        print(
            f"{arm:13} {row['trials']:7,.0f} {row['seconds']:9.1f} {row['cpu']:9.1f} {row['megabytes']:8.0f}",
            flush=True,
        )
    mean = sum(row["seconds"] for row in table) / len(table)
    first, last = table[0], table[-1]
    print(
        f"{arm}: {1000 / mean:.1f} trials/s; last block {last['seconds'] / first['seconds']:.2f} times the first "
        f"(CPU {last['cpu'] / (first['cpu'] or 1):.2f}); most {max(row['megabytes'] for row in table):.0f} MB\n",
        flush=True,
    )


def main() -> None:
    """Print a table for each arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=ARMS)
    parser.add_argument("--profile", help="file for a profile of the (last) arm's process")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    parser.add_argument("--inside", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        run_arm(arguments.inside, arguments.folder, arguments.trials)
        return
    print(f"{'arm':13} {'trials':>7} {'s/1,000':>9} {'CPU s':>9} {'MB':>8}")
    kept = {}
    for arm in arguments.arms:
        trials = min(arguments.trials, FEW) if arm == "tune-default" else arguments.trials
        kept[arm] = measured(arm, trials, arguments.profile)
        show(arm, rows(kept[arm], max(10, min(1000, trials // 5))))
    if arguments.json:
        arguments.json.write_text(json.dumps(kept))


if __name__ == "__main__":
    main()
