"""Early stopping on vectors: the order on a rung, and how long a decision takes with 10,000 trials on it.

    python benchmarks/halving.py

Beside ours, on the same rungs in the same run: the rule as the published multi-objective ASHA of Syne Tune 0.16
computes it (it takes the *sorted indices* of a non-dominated sort for priorities), and ASHA on the first objective.
Goals: no newcomer stopped whose ranks fit the best third whole; the worst third stopped in 95 % or more; 5 ms.
"""

import math
import time
from collections.abc import Callable, Iterator

import moocore
import numpy as np
from numpy.typing import NDArray

from search.halving import Halving, Progress, among_best

Floats = NDArray[np.float64]
Rule = Callable[[Floats, int], bool]

STUDIES, TRIALS, ETA = 20, 300, 3
LARGE, DECISIONS = 10_000, 200


def ours(values: Floats, best: int) -> bool:
    """The order of ``search.halving``, of vectors without doubt: what it is sure of is less (compute_to_front.py)."""
    return among_best(values, len(values) - 1, best)


def by_sorted_indices(values: Floats, best: int) -> bool:
    """Priorities as Syne Tune 0.16 has them: the order of the sort instead of the place in it."""
    priorities = np.argsort(moocore.pareto_rank(values), kind="stable")
    return bool(priorities[-1] <= np.quantile(priorities, best / len(values)))


def by_first_objective(values: Floats, best: int) -> bool:
    """ASHA on one objective."""
    return int((values[:, 0] < values[-1, 0]).sum()) < best


def studies() -> Iterator[Floats]:
    """Yield the rung of each study, (trials, 3), in the order of arrival: objectives that conflict in part."""
    for seed in range(STUDIES):
        rng = np.random.default_rng(seed)
        quality = rng.normal(size=TRIALS)
        noise = rng.normal(size=(TRIALS, 3)) * (0.5, 0.8, 1.0)
        yield np.stack([-quality, 0.5 * quality, -0.3 * quality], axis=1) + noise


def stopped(rule: Rule) -> tuple[float, float, float]:
    """Return the shares that *rule* stops: of the ranks that fit the best third, of the worst third, and of all."""
    fits, worst, everyone = [], [], []
    for rung in studies():
        for count in range(60, TRIALS + 1):
            values, best = rung[:count], math.ceil(count / ETA)
            ranks, stops = moocore.pareto_rank(values), not rule(values, best)
            everyone.append(stops)
            if (ranks <= ranks[-1]).sum() <= best:
                fits.append(stops)
            if (ranks < ranks[-1]).mean() > 1 - 1 / ETA:
                worst.append(stops)
    return float(np.mean(fits)), float(np.mean(worst)), float(np.mean(everyone))


def milliseconds(values: Floats) -> tuple[float, float]:
    """Return the median and the 95th percentile of the CPU time of a decision on a rung that holds *values*."""
    halving, times = Halving(grace=1, eta=ETA, evidence=len(values)), []
    for number, vector in enumerate(values):
        at = Progress(number, f"training {number}", "all", 1, 9, tuple(vector))
        if number >= len(values) - DECISIONS:
            halving.evidence = 1
        begun = time.process_time()
        halving.goes_on(at)
        times.append(1e3 * (time.process_time() - begun))
        if number % 2:
            halving.ends(number, at.vector)
    return float(np.median(times[-DECISIONS:])), float(np.quantile(times[-DECISIONS:], 0.95))


def main() -> None:
    """Print both tables."""
    print(f"{STUDIES} studies of {TRIALS} trials, 3 objectives; share of newcomers that are stopped\n")
    print(f"{'rule':32}{'ranks that fit the best third':>32}{'worst third':>14}{'all':>8}")
    rules = {"ours": ours, "sorted indices as priorities": by_sorted_indices, "first objective": by_first_objective}
    for name, rule in rules.items():
        fits, worst, everyone = stopped(rule)
        print(f"{name:32}{fits:>32.1%}{worst:>14.1%}{everyone:>8.1%}")
    print(f"\na decision with {LARGE:,} trials on the rung, CPU ms (goal 5)\n")
    for objectives in (2, 3):
        rng = np.random.default_rng(objectives)
        uniform = rng.random((LARGE, objectives))
        sphere = np.abs(rng.normal(size=(LARGE, objectives)))
        front = sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
        for name, values in (("uniform", uniform), ("all non-dominated", front)):
            median, late = milliseconds(values)
            print(f"{objectives} objectives, {name:20} median {median:6.2f}   p95 {late:6.2f}")


if __name__ == "__main__":
    main()
