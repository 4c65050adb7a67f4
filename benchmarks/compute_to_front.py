"""Compute until a front is found: our engine against every candidate trained whole, on a table of real trainings.

    python benchmarks/compute_to_front.py [--seeds 20] [--first 0] [--sampler tpe] [--study STUDY] [--table TABLE]
        [--most SECONDS]

The table holds a small space that was computed whole (``record_table``): validation F1 of every epoch, F1 of the
.tflite, simulated latency, CPU seconds of every stage. The study with its TPE, the searcher and halving are the real
ones; only the work is looked up and the time simulated (``simulated_cluster``, 4 workers). The arms:

* flat: what Ray Tune with Optuna does when nobody tells it more: every candidate is trained whole, compressed,
  exported, scored, and measured last. (Better than real: a candidate that was evaluated is not evaluated again.)
* ours: untrained export and latency first, infeasible candidates end there (gate); trainings, repairs and exports are
  shared by the candidates that agree in them (tree); halving as a study has it by default, or bold: from epoch 4 of
  9, on the evidence of 5 trainings.
* "plain": with a TPE that does not know what is computed already (``sampler.cost_aware``), as in flat and in every arm
  without a tree. With ``--sampler gp`` these have Optuna's TPE, the others our Gaussian processes.
* and each part alone, and each left out.
* an oracle, which knows every result beforehand and computes only what its front needs: no search can do with less.

For each seed, the worker seconds until the hypervolume of the best front of the space is reached to a share; the ratio
flat / arm by seed, its median and the 95 % bootstrap interval of the median. Goal: 5. Where flat did not get there
within ``--most``, the ratio of a seed is at least what it would be had it got there then, and counts as that.
"""

import argparse
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record_table import candidate_of, choices_of_all
from simulated_cluster import Cluster, Program, Stage

from search.candidate import Candidate, digest_of
from search.config import EarlyStopping, StudyConfig
from search.front import hypervolume
from search.objectives import DIRECTIONS, Outcome
from search.record import Report

DATA = Path(__file__).resolve().parent / "data"
SHARES = (0.9, 0.95, 0.99)
WORKERS, PHONES, MEASURING = 4, 2, 20.0
"""Workers, phones, and the seconds of a measurement on a phone, which cost no worker's."""
FEW = 3
"""Networks that the oracle trains at most; plain and pruned count as two."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Which parts of the engine are at work."""

    gate: bool
    tree: bool
    grace: int = 0
    """Epochs before the first rung of halving; 0 for none."""
    evidence: int = 9
    """Trainings that end before anybody is stopped."""
    aware: bool = False
    """Whether TPE knows what is computed already."""


ARMS = {
    "flat": Arm(gate=False, tree=False),
    "gate, tree, plain": Arm(gate=True, tree=True),
    "gate, tree": Arm(gate=True, tree=True, aware=True),
    "gate, tree, halving": Arm(gate=True, tree=True, grace=1, aware=True),
    "gate, tree, bold halving": Arm(gate=True, tree=True, grace=4, evidence=5, aware=True),
    "tree, halving": Arm(gate=False, tree=True, grace=1, aware=True),
    "gate, halving": Arm(gate=True, tree=False, grace=1),
    "gate": Arm(gate=True, tree=False),
    "tree": Arm(gate=False, tree=True, aware=True),
    "halving": Arm(gate=False, tree=False, grace=1),
}


class Table:
    """The rows of the table at *path* by candidate, for the space of *config*.

    Raises:
        SystemExit: a candidate of the space has no row.
    """

    def __init__(self, path: Path, config: StudyConfig) -> None:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self.rows: dict[str, dict[str, Any]] = {candidate_of(row["choices"], config).digest: row for row in rows}
        everything = candidates(config)
        missing = [one for one in everything if one.digest not in self.rows]
        if missing:
            raise SystemExit(f"{path}: {len(missing)} of {len(everything)} candidates have no row; see record_table.py")
        exports = defaultdict(list)
        for one in everything:
            exports[repair_key(one)].append(self.rows[one.digest]["seconds"]["export"])
        self._exports: Mapping[str, list[float]] = exports
        self.config = config

    def repair_and_export(self, candidate: Candidate) -> tuple[float, float]:
        """Return the seconds of compression with its repair, and of the export behind it.

        The table has the repair in the first export that needed it.
        """
        every = self._exports[repair_key(candidate)]
        if candidate.compression.pruning == "none":
            return 0.0, float(np.median(every))
        return max(every) - min(every), min(every)

    def best(self) -> float:
        """Return the hypervolume of all feasible candidates."""
        return volume(self.config, [self.values(one) for one in candidates(self.config) if self.feasible(one)])

    def as_recorded(self, candidate: Candidate) -> Candidate:
        """Return *candidate* with the seed that the table was computed with: a study's own only moves the search."""
        training = candidate.training.model_copy(update={"seed": self.config.seed})
        return candidate.model_copy(update={"training": training})

    def values(self, candidate: Candidate) -> dict[str, float]:
        """Return the objectives of *candidate*."""
        row = self.rows[candidate.digest]
        return {"f1": row["f1"], "latency": row["latency_ms"]}

    def feasible(self, candidate: Candidate) -> bool:
        """Whether *candidate* is as fast as it must be."""
        bound = self.config.constraints.latency_ms
        return bound is None or bool(self.rows[candidate.digest]["latency_ms"] <= bound)


