"""Who proposes candidates: Optuna's samplers by name, and what they learn from.

``"tpe"`` and ``"nsga2"`` learn from the trials of an Optuna study, which ``search.study`` keeps. ``"gp"`` is ours
(``search.acquisition``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.config import StudyConfig
from search.objectives import DIRECTIONS, Outcome
from search.proposing import SamplerConfig
from search.ranking import best_rows
from search.remaining import Params
from search.space import Probe, suggest


class Told(NamedTuple):
    """A trial that ended: what it was asked for, and how it ended."""

    params: Params
    outcome: Outcome


def sampler_of(settings: SamplerConfig, seed: int) -> optuna.samplers.BaseSampler:
    """Return Optuna's sampler of that name; chance for one that is not asked this way (``"gp"``, ``"staged"``)."""
    match settings.name:
        case "tpe":  # multivariate: choices depend on each other
            return optuna.samplers.TPESampler(n_startup_trials=settings.startup_trials, seed=seed, multivariate=True)
        case "nsga2":
            return optuna.samplers.NSGAIISampler(population_size=max(2, settings.startup_trials), seed=seed)
        case _:
            return optuna.samplers.RandomSampler(seed=seed)


def thinned_told(told: Sequence[Told], config: StudyConfig, count: int, rng: np.random.Generator) -> list[Told]:
    """Return *count* of *told*, complete or infeasible all, as ``thinned`` does; all if they are no more."""
    if len(told) <= count:
        return list(told)
    trials = _finished(told, config)
    kept = {id(trial) for trial in thinned(trials, _directions(config), count, rng)}
    return [one for one, trial in zip(told, trials, strict=True) if id(trial) in kept]


def _directions(config: StudyConfig) -> list[StudyDirection]:
    return [StudyDirection[DIRECTIONS[name].upper()] for name in config.objectives]


def _finished(told: Sequence[Told], config: StudyConfig) -> list[FrozenTrial]:
    """Return *told* as Optuna's trials, each with every key and every value."""
    keys = distributions_of(config)
    return [
        create_trial(values=values, params=_whole(one.params, keys), distributions=keys, constraints=bounds)
        for one, values, bounds in zip(told, _values(told, config), _bounds(told, config), strict=True)
    ]


def distributions_of(config: StudyConfig) -> dict[str, BaseDistribution]:
    """Return every key that varies with what it may be, in Optuna's terms."""
    recorder = _Recorder()
    suggest(recorder, config)
    return recorder.found


class _Recorder(Probe):
    """Records what is asked when every conditional key applies."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, BaseDistribution] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ANN401 - Optuna's own type
        self.found[name] = CategoricalDistribution(choices)
        return super().suggest_categorical(name, choices)

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1, log: bool = False) -> int:
        self.found[name] = IntDistribution(low, high, log=log, step=step)
        return super().suggest_int(name, low, high, step=step, log=log)

    def suggest_float(
        self, name: str, low: float, high: float, /, *, step: float | None = None, log: bool = False
    ) -> float:
        self.found[name] = FloatDistribution(low, high, log=log, step=step)
        return super().suggest_float(name, low, high, step=step, log=log)


def _whole(params: Params, keys: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Return *params* with the first or lowest value of each key that they lack."""
    return {
        name: params.get(name, key.choices[0] if isinstance(key, CategoricalDistribution) else key.low)
        for name, key in keys.items()
    }


def _values(known: Sequence[Told], config: StudyConfig) -> list[list[float]]:
    """Return the objectives (n, m) of *known*; where one is not known, the mean of the others', or 0."""
    table = np.array(
        [[trial.outcome.values.get(name, np.nan) for name in config.objectives] for trial in known], dtype=np.float64
    ).reshape(len(known), len(config.objectives))
    lacking = np.isnan(table)
    means = np.where(lacking, 0.0, table).sum(axis=0) / np.maximum(1, (~lacking).sum(axis=0))
    filled: list[list[float]] = np.where(lacking, means, table).tolist()
    return filled


def _bounds(known: Sequence[Told], config: StudyConfig) -> list[dict[str, float]]:
    """Return by how much each of *known* is over the bounds, relative to them; below 0 how far under, where known."""

    def over(outcome: Outcome, key: str, bound: float) -> float:
        if key == "latency_ms" and "latency" in outcome.values:
            return outcome.values["latency"] / bound - 1
        return outcome.violations.get(key, 0.0) / bound

    bounds = {key: bound for key, bound in config.constraints if bound is not None}
    return [{key: over(trial.outcome, key, bound) for key, bound in bounds.items()} for trial in known]


def thinned(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], count: int, rng: np.random.Generator
) -> list[FrozenTrial]:
    """Return *count* of the finished *trials*, in their order: two fifths the best, the others drawn by *rng*.

    The best are those of ``search.ranking``, feasible before infeasible. TPE compares good trials with all others: of
    the good ones it needs the best, of the others only a fair sample, and its time grows faster than their number.
    """
    feasible = np.array([trial.state is TrialState.COMPLETE and _violation(trial) <= 0 for trial in trials])
    signs = np.array([-1.0 if direction is StudyDirection.MAXIMIZE else 1.0 for direction in directions])
    rows = np.flatnonzero(feasible)
    values = np.array([trials[row].values for row in rows]).reshape(len(rows), len(directions)) * signs
    best = rows[best_rows(values, 2 * count // 5)]
    others = np.setdiff1d(np.arange(len(trials)), best)
    drawn = rng.choice(others, size=min(count - len(best), len(others)), replace=False)
    return [trials[row] for row in np.sort(np.concatenate([best, drawn]))]


def _violation(trial: FrozenTrial) -> float:
    """Return by how much *trial* breaks its constraints, each relative to its bound; 0 for a feasible one."""
    return float(sum(max(value, 0.0) for value in trial.constraints.values()))
