"""How long does it take until a resumed study can hand out its next trial? (E3).

    python benchmarks/resume.py --trials 10000

A ledger of so many trials is made with random proposals. Then it is opened as ``fer-search resume`` opens it, without
the start of Ray: read, folded, and made into a Study that is asked for one trial more. Arms, each with a ledger: TPE,
which is told what it would know (``search.recalled``), and NSGA-II, which is replayed through Optuna: the baseline, as
every sampler once was; it gets a tenth of the trials, for the cost of each grows. The goal: 5 s for 10,000 trials, TPE.
"""

import tempfile
import time
from pathlib import Path
from typing import Any, Literal, get_args

import click
from rich.progress import track
from search_chaos import outcome_of

from fer_core.specs import ArchitectureName
from search.config import StudyConfig
from search.ledger import Ledger
from search.record import StudyOpened
from search.study import Study

GOAL_SECONDS = 5.0
GOAL_TRIALS = 10_000


def config(trials: int, sampler: Literal["tpe", "nsga2", "random"]) -> StudyConfig:
    """Return a study of *trials* on a space that has enough candidates."""
    source = {"layout": "folders", "path": "nowhere"}
    training = {
        key: {"low": low, "high": 10 * low, "log": True}
        for key, low in (("learning_rate", 1e-3), ("weight_decay", 1e-2))
    }
    space: dict[str, Any] = {
        "architecture": get_args(ArchitectureName),
        "quantization": ["float32", "float16", "dynamic_int8", "int8"],
        "threads": [1, 2, 4],
        "training": training,
    }
    named: dict[str, Any] = {"name": "resume", "objectives": ["f1", "latency"], "sampler": {"name": sampler}}
    data = {"evaluation": {"layout": "cafe", "path": "nowhere"}, "training": [source]}
    return StudyConfig.model_validate(named | {"budget": {"trials": trials}, "data": data, "space": space})


def written(path: Path, trials: int) -> None:
    """Write a ledger of *trials* to *path*."""
    planned = config(trials, "random")
    opened = StudyOpened(
        name=planned.name,
        config=planned.model_dump(mode="json"),
        config_digest=planned.digest,
        code_digest="-",
        version="-",
    )
    with Ledger.create(path, opened) as ledger:
        study = Study(planned, ledger)
        for _ in track(range(trials), "trials"):
            question = study.ask()
            if question is None:
                raise click.ClickException("the space is too small")
            outcome = outcome_of(question.candidate)
            study.report(question.number, 0, {"latency_ms": outcome.values["latency"]})
            study.tell(question.number, outcome)


def resumed(path: Path, trials: int, sampler: Literal["tpe", "nsga2"]) -> tuple[float, float]:
    """Return the seconds of wall and of CPU until the study at *path* has handed out one trial more."""
    wall, cpu = time.perf_counter(), time.process_time()
    with Ledger.open(path) as ledger:
        ledger.record()
        if Study(config(trials + 1, sampler), ledger).ask() is None:
            raise click.ClickException("nothing was handed out")
    return time.perf_counter() - wall, time.process_time() - cpu


@click.command()
@click.option("--trials", default=GOAL_TRIALS, show_default=True)
def main(trials: int) -> None:
    """Write two ledgers, open them, print the times and their ratio."""
    with tempfile.TemporaryDirectory(prefix="fer-resume-") as given:
        few, all_of_them = Path(given) / "few.db", Path(given) / "all.db"
        written(few, trials // 10)
        written(all_of_them, trials)
        replayed = resumed(few, trials // 10, "nsga2")
        wall, cpu = resumed(all_of_them, trials, "tpe")
    print(f"NSGA-II {trials // 10:7,} trials {replayed[0]:6.1f} s, {replayed[1]:6.1f} CPU s")
    print(f"TPE     {trials:7,} trials {wall:6.1f} s, {cpu:6.1f} CPU s")
    print(f"CPU a trial: replay through Optuna takes {10 * replayed[1] / cpu:.1f} times as much")
    if trials >= GOAL_TRIALS:
        print("met" if wall <= GOAL_SECONDS else f"MISSED: goal {GOAL_SECONDS:g} s")


if __name__ == "__main__":
    main()
