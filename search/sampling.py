"""Who proposes candidates: Optuna's samplers by name, and what they learn from.

``"tpe"`` and ``"nsga2"`` learn from the trials of an Optuna study, which ``search.study`` keeps. ``"gp"`` is asked in a
study of its own, made for one question, because it models only keys that every trial has, and takes every value for
true: there a trial that lacks a key (a condition does not hold) has its lowest or first value, and one that is
infeasible has the mean of the others in the objectives that nobody knows. Trials under way are in it, so that it
does not propose beside them (qLogEHVI; Daulton et al., arXiv 2006.05078, with the constraints' probability to hold).
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
from search.space import Probe, asked, suggest

GP_LEARNS = 60
"""Trials that a Gaussian process learns from."""
GP_EFFORT = {"_n_preliminary_samples": 512, "_n_local_search": 3, "_n_qmc_samples_ehvi": 32, "_n_qmc_samples_qei": 32}
"""How thoroughly it looks for its best proposal. Optuna 5.0 has no switch for this; with its own numbers (2048, 10,
128, 128) a question with three objectives took 6 to 28 CPU seconds on a busy machine, with these 1 to 3."""

type Params = Mapping[str, Any]


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


def gp_params(config: StudyConfig, told: Sequence[Told], running: Sequence[Params], seed: int) -> dict[str, Any]:
    """Return what a Gaussian process proposes after *told*, beside *running*: the parameters that apply.

    By chance until ``startup_trials`` of them are complete or infeasible.
    """
    keys = distributions_of(config)
    known = [trial for trial in told if trial.outcome.state in {"complete", "infeasible"}]
    finished = _finished(thinned_told(known, config, GP_LEARNS, np.random.default_rng(seed)), config)
    sampler = optuna.samplers.GPSampler(
        seed=seed, n_startup_trials=max(1, config.sampler.startup_trials), warn_independent_sampling=False
    )
    for name, count in GP_EFFORT.items():
        setattr(sampler, name, count)
    scratch = optuna.create_study(directions=_directions(config), sampler=sampler)
    scratch.add_trials(finished)
    scratch.add_trials(
        [create_trial(state=TrialState.RUNNING, params=_whole(one, keys), distributions=keys) for one in running]
    )
    return asked(config, scratch.ask(fixed_distributions=keys).params)


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
