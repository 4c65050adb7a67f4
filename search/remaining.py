"""What a candidate would still cost, after what earlier trials have computed. A pure fold of a study's history.

A trial is a path: train, repair after pruning and clustering, quantize and export, run with some threads. Who shares
the beginning of a path with a trial that ended finds its results, so the children of a trained network are nearly free.

Costs are in epochs, the unit in which a study says them, and not in seconds: seconds differ from run to run, and with
them would the proposals of a study that was resumed. Faces and sizes of networks are left out for the same simplicity.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from search.config import StudyConfig
from search.objectives import Outcome
from search.settings import ends_of
from search.space import RECIPE

type Params = Mapping[str, Any]
type Key = tuple[tuple[str, Any], ...]

TRAINING = ("architecture", "input_size", "population", "augmentation", "mixing", *RECIPE)
"""The keys that decide a training."""
REPAIR = ("pruning", "pruning_ratio", "channel_importance", "clusters", "fine_tune_epochs")
"""The further keys that decide a repaired network."""
EXPORT = ("quantization", "qat_epochs")
"""The further keys that decide a file."""
THREADS = ("threads",)
PLAIN = 0.1
"""Epochs that count for what every candidate takes: a draft, an export, a score. Only how far it lies below one epoch
matters: it bounds how much a child may be preferred to a training."""


@dataclass(slots=True)
class Remaining:
    """What the trials of the study *config* have computed, by their parameters."""

    config: StudyConfig
    trainings: list[dict[str, Any]] = field(default_factory=list)
    """The keys of every training that was finished, in their order."""
    _done: set[Key] = field(default_factory=set)
    _asked: set[Key] = field(default_factory=set)

    def ask(self, params: Params) -> None:
        """Note that a candidate of *params* is or was evaluated."""
        self._asked.add(_key(params, TRAINING, REPAIR, EXPORT, THREADS))

    def tell(self, params: Params, outcome: Outcome) -> None:
        """Learn what is there after a trial of *params* ended; nothing for sure unless it is complete."""
        if outcome.state != "complete":
            return
        training = _key(params, TRAINING)
        if training not in self._done:
            self.trainings.append(dict(training))
        self._done |= {training, *(key for key, _ in self._later(params))}

    def cost(self, params: Params) -> float:
        """Return the epochs that a candidate of *params* takes, ``PLAIN`` at least; infinite for one known already.

        A key that is missing counts as the least that it may be.
        """
        if _key(params, TRAINING, REPAIR, EXPORT, THREADS) in self._asked:
            return math.inf
        training = 0.0 if _key(params, TRAINING) in self._done else self._epochs(params, "epochs")
        return PLAIN + training + sum(epochs for key, epochs in self._later(params) if key not in self._done)

    def _later(self, params: Params) -> Iterator[tuple[Key, float]]:
        """Yield the stages behind the training of *params*, with their epochs."""
        if self._one(params, "pruning") != "none" or self._one(params, "clusters") not in {"none", None}:
            yield _key(params, TRAINING, REPAIR), self._epochs(params, "fine_tune_epochs")
        if self._one(params, "quantization") == "int8_qat":
            yield _key(params, TRAINING, REPAIR, EXPORT), self._epochs(params, "qat_epochs")

    def _one(self, params: Params, name: str) -> Any:  # noqa: ANN401 - one of the choices
        choices = getattr(self.config.space, name)
        return params.get(name, choices[0])

    def _epochs(self, params: Params, name: str) -> float:
        space = self.config.space
        setting = space.training.epochs if name == "epochs" else getattr(space, name)
        return float(params.get(name, ends_of(setting)[0]))


def _key(params: Params, *groups: tuple[str, ...]) -> Key:
    return tuple((name, params[name]) for group in groups for name in group if name in params)
