"""How busy 16 workers are when stages take from 1 to 20 seconds and phones are waited for: simulated time, real engine.

    python benchmarks/utilisation.py [--trials 400] [--seeds 3]

The study, the searcher and halving are the real ones; workers, phones and seconds are simulated
(``simulated_cluster``). A trial is an export (1 to 20 s, as every stage, evenly in the logarithm), a measurement, nine
epochs, an export and a score. Both arms in one run: a trial *holds* its worker from its first stage to its end, or it
has one only while it computes. Busy is counted until the last trial is handed out; behind that any rule runs dry.
Goal: 90 %.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from simulated_cluster import Cluster, Program, Stage

from search.candidate import Candidate
from search.config import StudyConfig
from search.objectives import Outcome
from search.record import Report

SPACE = Path(__file__).resolve().parents[1] / "examples" / "cafe.toml"
WORKERS, SHORTEST, LONGEST, EPOCHS = 16, 1.0, 20.0, 9


def program(seed: int) -> Program:
    """Return trials of random stages, the same for a trial in every arm."""

    def stages(number: int, candidate: Candidate) -> Iterator[Stage]:
        rng = np.random.default_rng([seed, number])

        def seconds() -> float:
            return float(np.exp(rng.uniform(math.log(SHORTEST), math.log(LONGEST))))

        quality, latency = rng.random(), 10 + 80 * rng.random()
        yield Stage("worker", seconds())
        yield Stage("phone", seconds(), Report(rung=0, values={"latency_ms": latency}))
        epoch = seconds()
        last = candidate.training.epochs
        for number_of_epoch in range(1, last + 1):
            yield Stage("worker", epoch, Report(rung=number_of_epoch, values={"val_f1": quality}))
        yield Stage("worker", seconds())
        values = {"f1": quality, "gap": 0.1 * rng.random(), "latency": latency}
        yield Stage("worker", seconds(), Outcome(state="complete", values=values))

    return stages


def busy(config: StudyConfig, cluster: Cluster, seed: int) -> tuple[float, float]:
    """Return the share of the workers' time that is work, and the hours until the last trial ended."""
    cluster.run(config, program(seed))
    return cluster.busy_then / (cluster.workers * cluster.all_asked), cluster.now / 3600


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    config = StudyConfig.load(SPACE)
    training = config.space.training.model_copy(update={"epochs": EPOCHS})
    config = config.model_copy(
        update={
            "budget": config.budget.model_copy(update={"trials": arguments.trials, "concurrency": WORKERS}),
            "sampler": config.sampler.model_copy(update={"name": "random"}),
            "space": config.space.model_copy(update={"training": training}),
        }
    )
    print(f"{WORKERS} workers, {arguments.trials} trials, {arguments.seeds} seeds; share of time at work (goal 90 %)\n")
    print(f"{'':44}{'16 phones':>16}{'4 phones':>16}{'2 phones':>16}")
    arms = {"a trial holds its worker, 16 in flight": (True, 16)}
    arms |= {f"while it computes only, {count} in flight": (False, count) for count in (16, 20, 24, 32)}
    for name, (holds, in_flight) in arms.items():
        shown = []
        for phones in (16, 4, 2):
            runs = [busy(config, Cluster(WORKERS, phones, in_flight, holds), seed) for seed in range(arguments.seeds)]
            shown.append(f"{np.mean([run[0] for run in runs]):.1%} {np.mean([run[1] for run in runs]):5.2f} h")
        print(f"{name:44}" + "".join(f"{text:>16}" for text in shown), flush=True)


if __name__ == "__main__":
    main()