def candidates(config: StudyConfig) -> list[Candidate]:
    """Return every candidate of the space of *config*."""
    return [candidate_of(choices, config) for choices in choices_of_all(config)]


def repair_key(candidate: Candidate) -> str:
    """Return what the repaired network of *candidate* depends on: all but how it is quantized and deployed."""
    plain = candidate.compression.model_copy(update={"quantization": "float32"})
    return digest_of("repair", candidate.architecture, candidate.training, plain)


def volume(config: StudyConfig, values: list[dict[str, float]]) -> float:
    """Return the share of hypervolume that *values* dominate."""
    if not values:
        return 0.0
    corner = [config.reference_point[name] for name in config.objectives]
    directions = [DIRECTIONS[name] for name in config.objectives]
    rows = np.array([[value[name] for name in config.objectives] for value in values])
    return hypervolume(rows, directions, corner).share


def program(table: Table, arm: Arm) -> Program:
    """Return the stages of a trial in *arm*, with the results and seconds of *table*."""

    def stages(_number: int, asked: Candidate) -> Iterator[Stage]:
        candidate = table.as_recorded(asked)
        row = table.rows[candidate.digest]
        seconds = row["seconds"]
        repair, export = table.repair_and_export(candidate)

        def key(name: str) -> str | None:
            return name if arm.tree else None

        graph = f"{row['graph']} measured" if arm.tree else None
        known = Report(rung=0, values={"latency_ms": row["latency_ms"], "size_mb": row["size_mb"]})
        if arm.gate:
            yield Stage("worker", seconds["draft"], key=key(row["draft"]))
            feasible = table.feasible(candidate)
            yield Stage("phone", MEASURING, known if feasible else ending(table, candidate), graph)
        epochs = candidate.training.epochs
        for epoch, f1 in enumerate(row["val_f1"], start=1):
            values = {"val_f1": f1} if arm.gate else {"val_f1": f1, "latency_ms": 0.0}  # unknown: the same for all
            told = Report(rung=epoch, values=values)
            yield Stage("worker", seconds["train"] / epochs, told, key(f"{row['training']} {epoch}"))
        yield Stage("worker", repair, key=key(repair_key(candidate)))
        yield Stage("worker", export, key=key(row["export"]))
        yield Stage(
            "worker", seconds["score"], ending(table, candidate) if arm.gate else None, key(f"{row['export']} F1")
        )
        yield Stage("phone", MEASURING, ending(table, candidate), graph)

    return stages


def ending(table: Table, candidate: Candidate) -> Outcome:
    """Return how a trial of *candidate* ends when nothing stops it."""
    values = table.values(candidate)
    if table.feasible(candidate):
        return Outcome.model_validate({"state": "complete", "values": values})
    over = values["latency"] - (table.config.constraints.latency_ms or math.inf)
    broken = {"latency_ms": over}
    return Outcome.model_validate(
        {"state": "infeasible", "reason": "too slow", "values": {"latency": values["latency"]}, "violations": broken}
    )


def spent(table: Table, arm: Arm, seed: int, best: float, most: float) -> list[float]:
    """Return the worker seconds until each of ``SHARES`` of the *best* hypervolume was reached.

    Infinite where never, or not within *most* seconds.
    """
    stopping = EarlyStopping(grace_epochs=arm.grace, evidence=arm.evidence) if arm.grace else None
    sampler = table.config.sampler.model_copy(update={"cost_aware": arm.aware})
    if sampler.name == "gp" and not arm.aware:
        sampler = sampler.model_copy(update={"name": "tpe"})
    config = table.config.model_copy(update={"seed": seed, "early_stopping": stopping, "sampler": sampler})
    front: list[dict[str, float]] = []
    reached = [math.inf] * len(SHARES)

    def ended(seconds: float, candidate: Candidate, outcome: Outcome) -> bool:
        if outcome.state != "complete":
            return True
        front.append(table.values(table.as_recorded(candidate)))
        now = volume(config, front) / best
        for index, share in enumerate(SHARES):
            if now >= share - 1e-9:
                reached[index] = min(reached[index], seconds)
        return math.isinf(max(reached)) and seconds < most

    Cluster(WORKERS, PHONES, in_flight=WORKERS).run(config, program(table, arm), ended)
    return reached


