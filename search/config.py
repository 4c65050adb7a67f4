"""What a study is, as a frozen value read from study.toml.

The *meaning* of a study (space, data, objectives, constraints, seed, kind of phone) has a digest
of its own; budget and limits may change between a run and its resumption, the meaning never. What a
number may be is in ``search.settings``, the shape of the space (which key depends on which) in ``search.space``.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fer_core.data.catalog import populations_of
from fer_core.data.sources import DataSource
from fer_core.specs import (
    MOST_CHANNELS,
    ArchitectureName,
    Augmentation,
    ChannelImportance,
    CompressionSpec,
    Mixing,
    Population,
    Pruning,
    Quantization,
    Spec,
    TrainingSpec,
)
from search.budget import Budget, Limits
from search.candidate import digest_of
from search.errors import ConfigError
from search.objectives import Constraint, ObjectiveName
from search.proposing import SamplerConfig, WarmStart
from search.settings import Setting, check_setting, distinct, ends_of
from search.toml import read_toml, validated
from search.trackers import TrackingConfig

DEFAULT_REFERENCE_LATENCY_MS = 1000.0
"""Corner of the hypervolume where the study sets no latency bound: a second is useless on any phone."""


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _none_by_name(value: object) -> object:
    return None if value == "none" else value


type Weights = Annotated[
    Annotated[str, Tag("one")] | Annotated[dict[ArchitectureName, str], Tag("each")],
    Discriminator(lambda value: "each" if isinstance(value, dict) else "one"),
]
"""What networks start from: one answer for all, or a table by architecture."""

type Choices[T] = Annotated[tuple[T, ...], BeforeValidator(_listed), Field(min_length=1), AfterValidator(distinct)]
"""One choice or a list of choices, none twice."""


class TrainingSpace(Spec):
    """The training recipe: each key a value, a list of choices, or a range. Meanings: ``TrainingSpec``."""

    epochs: Setting = 8
    batch_size: Setting = 64
    learning_rate: Setting = 2e-3
    weight_decay: Setting = 1e-2
    label_smoothing: Setting = 0.05
    class_balance: Setting = 0.5
    group_balance: Setting = 0.0
    ema_decay: Setting = 0.0
    augmentation: Choices[Augmentation] = ("light",)
    mixing: Choices[Mixing] = ("none",)
    teacher: ArchitectureName | None = None
    teacher_weights: str = "none"

    @field_validator("*", mode="after")
    @classmethod
    def _within_the_spec(cls, setting: object, info: ValidationInfo) -> object:
        if info.field_name not in {"augmentation", "mixing", "teacher", "teacher_weights"}:
            check_setting(setting, TrainingSpec, str(info.field_name))
        return setting

    @model_validator(mode="after")
    def _teacher_has_weights(self) -> Self:
        TrainingSpec(teacher=self.teacher, teacher_weights=self.teacher_weights)
        return self


class SpaceConfig(Spec):
    """The choices and ranges of each key; which keys apply when is told by ``search.space``.

    ``clusters`` holds ``None`` for "no weight clustering" (``"none"`` in TOML, which has no null).
    ``weights`` is one setting for all architectures or a table by architecture (the rest start from
    ``"none"``); see ``ArchitectureSpec.weights``. ``pruning_ratio`` applies where pruning is not
    ``"none"``, ``channel_importance`` where it is ``"structured"``, ``fine_tune_epochs`` where a network is
    pruned or clustered, ``qat_epochs`` where ``quantization`` is ``"int8_qat"``.
    """

    architecture: Choices[ArchitectureName]
    input_size: Choices[Annotated[int, Field(ge=32, le=320, multiple_of=16)]] = (96,)
    weights: Weights = "none"
    population: Choices[Population] = ("all",)
    pruning: Choices[Pruning] = ("none",)
    pruning_ratio: Setting = 0.5
    channel_importance: Choices[ChannelImportance] = ("l2",)
    clusters: Choices[Annotated[Annotated[int, Field(ge=2, le=256)] | None, BeforeValidator(_none_by_name)]] = (None,)
    quantization: Choices[Quantization] = ("float32",)
    fine_tune_epochs: Setting = 1
    calibration_images: Annotated[int, Field(ge=1, le=1000)] = 100
    qat_epochs: Setting = 1
    threads: Choices[Literal[1, 2, 4, 8]] = (1,)
    training: TrainingSpace = TrainingSpace()

    @field_validator("pruning_ratio", "fine_tune_epochs", "qat_epochs", mode="after")
    @classmethod
    def _within_the_spec(cls, setting: Setting, info: ValidationInfo) -> Setting:
        check_setting(setting, CompressionSpec, str(info.field_name))
        lowest, _ = ends_of(setting)
        if info.field_name == "qat_epochs" and lowest < 1:
            raise ValueError('must be 1 or more; add "int8" to quantization for networks without this training')
        if info.field_name == "pruning_ratio" and lowest <= 0:
            raise ValueError('must be above 0; add "none" to pruning for networks that are not pruned')
        return setting

    @model_validator(mode="after")
    def _channels_remain(self) -> Self:
        ratio = self.pruning_ratio
        _, highest = ends_of(ratio)
        if "structured" in self.pruning and highest > MOST_CHANNELS:
            raise ValueError(
                f"pruning_ratio goes up to {highest:g}, but structured pruning removes at most {MOST_CHANNELS:g} "
                'of the channels; lower it, or leave "structured" out of pruning'
            )
        return self

    def weights_of(self, architecture: ArchitectureName) -> str:
        """Return what *architecture* starts from: ``"none"``, ``"imagenet"`` or a path."""
        return self.weights if isinstance(self.weights, str) else self.weights.get(architecture, "none")


class EarlyStopping(Spec):
    """Multi-objective successive halving (``search.halving``): asynchronous, on validation F1 and latency.

    From ``grace_epochs`` on, a trial is stopped that cannot get into the best 1/``reduction_factor`` of the trials that
    came so far, nor on their front, even if it gains as much as any training has gained until its end. So nobody is
    stopped before ``evidence`` trainings of the same population have ended; the chance that one more gains more than
    those is 1 in ``evidence`` + 1.
    """

    kind: Literal["halving"] = "halving"
    grace_epochs: Annotated[int, Field(ge=1)] = 1
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    evidence: Annotated[int, Field(ge=1)] = 9


class Reference(Spec):
    """The corner from which hypervolume is measured; fixed for a study so that its history can be compared.

    ``latency_ms`` left out: the latency constraint, else 1000 ms.
    """

    f1: Annotated[float, Field(ge=0, lt=1)] = 0.0
    gap: Annotated[float, Field(gt=0, le=1)] = 1.0
    latency_ms: Annotated[float, Field(gt=0)] | None = None


class DataConfig(Spec):
    """Whose faces judge the candidates, and whose faces train them."""

    evaluation: DataSource
    training: Annotated[tuple[DataSource, ...], Field(min_length=1)]


class LabConfigChoice(Spec):
    """Where latency is measured: simulated phones, a lab that a TOML file describes, or a lab's service at a URL.

    The service's token is read from ``token_file``, or else from the variable FER_LAB_TOKEN. Without ``predict`` every
    candidate is measured, also one that is predicted to be over ``constraints.latency_ms``.
    """

    devices: Annotated[int, Field(ge=1)] | None = None
    config: Path | None = None
    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] | None = None
    token_file: Path | None = None
    predict: bool = True

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(given is not None for given in (self.devices, self.config, self.url)) > 1:
            raise ValueError("set devices (simulated phones), config (a lab's file) or url (a lab's service), only one")
        if self.token_file is not None and self.url is None:
            raise ValueError("token_file belongs to url, the address of a lab's service")
        return self

    @property
    def simulated_devices(self) -> int:
        """Number of simulated phones; 0 when a lab's file or address is named."""
        return 0 if self.config is not None or self.url is not None else self.devices or 2

    def below(self, root: Path) -> "LabConfigChoice":
        """Return this choice with *root* before every relative path."""
        paths = {"config": self.config, "token_file": self.token_file}
        return self.model_copy(update={key: root / path for key, path in paths.items() if path is not None})


