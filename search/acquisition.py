"""Which candidate promises most for what it costs: expected hypervolume improvement per cost, by Gaussian processes.

Each objective has a process of its own (``search.gaussian``), which learns from the trials in which it is known: the
latency of what was too slow counts, its F1 is not made up. Candidates are drawn by chance, as other choices behind a
finished training (grafts), and as neighbours of the front. For each, hypervolume improvement is averaged over draws
from the prediction (Daulton, Balandat & Bakshy, NeurIPS 2020, 3), counted where the bounds hold, and divided by
cost^alpha (``search.thrift``). What runs counts as if it had come out as predicted.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import get_non_dominated_box_bounds
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study._multi_objective import _is_pareto_front

from search.config import StudyConfig
from search.gaussian import Columns, Known, predicted
from search.objectives import DIRECTIONS, ObjectiveName
from search.remaining import TRAINING, Params, Remaining
from search.sampling import Told, distributions_of, thinned_told
from search.thrift import drawn_params, first_params, worth

LEARNT = 60
"""Trials that the processes learn from: the best and a sample of the others (``search.sampling.thinned``)."""
FRESH, GRAFTS, NEIGHBOURS = 192, 192, 128
"""Candidates to choose from: by chance, on finished trainings, and near the front."""
DRAWN_ANEW = 0.3
"""The share of keys in which a neighbour may differ."""
DRAWS = 64
"""Draws from the prediction for each candidate."""
FEWEST = 2
"""Values of each objective that a proposal needs."""
LEAST = 1e-6
"""What the improvement of the least promising counts for, as a share of the most promising's."""

type Floats = NDArray[np.float64]


class Encoding:
    """Tables of trials: a column for each of *keys*; one that a trial lacks has its first or lowest value there."""

    def __init__(self, keys: Mapping[str, BaseDistribution], families: bool) -> None:
        self._keys = keys
        choices = [isinstance(key, CategoricalDistribution) for key in keys.values()]
        training = [families and name in TRAINING for name in keys]
        self.columns = Columns(np.array(choices), np.array(training))

    def __call__(self, trials: Sequence[Params]) -> Floats:
        """Return *trials* (n, d)."""
        rows = [[_place(trial.get(name), key) for name, key in self._keys.items()] for trial in trials]
        return np.array(rows, dtype=np.float64).reshape(len(trials), len(self._keys))


def _place(value: Any, key: BaseDistribution) -> float:  # noqa: ANN401 - one of the key's own
    """Return *value* of *key* as the number of its choice or as its place in [0, 1]; 0 for none."""
    if value is None:
        return 0.0
    if isinstance(key, CategoricalDistribution):
        return float(key.to_internal_repr(value))
    ends = np.array([key.low, value, key.high], dtype=np.float64)
    low, middle, high = np.log(ends) if key.log else ends
    return float((middle - low) / (high - low)) if high > low else 0.0


def gp_params(  # noqa: PLR0917 - what is asked, what is known, and by which chance
    config: StudyConfig,
    told: Sequence[Told],
    running: Sequence[Params],
    remaining: Remaining,
    alpha: float,
    seed: int,
) -> dict[str, Any]:
    """Return the parameters with the most expected improvement for cost^*alpha* after *told*, beside *running*.

    By chance, the cheap before the dear, while an objective is known in fewer than ``FEWEST`` trials, and where no key
    varies.
    """
    rng = np.random.default_rng(seed)
    keys = distributions_of(config)
    past = [trial for trial in told if trial.outcome.state in {"complete", "infeasible"}]
    past = thinned_told(past, config, LEARNT, rng)
    names = config.objectives
    if not keys or any(sum(name in trial.outcome.values for trial in past) < FEWEST for name in names):
        return first_params(config, remaining, alpha, rng)
    complete = [trial for trial in past if trial.outcome.state == "complete"]
    losses = np.array([[_loss(name, trial.outcome.values[name]) for name in names] for trial in complete])
    losses = losses.reshape(-1, len(names))
    best = [complete[place].params for place in np.flatnonzero(_front(losses))]
    drawn = _drawn(config, best, remaining, rng)
    asked = _Asked(keys, past, drawn, running)
    predictions = [_objective(name, asked, rng) for name in names]
    believed = np.stack([mean for _, mean in predictions], axis=-1)
    corner = np.array([_loss(name, config.reference_point[name]) for name in names])
    draws = np.stack([draws for draws, _ in predictions], axis=-1)
    gains = _improvement(draws, np.concatenate([losses, believed]), corner) * _held(config, asked, rng)
    costs = np.array([remaining.cost(params) for params in drawn])
    promise = np.log(gains / max(gains.max(), 1e-300) + LEAST)
    return drawn[int(np.argmax(worth(promise, costs, alpha)))]


