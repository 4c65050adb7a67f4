"""The shape of the search space: which key depends on which. Its ranges come from study.toml.

A key with a single value is never asked for, so a sampler sees only what varies. Conditional keys:
``pruning_ratio`` where ``pruning`` is not ``"none"``, ``channel_importance`` where it is ``"structured"``;
``fine_tune_epochs`` where a network is pruned or its weights are clustered; ``qat_epochs`` where ``quantization`` is
``"int8_qat"``. No clustering is the choice ``"none"``
of ``clusters``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, Protocol

import numpy as np

from fer_core.specs import ArchitectureSpec, CompressionSpec, DeploymentSpec, TrainingSpec
from search.candidate import Candidate
from search.config import SpaceConfig, StudyConfig
from search.settings import Range, Setting

__all__ = [
    "Drawn",
    "Given",
    "Probe",
    "SpaceConfig",
    "Suggests",
    "asked",
    "choices_of",
    "continuous",
    "covering_design",
    "size",
    "suggest",
]

INTEGERS = frozenset({"epochs", "batch_size", "fine_tune_epochs", "qat_epochs"})
RECIPE = (
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "label_smoothing",
    "class_balance",
    "group_balance",
    "ema_decay",
)
"""The numbers of the training recipe, in the order in which they are asked for."""


class Suggests(Protocol):
    """Who answers the questions: an Optuna trial, or ``Given``. Bounds are included; ``log`` and ``step`` exclude."""

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ANN401 - Optuna's own type
        """Return one of *choices*."""

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1, log: bool = False) -> int:
        """Return an integer in [*low*, *high*]."""

    def suggest_float(
        self, name: str, low: float, high: float, /, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number in [*low*, *high*]."""


