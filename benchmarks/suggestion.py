"""How long the study takes to propose a candidate, and what learning from a few trials costs in hypervolume.

    python benchmarks/suggestion.py [--trials 1000 5000] [--seeds 20] [--length 500]

1. CPU time of a proposal and of telling its outcome, up to 1,000 and 5,000 finished trials of the space of
   examples/cafe.toml, three objectives, 60 % of the trials on the front; and Optuna's TPE on the whole history.
2. Hypervolume that a search of a made-up landscape over the same space reaches when TPE learns from ``KEPT`` trials and
   when it learns from all; the same seeds, paired.

Goals: 95 % of proposals within 50 ms at 1,000 trials and 100 ms at 5,000; no loss of hypervolume.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from search import study as studies
from search.candidate import Candidate
from search.config import StudyConfig
from search.front import hypervolume
from search.ledger import Ledger
from search.objectives import DIRECTIONS, Outcome
from search.record import StudyOpened
from search.space import suggest

SPACE = Path(__file__).resolve().parents[1] / "examples" / "cafe.toml"
LATEST = 300
"""Proposals that are timed: the last ones."""


def opened(folder: Path, config: StudyConfig) -> studies.Study:
    """Return a study of *config* on a new ledger in *folder*."""
    ledger = Ledger.create(
        folder / "ledger.db", StudyOpened(name="x", config=config.model_dump(mode="json"), config_digest=config.digest)
    )
    return studies.Study(config, ledger)


def on_the_front(rng: np.random.Generator) -> dict[str, float]:
    """Return objectives of which three in five lie on one front."""
    if rng.random() < 0.6:
        point = np.abs(rng.normal(size=3))
        point /= np.linalg.norm(point)
        return {"f1": 1 - point[0], "gap": point[1], "latency": 100 * point[2]}
    return {"f1": 0.2 * rng.random(), "gap": 0.9, "latency": 100 + 100 * rng.random()}


def proposal_times(config: StudyConfig, finished: int) -> dict[str, list[float]]:
    """Return CPU milliseconds of proposals after *finished* trials: ``ours``, and ``whole history``."""
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        study = opened(Path(folder), config)
        whole = optuna.create_study(directions=[DIRECTIONS[name] for name in config.objectives])
        times: dict[str, list[float]] = {"ours": [], "whole history": []}
        for _ in range(finished):
            begun = time.process_time()
            question = study.ask()
            if question is None:
                raise RuntimeError("the space is exhausted")
            took = time.process_time() - begun
            params = dict(study._live[question.number].params)  # noqa: SLF001 - what was asked
            outcome = Outcome(state="complete", values=on_the_front(rng))
            begun = time.process_time()
            study.tell(question.number, outcome)
            times["ours"].append(1e3 * (took + time.process_time() - begun))
            note(whole, params, config, [outcome.values[name] for name in config.objectives])
        times["ours"] = times["ours"][-LATEST:]
        times["whole history"] = [1e3 * whole_history(whole, config, seed) for seed in range(2)]
    return times


def note(study: optuna.Study, params: dict[str, Any], config: StudyConfig, values: list[float]) -> None:
    """Let *study* know a finished trial."""
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.enqueue_trial(params)
    trial = study.ask()
    suggest(trial, config)
    study.tell(trial, values)


def whole_history(study: optuna.Study, config: StudyConfig, seed: int) -> float:
    """Return CPU seconds that Optuna's TPE takes on everything."""
    study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    begun = time.process_time()
    trial = study.ask()
    suggest(trial, config)
    took = time.process_time() - begun
    study.tell(trial, state=TrialState.FAIL)
    return took


def landscape(candidate: Candidate) -> dict[str, float]:
    """Return made-up objectives that conflict: bigger, less compressed networks are better and slower."""
    architecture, training, compression = candidate.architecture, candidate.training, candidate.compression
    strength = ["mobilenetv3_small_100", "mobilenetv2_100", "efficientnet_b0", "nasnet_mobile", "mobilenetv3_large_100"]
    power = strength.index(architecture.name)
    size = architecture.input_size / 224
    loss = 0.12 * compression.pruning_ratio**2 + (0.0 if compression.clusters is None else 0.5 / compression.clusters)
    loss += {"float32": 0.0, "float16": 0.0, "dynamic_int8": 0.01, "int8": 0.03}[compression.quantization]
    rate = abs(np.log10(training.learning_rate) + 2.7)
    f1 = 0.35 + 0.06 * power + 0.2 * size**0.5 - loss - 0.08 * rate - 0.05 * (training.population == "adults")
    factor = {"float32": 1.0, "float16": 1.0, "dynamic_int8": 0.8, "int8": 0.55}[compression.quantization]
    latency = (20 + 45 * (power + 1)) * size**2 * factor / (1 + 0.6 * (candidate.deployment.threads - 1) ** 0.7)
    gap = 0.02 + 0.1 * abs(training.class_balance - 0.6) + 0.05 * (training.population != "children") + 0.1 * loss
    return {"f1": float(f1), "gap": float(gap), "latency": float(latency)}


def reached(config: StudyConfig, seed: int, length: int, kept: int) -> float:
    """Return the hypervolume share after *length* trials when TPE learns from *kept* of them."""
    studies.KEPT, studies.MOST = kept, kept + 50
    values: list[list[float]] = []
    budget = config.budget.model_copy(update={"trials": length})
    config = config.model_copy(update={"seed": seed, "budget": budget})
    with TemporaryDirectory() as folder:
        study = opened(Path(folder), config)
        while (question := study.ask()) is not None:
            told = landscape(question.candidate)
            values.append([told[name] for name in config.objectives])
            study.tell(question.number, Outcome(state="complete", values=told))
    corner = [config.reference_point[name] for name in config.objectives]
    return hypervolume(np.array(values), [DIRECTIONS[name] for name in config.objectives], corner).share


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="*", default=[1000, 5000], help="finished trials to ask after")
    parser.add_argument("--seeds", type=int, default=20, help="searches per arm of the comparison")
    parser.add_argument("--length", type=int, default=500, help="trials of each search")
    arguments = parser.parse_args()
    config = StudyConfig.load(SPACE)
    budget: dict[str, Any] = {"trials": 10**6, "concurrency": 1}
    config = config.model_copy(update={"budget": config.budget.model_copy(update=budget), "early_stopping": None})
    for finished in arguments.trials:
        times = proposal_times(config, finished)
        ours, whole = np.array(times["ours"]), np.array(times["whole history"])
        print(
            f"{finished:6,} trials: median {np.median(ours):6.1f} ms, p95 {np.quantile(ours, 0.95):6.1f} ms; "
            f"whole history {np.median(whole):9.1f} ms, {np.median(whole) / np.median(ours):.0f} times as long"
        )
    if arguments.seeds:
        kept = studies.KEPT
        few = np.array([reached(config, seed, arguments.length, kept) for seed in range(arguments.seeds)])
        every = np.array([reached(config, seed, arguments.length, 10**9) for seed in range(arguments.seeds)])
        change = few / every - 1
        error = 1.96 * change.std(ddof=1) / np.sqrt(len(change))
        print(
            f"hypervolume after {arguments.length} trials, {arguments.seeds} seeds: {few.mean():.4f} from {kept}, "
            f"{every.mean():.4f} from all; change {change.mean():+.2%} +- {error:.2%} (95 %)"
        )


if __name__ == "__main__":
    main()