class _Asked(NamedTuple):
    """What is asked: of the *keys*, after the *past*, which of those *drawn*, beside those *running*."""

    keys: Mapping[str, BaseDistribution]
    past: Sequence[Told]
    drawn: Sequence[Params]
    running: Sequence[Params]


def _loss(name: ObjectiveName, value: float) -> float:
    """Return *value*, less being better."""
    return -value if DIRECTIONS[name] == "maximize" else value


def _front(losses: Floats) -> NDArray[np.bool_]:
    """Return which of *losses* (n, k) no other dominates."""
    front: NDArray[np.bool_] = _is_pareto_front(losses, assume_unique_lexsorted=False)
    return front


def _drawn(
    config: StudyConfig, best: Sequence[Params], remaining: Remaining, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Return candidates to choose from: by chance, grafts on trainings, and neighbours of the *best*; none twice."""

    def some(of: Sequence[Params], count: int) -> list[Params]:
        return [of[place] for place in rng.integers(len(of), size=count)] if of else []

    def most(params: Params) -> Params:
        kept = rng.random(len(params)) >= DRAWN_ANEW
        return {name: value for (name, value), keeps in zip(params.items(), kept, strict=True) if keeps}

    bases = [*[{}] * FRESH, *some(remaining.trainings, GRAFTS), *map(most, some(best, NEIGHBOURS))]
    found: dict[tuple[tuple[str, Any], ...], dict[str, Any]] = {}
    for fixed in bases:
        params = drawn_params(config, fixed, rng)
        found.setdefault(tuple(params.items()), params)
    return list(found.values())


def _objective(name: ObjectiveName, asked: _Asked, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return draws from the loss *name* of each that is drawn (m, draws), and the mean for what runs (r,).

    Latencies are learnt by their logarithm, as a key rather multiplies them; two trainings of a graph have the same.
    """
    known = [trial for trial in asked.past if name in trial.outcome.values]
    values = np.array([trial.outcome.values[name] for trial in known])
    logarithmic = name == "latency"
    encoded = Encoding(asked.keys, families=not logarithmic)
    rows = encoded([trial.params for trial in known])
    learnt = Known(rows, np.log(values) if logarithmic else values, encoded.columns)
    draws, mean = predicted(learnt, encoded(asked.drawn), encoded(asked.running), DRAWS, rng)
    if logarithmic:
        draws, mean = np.exp(draws), np.exp(mean)
    sign = _loss(name, 1.0)
    return sign * draws, sign * mean


def _held(config: StudyConfig, asked: _Asked, rng: np.random.Generator) -> Floats:
    """Return the probability of each that is drawn (m,) to keep the bounds that a trial has broken.

    A trial tells by how much it is over a bound, not how far below: half of the least excess tells them apart.
    """
    encoded = Encoding(asked.keys, families=False)
    rows, places = encoded([trial.params for trial in asked.past]), encoded(asked.drawn)
    kept = np.ones(len(asked.drawn))
    for key, bound in config.constraints:
        over = np.array([trial.outcome.violations.get(key, 0.0) for trial in asked.past])
        if bound is not None and over.any():
            draws, _ = predicted(Known(rows, over, encoded.columns), places, encoded([]), DRAWS, rng)
            kept *= (draws < over[over > 0].min() / 2).mean(axis=1)
    return kept


def _improvement(draws: Floats, losses: Floats, corner: Floats) -> Floats:
    """Return by how much each candidate (m,) with *draws* (m, s, k) adds, on average, to the hypervolume of *losses*.

    That is the volume up to the *corner* (k,) that *losses* (n, k) dominate.
    """
    inside = losses[(losses < corner).all(axis=1)]
    low, high = np.full((1, len(corner)), -np.inf), corner[None]
    if len(inside):
        low, high = get_non_dominated_box_bounds(np.unique(inside[_front(inside)], axis=0), corner)
    gains = np.zeros(len(draws))
    for begin, end in zip(low, high, strict=True):
        gains += np.clip(end - np.maximum(draws, begin), 0.0, None).prod(axis=-1).mean(axis=-1)
    return gains