class Given:
    """Answers every question from a dict of parameters, as recorded in a ledger; ``asked`` holds what was used.

    Raises:
        KeyError: a question that *params* has no answer to.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self.asked: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ANN401, ARG002
        """Return what was given for *name*."""
        self.asked[name] = self._params[name]
        return self.asked[name]

    def suggest_int(self, name: str, low: int, high: int, /, **_scale: Any) -> int:  # noqa: ANN401, ARG002
        """Return what was given for *name*."""
        self.asked[name] = int(self._params[name])
        return int(self.asked[name])

    def suggest_float(self, name: str, low: float, high: float, /, **_scale: Any) -> float:  # noqa: ANN401, ARG002
        """Return what was given for *name*."""
        self.asked[name] = float(self._params[name])
        return float(self.asked[name])


class Drawn:
    """Answers every question by chance, each value alike (each order of magnitude alike on a logarithmic scale)."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ANN401, ARG002
        """Return one of *choices*."""
        return choices[int(self._rng.integers(len(choices)))]

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1, log: bool = False) -> int:  # noqa: ARG002
        """Return an integer in [*low*, *high*]."""
        return _int_at(float(self._rng.random()), low, high, step=step, log=log)

    def suggest_float(
        self,
        name: str,  # noqa: ARG002
        low: float,
        high: float,
        /,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        """Return a number in [*low*, *high*]."""
        return _float_at(float(self._rng.random()), low, high, step=step, log=log)


def suggest(trial: Suggests, config: StudyConfig) -> Candidate:
    """Ask *trial* for every key that varies and applies, and return the candidate that the answers describe."""
    space = config.space
    architecture = _choose(trial, "architecture", space.architecture)
    pruning = _choose(trial, "pruning", space.pruning)
    clusters = _choose(trial, "clusters", _named(space.clusters))
    repaired = pruning != "none" or clusters != "none"
    quantization = _choose(trial, "quantization", space.quantization)
    compression = CompressionSpec(
        pruning=pruning,
        pruning_ratio=0.0 if pruning == "none" else _number(trial, "pruning_ratio", space.pruning_ratio),
        channel_importance=_choose(trial, "channel_importance", space.channel_importance)
        if pruning == "structured"
        else "l2",
        clusters=None if clusters == "none" else clusters,
        quantization=quantization,
        fine_tune_epochs=_number(trial, "fine_tune_epochs", space.fine_tune_epochs) if repaired else 0,
        calibration_images=space.calibration_images,
        qat_epochs=_number(trial, "qat_epochs", space.qat_epochs) if quantization == "int8_qat" else 0,
    )
    training = TrainingSpec(
        population=_choose(trial, "population", space.population),
        augmentation=_choose(trial, "augmentation", space.training.augmentation),
        mixing=_choose(trial, "mixing", space.training.mixing),
        teacher=space.training.teacher,
        teacher_weights=space.training.teacher_weights,
        seed=config.seed,
        **{key: _number(trial, key, getattr(space.training, key)) for key in RECIPE},
    )
    return Candidate(
        architecture=ArchitectureSpec(
            name=architecture,
            input_size=_choose(trial, "input_size", space.input_size),
            weights=space.weights_of(architecture),
        ),
        training=training,
        compression=compression,
        deployment=DeploymentSpec(threads=_choose(trial, "threads", space.threads)),
    )


def covering_design(config: StudyConfig) -> tuple[dict[str, Any], ...]:
    """Return the parameters of the first trials: every choice of every key, in as few trials as possible.

    As many dicts as the longest list of choices has entries. Each key walks through a random
    permutation of its choices (seeded by the study), so each choice stands in the design at least
    once and no choice more than once more often than another. Ranges are cut into as many strata as
    there are trials, one number from the middle of each (a Latin hypercube; McKay, Beckman & Conover,
    Technometrics 21 (1979) 239-245). Conditional keys stand only where they apply.
    """
    probe = Probe()
    suggest(probe, config)
    rng = np.random.default_rng(config.seed)
    trials = max((len(choices) for choices in probe.choices.values()), default=1)
    columns: dict[str, list[Any]] = {}
    for key, choices in probe.choices.items():
        rounds = [rng.permutation(len(choices)) for _ in range(math.ceil(trials / len(choices)))]
        columns[key] = [choices[index] for index in np.concatenate(rounds)[:trials]]
    for key, place in probe.ranges.items():
        columns[key] = [place((stratum + 0.5) / trials) for stratum in rng.permutation(trials)]
    return tuple(asked(config, {key: column[row] for key, column in columns.items()}) for row in range(trials))


def choices_of(config: StudyConfig) -> tuple[dict[str, Sequence[Any]], tuple[str, ...]]:
    """Return every key that varies by choices with its choices, and the keys that vary over a range."""
    probe = Probe()
    suggest(probe, config)
    return probe.choices, tuple(probe.ranges)


def size(config: StudyConfig) -> float:
    """Return the number of different candidates: a whole number, or ``inf`` where ``continuous`` names a key."""
    space = config.space
    variants = 0.0
    for pruning, clusters in product(space.pruning, space.clusters):
        ratios = 1 if pruning == "none" else _count("pruning_ratio", space.pruning_ratio)
        repairs = 1 if pruning == "none" and clusters is None else _count("fine_tune_epochs", space.fine_tune_epochs)
        rankings = len(space.channel_importance) if pruning == "structured" else 1
        variants += ratios * rankings * repairs
    numerics = sum(_count("qat_epochs", space.qat_epochs) if kind == "int8_qat" else 1 for kind in space.quantization)
    choices = (space.architecture, space.input_size, space.population, space.threads)
    images = len(space.training.augmentation) * len(space.training.mixing)
    recipe = math.prod(_count(key, getattr(space.training, key)) for key in RECIPE)
    return variants * numerics * math.prod(map(len, choices)) * images * recipe


def continuous(config: StudyConfig) -> tuple[str, ...]:
    """Return the keys that have no countable set of values, in the order in which they are asked for."""
    settings = {key: getattr(config.space.training, key) for key in RECIPE}
    settings["pruning_ratio"] = config.space.pruning_ratio if set(config.space.pruning) != {"none"} else 0.0
    return tuple(key for key, setting in settings.items() if math.isinf(_count(key, setting)))


class Probe:
    """Records what is asked when every conditional key applies.

    It answers with ``"structured"`` or ``"int8_qat"`` where that is a choice, else with the last that is not none.
    """

    def __init__(self) -> None:
        self.choices: dict[str, Sequence[Any]] = {}
        self.ranges: dict[str, Callable[[float], float]] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ANN401 - Optuna's own type
        """Return a choice with which the most keys apply."""
        self.choices[name] = choices
        asking = [choice for choice in choices if choice in {"structured", "int8_qat"}]
        return next((choice for choice in [*asking, *reversed(choices)] if choice != "none"), choices[0])

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1, log: bool = False) -> int:
        """Return the lowest."""
        self.ranges[name] = partial(_int_at, low=low, high=high, step=step, log=log)
        return low

    def suggest_float(
        self, name: str, low: float, high: float, /, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return the lowest."""
        self.ranges[name] = partial(_float_at, low=low, high=high, step=step, log=log)
        return low


def _int_at(share: float, low: int, high: int, *, step: int, log: bool) -> int:
    """Return the integer of a range below which *share* (from 0 to 1) of its values lie."""
    if log:
        return round(math.exp(math.log(low) + share * math.log(high / low)))
    return low + step * min(int(share * ((high - low) // step + 1)), (high - low) // step)


def _float_at(share: float, low: float, high: float, *, step: float | None, log: bool) -> float:
    """Return the number of a range below which *share* (from 0 to 1) of its values lie."""
    if log:
        return float(low * (high / low) ** share)
    if step is None:
        return low + share * (high - low)
    steps = round((high - low) / step)
    return round(low + step * min(int(share * (steps + 1)), steps), 12)


def asked(config: StudyConfig, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of *params* that a candidate described by them is asked for."""
    given = Given(params)
    suggest(given, config)
    return given.asked


def _choose(trial: Suggests, name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401 - one of the choices
    return choices[0] if len(choices) == 1 else trial.suggest_categorical(name, choices)


def _number(trial: Suggests, name: str, setting: Setting) -> Any:  # noqa: ANN401 - an int or a float, by name
    exact = int if name in INTEGERS else float
    match setting:
        case Range() if name in INTEGERS:
            return trial.suggest_int(
                name, int(setting.low), int(setting.high), step=int(setting.step or 1), log=setting.log
            )
        case Range():
            return trial.suggest_float(name, setting.low, setting.high, step=setting.step, log=setting.log)
        case tuple():
            return _choose(trial, name, tuple(map(exact, setting)))
        case _:
            return exact(setting)


def _named(clusters: Sequence[int | None]) -> tuple[int | str, ...]:
    return tuple("none" if count is None else count for count in clusters)


def _count(name: str, setting: Setting) -> float:
    match setting:
        case Range() if name in INTEGERS:
            return (setting.high - setting.low) // (setting.step or 1) + 1
        case Range():
            return math.inf if setting.step is None else round((setting.high - setting.low) / setting.step) + 1
        case tuple():
            return len(setting)
        case _:
            return 1
