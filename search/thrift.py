"""Cost-aware TPE: of equal promise, the candidate that is cheaper by what earlier trials have computed.

Optuna's TPE draws candidates from l, the density of good trials, and takes the one with the largest l / g, which
orders them by expected improvement (Bergstra et al., NIPS 2011); g is the density of the others. Here

* as many candidates again are *grafts*: other choices for what follows a training that was finished. Where a learning
  rate is a range, no two draws would ever share a training;
* the largest l / g / cost^alpha is taken: expected improvement per second (Snoek, Larochelle & Adams, NIPS 2012,
  3.2), with the cost of ``search.remaining``;
* alpha falls from 1 to 0 as the budget of trials is spent, so that what is dear is not put off for ever (cost cooling;
  Lee, Perrone, Archambeau & Seeger, arXiv 2003.10870, 4);
* what was handed out before is taken last.

Before TPE has trials to learn from, a trial is drawn by chance, with probability 1 / cost^alpha, grafts among them.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.trial import FrozenTrial, TrialState

from search.config import StudyConfig
from search.proposing import SamplerConfig
from search.remaining import Remaining
from search.space import Drawn, suggest

FIRST = 8
"""Draws, and grafts, among which a first trial is drawn."""

type Floats = NDArray[np.float64]
type Samples = dict[str, NDArray[Any]]


def cooled(asked: int, trials: int) -> float:
    """Return alpha after *asked* of *trials* trials were handed out: from 1 down to 0."""
    return max(0.0, 1.0 - asked / trials)


def worth(promise: Floats, costs: Floats, alpha: float) -> Floats:
    """Return the logarithm of improvement per cost (n,) of candidates with the logarithm *promise* and *costs* (n,).

    Those of infinite cost come behind all others, in the order of their promise.
    """
    known = np.isinf(costs)
    value: Floats = promise - alpha * np.log(np.where(known, 1.0, costs))
    value[known] -= 2.0 * np.ptp(value) + 1.0
    return value


def first_params(config: StudyConfig, remaining: Remaining, alpha: float, rng: np.random.Generator) -> dict[str, Any]:
    """Return the parameters of a trial drawn by chance, the cheaper the likelier."""
    known = remaining.trainings
    grafts = [known[place] for place in rng.integers(len(known), size=FIRST)] if known else []
    drawn = [drawn_params(config, fixed, rng) for fixed in [*[{}] * FIRST, *grafts]]
    costs = np.array([remaining.cost(params) for params in drawn])
    return drawn[int(np.argmax(worth(rng.gumbel(size=len(drawn)), costs, alpha)))]


def drawn_params(config: StudyConfig, fixed: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return the parameters of a candidate that are *fixed* where they apply, else drawn by chance."""
    answers = _Fixed(rng, fixed)
    suggest(answers, config)
    return answers.asked


class _Fixed(Drawn):
    """Answers by chance where *fixed* has no answer; ``asked`` holds what was answered."""

    def __init__(self, rng: np.random.Generator, fixed: Mapping[str, Any]) -> None:
        super().__init__(rng)
        self._fixed = fixed
        self.asked: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ANN401 - one of the choices
        """Return one of *choices*."""
        return self._answer(name, super().suggest_categorical(name, choices))

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1, log: bool = False) -> int:
        """Return an integer in [*low*, *high*]."""
        return int(self._answer(name, super().suggest_int(name, low, high, step=step, log=log)))

    def suggest_float(
        self, name: str, low: float, high: float, /, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number in [*low*, *high*]."""
        return float(self._answer(name, super().suggest_float(name, low, high, step=step, log=log)))

    def _answer(self, name: str, drawn: Any) -> Any:  # noqa: ANN401
        self.asked[name] = self._fixed.get(name, drawn)
        return self.asked[name]


class _Grafting(_ParzenEstimator):  # type: ignore[misc] # Optuna's inner modules are untyped
    """Optuna's density, which draws grafts too: as many again, on trainings of *remaining*."""

    def __init__(self, remaining: Remaining, *arguments: Any) -> None:  # noqa: ANN401 - Optuna's own
        super().__init__(*arguments)
        self._trainings = remaining.trainings

    def sample(self, rng: np.random.RandomState, size: int) -> Samples:
        """Return *size* draws of every key and, if there are trainings, *size* grafts behind them."""
        draws: Samples = super().sample(rng, size)
        shared = [name for name in self._search_space if self._trainings and name in self._trainings[0]]
        if not shared:
            return draws
        grafts = super().sample(rng, size)
        chosen = [self._trainings[place] for place in rng.randint(len(self._trainings), size=size)]
        for name in shared:
            to_internal = self._search_space[name].to_internal_repr
            grafts[name] = np.array([to_internal(one[name]) for one in chosen], dtype=np.float64)
        return {name: np.concatenate([draws[name], grafts[name]]) for name in draws}

    def described(self, samples: Samples) -> list[dict[str, Any]]:
        """Return *samples* one by one, in the terms of a study."""
        space = self._search_space
        columns = [[key.to_external_repr(value) for value in samples[name].tolist()] for name, key in space.items()]
        return [dict(zip(space, row, strict=True)) for row in zip(*columns, strict=True)]


class ThriftyTPE(optuna.samplers.TPESampler):  # type: ignore[misc] # as above
    """Optuna's TPE, which divides promise by the cost that *remaining* tells, to the power of *alpha*.

    Optuna 5.0 has no switch for either; two of its inner methods are overridden, which a test watches. And a key varies
    alike in all trials of a study: which keys they share is known by name, where Optuna compares all choices.
    """

    def __init__(self, settings: SamplerConfig, seed: int, remaining: Remaining, alpha: float) -> None:
        super().__init__(n_startup_trials=settings.startup_trials, seed=seed, multivariate=True)
        self._remaining, self._alpha = remaining, alpha
        self._parzen_estimator_cls: Any = functools.partial(_Grafting, remaining)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002 - Optuna's signature
        """Return the keys that every finished trial of *study* was asked."""
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if not finished:
            return {}
        keys = finished[0].distributions
        shared = set(keys).intersection(*(other.distributions for other in finished))
        return {name: keys[name] for name in sorted(shared) if not keys[name].single()}

    def _compute_acquisition_func(self, samples: Samples, mpe_below: _Grafting, mpe_above: _Grafting) -> Floats:
        promise = super()._compute_acquisition_func(samples, mpe_below, mpe_above)
        costs = [self._remaining.cost(params) for params in mpe_below.described(samples)]
        return worth(promise, np.array(costs), self._alpha)
