"""What a study will take, told before it takes anything: space, feasible share, compute, phones, disk, time.

The trials of the study are drawn by chance from its space, as many as its budget; each is sketched
(``search.sketch``), and what it shares with others (a training, a graph) is counted once. A sampler that learns draws
more feasible and more alike candidates than chance does, so the estimates err on the dear side.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from fer_core.specs import ArchitectureName, CompressionSpec, Population, Spec
from search.budget import Budget
from search.candidate import Candidate, digest_of
from search.config import StudyConfig
from search.paces import TRAINED, Paces, gmacs
from search.sketch import DOUBT, Sketch, sketch
from search.space import Drawn, continuous, size, suggest

MOST_DRAWN = 1000
"""Trials of one round at most; the counts of a larger budget are scaled up."""
LEAST_DRAWN = 400
"""Candidates that are sketched at least, in as many rounds of ``trials`` as that takes."""
HOUR = 3600.0
RECALIBRATED = 512
"""Images that each epoch runs forward once more for batch norms (``fer_core.training``)."""
FORWARD = 1 / 3
"""Cost of a forward pass beside that of a step: the backward pass takes two."""
QUANTIZED = 2.2
"""An epoch of quantization-aware training beside a usual one: 1.8 to 2.9 times the CPU time at 64 px, by network."""


class Estimate(Spec):
    """One number, with the range that it may be in where that is known, its unit, and what it rests on."""

    value: float
    unit: str
    basis: str
    low: float | None = None
    high: float | None = None


class NetworkPlan(Spec):
    """What is expected of one architecture: its trials, the share that keeps the constraints, how slow, how big.

    ``latency_ms`` and ``size_mb`` are (5 %, median, 95 %) over its candidates, ``core_hours`` its part of the compute.
    """

    architecture: ArchitectureName
    trials: float
    feasible: float
    latency_ms: tuple[float, float, float]
    size_mb: tuple[float, float, float]
    core_hours: float


class Looks(NamedTuple):
    """How candidates are looked at before they are exported: by what, what that rests on, and how far off it is.

    Nine in ten are off by less than ``doubt``, a fraction.
    """

    look: Callable[[Candidate], Sketch]
    basis: str
    doubt: float


ROOFLINE = Looks(sketch, "roofline of a Moto G6", DOUBT)


class Plan(Spec):
    """What a study will take. ``candidates`` is ``None`` where ``continuous`` names a key: there are endlessly many."""

    study: str
    trials: int
    budget: tuple[str, ...]
    candidates: float | None
    continuous: tuple[str, ...]
    images: dict[Population, int]
    networks: tuple[NetworkPlan, ...]
    estimates: dict[str, Estimate]


def plan(
    config: StudyConfig,
    paces: Paces,
    images: Mapping[Population, int],
    judged: int,
    *,
    cores: int,
    rng: np.random.Generator,
    looks: Looks = ROOFLINE,
) -> Plan:
    """Return the plan of *config*.

    *images* counts the faces to train on by population, *judged* those that are scored; *cores* work at a time,
    *looks* tells latencies.
    """
    trials = min(config.budget.trials, MOST_DRAWN)
    count = size(config)
    rounds = [
        _Round(config, paces, images, judged, [suggest(Drawn(rng), config) for _ in range(trials)], look=looks.look)
        for _ in range(max(1, math.ceil(LEAST_DRAWN / trials)))
    ]
    return Plan(
        study=config.name,
        trials=config.budget.trials,
        budget=config.budget.sentences(),
        candidates=count if math.isfinite(count) else None,
        continuous=continuous(config),
        images=dict(images),
        networks=_networks(rounds, config.budget.trials / trials),
        estimates={
            "feasible": _share([one for each in rounds for one in each.sketches], config, looks),
            **_counted(rounds, paces, config),
            "duration": _duration(rounds, paces, config, cores),
        },
    )


def feasible(one: Sketch, config: StudyConfig, factor: float = 1.0) -> bool:
    """Whether a candidate of this sketch keeps the constraints of *config*, if all is *factor* times as much."""
    got = {"latency_ms": one.latency_ms, "size_mb": one.size_mb}
    return all(bound is None or got[key] * factor <= bound for key, bound in config.constraints)


class _Round:
    """As many candidates as the study has trials, and what they take together; what one computed is free for the next.

    ``seconds`` is core seconds by stage, ``each`` those by candidate.
    """

    def __init__(
        self,
        config: StudyConfig,
        paces: Paces,
        images: Mapping[Population, int],
        judged: int,
        drawn: Sequence[Candidate],
        *,
        look: Callable[[Candidate], Sketch],
    ) -> None:
        self._config, self._paces, self._images, self._judged = config, paces, images, judged
        self._known: set[str] = set()
        self.drawn = drawn
        self.sketches = [look(candidate) for candidate in drawn]
        self.keeps = [feasible(one, config) for one in self.sketches]
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.each = [self._spend(one, keeps=keeps) for one, keeps in zip(drawn, self.keeps, strict=True)]

    @property
    def graphs(self) -> int:
        """How many latencies are to be measured."""
        return len({_graph(candidate) for candidate in self.drawn})

    @property
    def gigabytes(self) -> float:
        """Checkpoints, repaired weights, .tflite files and decoded faces."""
        stored: dict[str, float] = {}
        for candidate, one, keeps in zip(self.drawn, self.sketches, self.keeps, strict=True):
            stored["draft" + digest_of(candidate.architecture, candidate.compression.of_graph)] = one.size_mb
            if keeps:
                full = sketch(_uncompressed(candidate)).size_mb
                training = digest_of(candidate.architecture, candidate.training)
                stored["weights" + training] = full
                stored["export" + training + digest_of(candidate.compression)] = one.size_mb
                if candidate.compression.fine_tune_epochs:
                    stored["repaired" + training + digest_of(_plain(candidate))] = full
        faces = self._judged + self._images["all"]
        pixels = sum(3 * side**2 for side in self._config.space.input_size) * faces / 1e6
        return (sum(stored.values()) + pixels) / 1e3

    def _spend(self, candidate: Candidate, *, keeps: bool) -> float:
        """Return the core seconds that *candidate* takes; one that breaks a constraint is only exported."""
        architecture, compression = candidate.architecture, candidate.compression
        work = gmacs(architecture.name, architecture.input_size)
        faces = self._images[candidate.training.population]
        beside = FORWARD * ((1 / TRAINED - 1) * faces + min(RECALIBRATED, faces))
        epoch = (faces + beside) * work * self._paces.training[architecture.name]
        export = self._paces.export[architecture.name]
        parts = {"export": self._once(export, "draft", digest_of(architecture, compression.of_graph))}
        if keeps:
            training = digest_of(architecture, candidate.training)
            repair = epoch * compression.fine_tune_epochs
            parts["training"] = self._once(epoch * candidate.training.epochs, "train", training)
            parts["training"] += self._once(repair, "compress", training, digest_of(_plain(candidate)))
            if compression.qat_epochs:
                rounded = QUANTIZED * epoch * compression.qat_epochs
                parts["training"] += self._once(rounded, "quantize", training, digest_of(compression))
            parts["export"] += self._once(export, "export", training, digest_of(compression))
            parts["scoring"] = self._judged * work * self._paces.scoring
        for stage, seconds in parts.items():
            self.seconds[stage] += seconds
        return sum(parts.values())

    def _once(self, seconds: float, *key: str) -> float:
        name = "/".join(key)
        if name in self._known:
            return 0.0
        self._known.add(name)
        return seconds


def _graph(candidate: Candidate) -> str:
    return digest_of(
        candidate.architecture.name,
        candidate.architecture.input_size,
        candidate.compression.of_graph,
        candidate.deployment,
    )


def _plain(candidate: Candidate) -> CompressionSpec:
    return candidate.compression.model_copy(update={"quantization": "float32", "qat_epochs": 0})


def _uncompressed(candidate: Candidate) -> Candidate:
    return candidate.model_copy(update={"compression": CompressionSpec()})


def _networks(rounds: Sequence[_Round], scale: float) -> tuple[NetworkPlan, ...]:
    names = np.array([candidate.architecture.name for each in rounds for candidate in each.drawn])
    keeps = np.array([kept for each in rounds for kept in each.keeps])
    seconds = np.array([spent for each in rounds for spent in each.each])
    values = np.array([one for each in rounds for one in each.sketches], dtype=np.float64)
    found = []
    for name in dict.fromkeys(names.tolist()):
        rows = names == name
        spread = np.quantile(values[rows], (0.05, 0.5, 0.95), axis=0)
        found.append(
            NetworkPlan(
                architecture=name,
                trials=float(rows.sum()) / len(rounds) * scale,
                feasible=float(keeps[rows].mean()),
                latency_ms=tuple(spread[:, 0].tolist()),
                size_mb=tuple(spread[:, 1].tolist()),
                core_hours=float(seconds[rows].sum()) / len(rounds) * scale / HOUR,
            )
        )
    return tuple(found)


def _share(sketches: Sequence[Sketch], config: StudyConfig, looks: Looks) -> Estimate:
    doubt = looks.doubt
    low, value, high = (
        float(np.mean([feasible(one, config, factor) for one in sketches])) for factor in (1 + doubt, 1.0, 1 - doubt)
    )
    bounded = any(bound is not None for _, bound in config.constraints)
    basis = f"sketches of {len(sketches)} candidates drawn by chance: {looks.basis}, +- {doubt:.0%}"
    return Estimate(value=value, unit="share", basis=basis if bounded else "no constraint is set", low=low, high=high)


def _counted(rounds: Sequence[_Round], paces: Paces, config: StudyConfig) -> dict[str, Estimate]:
    """Return the estimates that are counted in every round; a larger budget than a round's is scaled up."""
    scale = config.budget.trials / len(rounds[0].drawn)
    compute = "GPU-hours" if paces.accelerator else "core-hours"
    simulated = bool(config.lab.simulated_devices)
    hours = scale / HOUR

    def estimate(values: list[float], unit: str, basis: str) -> Estimate:
        low, high = np.quantile(values, (0.05, 0.95)).tolist()
        return Estimate(value=float(np.mean(values)), unit=unit, basis=basis, low=low, high=high)

    return {
        stage: estimate(
            [one.seconds[stage] * hours for one in rounds],
            compute if stage == "training" else "core-hours",
            paces.bases[stage],
        )
        for stage in ("training", "export", "scoring")
    } | {
        "graphs": estimate(
            [one.graphs * scale for one in rounds], "measurements", "distinct graphs and threads among the trials"
        ),
        "phones": estimate(
            [0.0 if simulated else one.graphs * hours * paces.phone for one in rounds],
            "phone-hours",
            "simulated phones live in a time of their own" if simulated else paces.bases["phone"],
        ),
        "disk": estimate([one.gigabytes * scale for one in rounds], "GB", "weights, .tflite files and decoded faces"),
    }