def oracle(table: Table, best: float) -> list[float]:
    """Return the least worker seconds to each of ``SHARES`` of the *best* hypervolume, with at most ``FEW`` networks.

    A network is trained, and perhaps repaired; all of its files that are fast enough are exported and scored.
    """
    networks = defaultdict(list)
    for one in filter(table.feasible, candidates(table.config)):
        networks[repair_key(one)].append(one)
    ways = []
    for count in range(1, FEW + 1):
        for chosen in itertools.combinations(networks.values(), count):
            stages: dict[str, float] = {}
            for one in itertools.chain(*chosen):
                row = table.rows[one.digest]
                repair, export = table.repair_and_export(one)
                seconds = row["seconds"]
                stages |= {row["draft"]: seconds["draft"], row["training"]: seconds["train"], repair_key(one): repair}
                stages |= {row["export"]: export, f"{row['export']} F1": seconds["score"]}
            ways.append((sum(stages.values()), chosen))
    found = [math.inf] * len(SHARES)
    for seconds, chosen in sorted(ways, key=lambda way: way[0]):
        reached = volume(table.config, [table.values(one) for one in itertools.chain(*chosen)]) / best
        found = [
            min(least, seconds) if reached >= share - 1e-9 else least
            for least, share in zip(found, SHARES, strict=True)
        ]
        if not math.isinf(max(found)):
            break
    return found


def less(flat: NDArray[np.float64], arm: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """Return how many times less *arm* took than *flat*, by seed; at least, where *flat* was ended after *most*.

    That is 1 where neither got there, 0 where only *flat* did.
    """
    neither = np.isinf(flat) & np.isinf(arm)
    ended = np.where(np.isinf(flat), most, flat)
    return np.where(neither, 1.0, np.where(neither, 1.0, ended) / np.where(neither, 1.0, arm))


def interval(ratios: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median of *ratios*."""
    drawn = np.random.default_rng(0).choice(ratios, size=(4000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975), method="nearest")
    return float(low), float(high)


def main() -> None:
    """Print the table of arms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--study", type=Path, default=DATA / "compute_to_front.toml")
    parser.add_argument("--table", type=Path, default=DATA / "compute_to_front.jsonl")
    parser.add_argument("--sampler", choices=("tpe", "gp", "random"), default="tpe", help="who proposes")
    parser.add_argument("--most", type=float, default=math.inf, help="worker seconds after which an arm is ended")
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=list(ARMS), help="flat is always one")
    arguments = parser.parse_args()
    config = StudyConfig.load(arguments.study)
    sampler = config.sampler.model_copy(update={"name": arguments.sampler})
    config = config.model_copy(update={"sampler": sampler})
    table = Table(arguments.table, config)
    everything = candidates(config)
    infeasible = np.mean([not table.feasible(one) for one in everything])
    best = table.best()
    print(
        f"{len(everything)} candidates, {infeasible:.0%} infeasible, {arguments.seeds} seeds from {arguments.first}, "
        f"{arguments.sampler}; worker seconds (median)"
    )
    print("to a share of the best hypervolume, and how many times less than flat (95 % interval; goal 5)\n")
    print(f"{'arm':24}" + "".join(f"{f'{share:.0%} of it':>30}" for share in SHARES))
    flat: NDArray[np.float64] = np.empty(0)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    for name in dict.fromkeys(["flat", *arguments.arms, "oracle"]):
        rows = (
            [oracle(table, best)] * len(seeds)
            if name == "oracle"
            else [spent(table, ARMS[name], seed, best, arguments.most) for seed in seeds]
        )
        seconds: NDArray[np.float64] = np.array(rows)
        flat = seconds if name == "flat" else flat
        shown = []
        for column in range(len(SHARES)):
            never = int(np.isinf(seconds[:, column]).sum())
            ratios = less(flat[:, column], seconds[:, column], arguments.most)
            low, high = interval(ratios)
            text = f"{np.median(seconds[:, column]):.0f} s x{np.median(ratios):.1f} ({low:.1f}-{high:.1f})"
            shown.append(text + (f" never {never}" if never else ""))
        print(f"{name:24}" + "".join(f"{text:>30}" for text in shown), flush=True)


if __name__ == "__main__":
    main()