class StudyConfig(Spec):
    """A study.toml. ``root`` is the folder that relative paths start from: the file's own where it is left out."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    root: Path | None = None
    objectives: Choices[ObjectiveName] = ("f1", "gap", "latency")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    budget: Budget = Budget()
    limits: Limits = Limits()
    sampler: SamplerConfig = SamplerConfig()
    warm_start: WarmStart | None = None
    constraints: Constraint = Constraint()
    reference: Reference = Reference()
    early_stopping: EarlyStopping | None = None
    data: DataConfig
    space: SpaceConfig
    lab: LabConfigChoice = LabConfigChoice()
    tracking: TrackingConfig = TrackingConfig()

    @field_validator("root", mode="after")
    @classmethod
    def _root_is_absolute(cls, root: Path | None) -> Path | None:
        if root is not None and not root.is_absolute():
            raise ValueError(f"must be an absolute path, got {str(root)!r}; leave it out for the file's own folder")
        return root

    @field_validator("constraints", mode="after")
    @classmethod
    def _bounds_above_zero(cls, constraints: Constraint) -> Constraint:
        for key, bound in constraints:
            if bound is not None and bound <= 0:
                raise ValueError(f"{key} = {bound:g} is a bound that nothing can keep; it must be above 0")
        return constraints

    @model_validator(mode="after")
    def _populations_exist(self) -> Self:
        shown = {shown for source in self.data.training for shown in populations_of(source)}
        for population in self.space.population:
            if population != "all" and not shown & {population, "all"}:
                raise ValueError(
                    f"space.population asks for {population!r}, but no data.training source shows them; "
                    f"add one with population = {population!r}"
                )
        return self

    @classmethod
    def load(cls, path: Path) -> "StudyConfig":
        """Read the study at *path*; all its paths become absolute.

        Raises:
            ConfigError: ``file: key: reason``, one line.
        """
        config = validated(cls, read_toml(path), path)
        return config.below(config.root or path.resolve().parent)

    def below(self, root: Path) -> "StudyConfig":
        """Return this study with *root* before every relative path."""
        training = tuple(source.below(root) for source in self.data.training)
        data = DataConfig(evaluation=self.data.evaluation.below(root), training=training)
        weights: Weights
        if isinstance(self.space.weights, str):
            weights = _weights_below(root, self.space.weights)
        else:
            weights = {name: _weights_below(root, given) for name, given in self.space.weights.items()}
        teacher = {"teacher_weights": _weights_below(root, self.space.training.teacher_weights)}
        recipe = self.space.training.model_copy(update=teacher)
        space = self.space.model_copy(update={"weights": weights, "training": recipe})
        warm = self.warm_start and WarmStart(study=root / self.warm_start.study)
        lab, tracking = self.lab.below(root), self.tracking.below(root)
        parts = {"root": root, "data": data, "space": space, "lab": lab, "warm_start": warm, "tracking": tracking}
        return self.model_copy(update=parts)

    def check_paths(self, path: Path) -> None:
        """Refuse a study (read at *path*) that names a folder or file which is not there.

        Raises:
            ConfigError: ``file: key: reason``.
        """
        sources = {"data.evaluation": self.data.evaluation}
        sources |= {f"data.training[{index}]": source for index, source in enumerate(self.data.training)}
        named = [(f"{where}.{key}", path) for where, source in sources.items() for key, path in source.paths().items()]
        files = {"lab.config": self.lab.config, "lab.token_file": self.lab.token_file}
        named += [(key, given) for key, given in files.items() if given is not None]
        weights = {self.space.weights_of(name) for name in self.space.architecture} - {"none", "imagenet"}
        named += [("space.weights", Path(weight)) for weight in sorted(weights)]
        teacher = self.space.training.teacher_weights
        named += [("space.training.teacher_weights", Path(teacher))] if teacher != "none" else []
        for key, given in named:
            if not given.exists():
                hint = "; fer-data render, or unpack a set there" if key.startswith("data") else ""
                raise ConfigError(f"{path}: {key}: {os.path.normpath(given)} does not exist{hint}")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the study's meaning: what a resumption must not change. Paths count relative to ``root``."""
        root = self.root or Path()
        plain = self.model_dump(mode="json", include={"space", "data", "objectives", "constraints", "seed"})
        for source in (plain["data"]["evaluation"], *plain["data"]["training"]):
            source["path"] = Path(os.path.relpath(source["path"], root)).as_posix()
        return digest_of(plain, "phones" if self.lab.config or self.lab.url else "simulated")

    @property
    def in_flight(self) -> int:
        """How many trials are open at a time."""
        return self.budget.in_flight(simulated=self.lab.simulated_devices > 0)

    @property
    def reference_point(self) -> dict[ObjectiveName, float]:
        """The reference value of every objective of this study, in its unit (fractions, milliseconds)."""
        latency = self.reference.latency_ms or self.constraints.latency_ms or DEFAULT_REFERENCE_LATENCY_MS
        corner: dict[ObjectiveName, float] = {"f1": self.reference.f1, "gap": self.reference.gap, "latency": latency}
        return {name: corner[name] for name in self.objectives}


def _weights_below(root: Path, weights: str) -> str:
    return weights if weights in {"none", "imagenet"} else str(root / weights)