def _duration(rounds: Sequence[_Round], paces: Paces, config: StudyConfig, cores: int) -> Estimate:
    """Return the hours on *cores*: as long as computing takes, or as long as the phones take, whichever is more.

    Where another part of the budget ends the study before its last trial, until then.
    """
    hours = config.budget.trials / len(rounds[0].drawn) / HOUR
    waits = 0.0 if config.lab.simulated_devices else paces.phone
    found = [max(sum(one.each) / cores, one.graphs * waits) * hours for one in rounds]
    value = float(np.mean(found))
    trained = float(np.mean([one.seconds["training"] for one in rounds])) * hours
    key, limit = min(_ends(config.budget, value, trained, paces).items(), key=itemgetter(1), default=("", math.inf))
    if limit < value:
        told = f"budget.{key}; all {config.budget.trials} trials would take {value:.2g} hours"
        return Estimate(value=limit, unit="hours", basis=told)
    low, high = np.quantile(found, (0.05, 0.95)).tolist()
    basis = f"{cores} core{'s' if cores > 1 else ''} (or accelerators) at work, phones one after the other"
    return Estimate(value=value, unit="hours", basis=basis, low=low, high=high)


def _ends(budget: Budget, hours: float, trained: float, paces: Paces) -> dict[str, float]:
    """Return after how many hours each part of *budget* ends a study that takes *hours*, *trained* of them training.

    Not a front that stands still, which nobody foresees. CPU-hours are not estimated where an accelerator trains.
    """
    found = {} if budget.wall_minutes is None else {"wall_minutes": budget.wall_minutes / 60}
    key, most = ("gpu_hours", budget.gpu_hours) if paces.accelerator else ("cpu_hours", budget.cpu_hours)
    return found if most is None or trained <= most else found | {key: hours * most / trained}
