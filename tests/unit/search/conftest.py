"""Studies built by hand: configs, outcomes and ledgers without Ray, Optuna, torch or a phone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from devicelab.measurement import Measurement
from fer_core import statistics
from fer_core.artifact import Artifact
from fer_core.scores import Scorecard
from search.config import StudyConfig
from search.folder import StudyFolder
from search.ledger import Ledger, RunStarted, StudyOpened, TrialAsked, TrialReported, TrialTold
from search.objectives import Outcome
from search.space import Given, covering_design, suggest

DEMO = """\
name = "demo"
objectives = ["f1", "gap", "latency"]
seed = 3

[budget]
trials = 12

[constraints]
latency_ms = 120

[data]
evaluation = { layout = "cafe", path = "faces/cafe" }

[[data.training]]
layout = "folders"
path = "faces/children"
population = "children"

[[data.training]]
layout = "folders"
path = "faces/adults"
population = "adults"

[space]
architecture = ["mobilenetv3_small_100", "mobilenetv2_100", "efficientnet_b0", "mobilenetv3_large_100", "nasnet_mobile"]
input_size = [48, 64]
population = ["children", "all"]
pruning = ["none", "magnitude"]
pruning_ratio = { low = 0.2, high = 0.8, step = 0.1 }
clusters = ["none", 16, 64]
quantization = ["float32", "float16", "dynamic_int8", "int8"]
threads = [1, 2, 4]

[space.training]
epochs = 2
learning_rate = { low = 1e-3, high = 1e-2, log = true }
"""

GROUPS = ("AA",) * 28 + ("AS",) * 24 + ("EA",) * 60 + ("LA",) * 22


def confusions(skill: float, seed: int) -> np.ndarray:
    """Counts (134, 7, 7) of a classifier that is right with probability *skill*; harder children are so for all."""
    rng = np.random.default_rng(5)
    truth = np.tile(np.arange(7), len(GROUPS))
    subjects = np.repeat([f"s{index:03d}" for index in range(len(GROUPS))], 7)
    luck = rng.random(len(truth)) + np.repeat(rng.normal(0, 0.1, len(GROUPS)), 7)
    own = np.random.default_rng(seed).random(len(truth)) * 0.2
    predicted = np.where(luck + own < skill + 0.1, truth, (truth + 1 + seed % 3) % 7)
    return statistics.subject_confusions(truth, predicted, subjects)[1]


def scorecard(skill: float, seed: int = 0, *, synthetic: bool = True) -> Scorecard:
    counts = confusions(skill, seed)
    halves = [statistics.scores_from(counts[part::2], GROUPS[part::2], draws=100) for part in (0, 1)]
    return Scorecard(
        model_digest=f"{seed:064x}",
        data_digest="d" * 64,
        synthetic=synthetic,
        search=halves[0],
        report=halves[1],
        whole=statistics.scores_from(counts, GROUPS, draws=100),
        subject_confusions=statistics.pack_counts(counts[::2]),
        subject_groups=GROUPS[::2],
    )


def measurement(latency: float, *, fingerprint: str = "", threads: int = 1, source: str = "simulated") -> Measurement:
    return Measurement(
        median_ms=latency,
        low_ms=latency * 0.98,
        high_ms=latency * 1.03,
        p90_ms=latency * 1.1,
        first_ms=latency * 3,
        runs=100,
        fingerprint=fingerprint or f"{latency}",
        threads=threads,
        device="sim-1",
        product="Moto G6",
        os_build="9.0",
        runtime="simulated",
        protocol="test",
        source=source,
        readings=(),
        blocks=2,
        phone_seconds=3.0,
        measured_at=0.0,
    )


def complete(skill: float, latency: float, *, seed: int = 0, path: Path = Path("model.tflite")) -> Outcome:
    card = scorecard(skill, seed)
    return Outcome(
        state="complete",
        values={"f1": card.search.macro_f1, "gap": card.search.gap_shrunk, "latency": latency},
        scorecard=card,
        measurement=measurement(latency),
        artifact=Artifact(path=path, digest=card.model_digest, size=1_000_000, input_size=48, quantization="float32"),
        provenance={"data": card.data_digest, "artifact": card.model_digest, "seed": "3"},
        stage_seconds={"train": 10.0},
    )


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(DEMO)
    return path


@pytest.fixture
def config(study_file: Path) -> StudyConfig:
    return StudyConfig.load(study_file)


@pytest.fixture
def outcomes() -> list[Outcome]:
    """The endings of trials 0 to 5: two on the front, one dominated, one infeasible, one failed, one stopped."""
    return [
        complete(0.60, 40.0, seed=1),
        complete(0.75, 90.0, seed=2),
        complete(0.45, 110.0, seed=3),
        Outcome(
            state="infeasible",
            reason="latency 190 ms is over the bound of 120 ms",
            values={"latency": 190.0},
            violations={"latency_ms": 70.0},
            measurement=measurement(190.0),
        ),
        Outcome(state="failed", reason="DivergedError: the loss became NaN in epoch 1"),
        Outcome(state="stopped", reason="asha: not among the best third at epoch 1"),
    ]


@pytest.fixture
def make_study(study_file: Path, config: StudyConfig, tmp_path: Path) -> Callable[..., StudyFolder]:
    """Return a function that writes a study with the given outcomes and a number of running trials."""

    def make(outcomes: list[Outcome], running: int = 0) -> StudyFolder:
        folder = StudyFolder.create(config, study_file, tmp_path / "studies")
        opened = StudyOpened(name="demo", config=config.model_dump(mode="json"), config_digest=config.digest)
        design = covering_design(config)
        with Ledger.create(folder.ledger_path, opened) as ledger:
            ledger.append(RunStarted(pid=1, host="here"))
            for number in range(len(outcomes) + running):
                params = design[number % len(design)]
                ledger.append(TrialAsked(number=number, candidate=suggest(Given(params), config), params=params))
                ledger.append(TrialReported(number=number, rung=1, values={"val_f1": 0.3}))
                if number < len(outcomes):
                    ledger.append(TrialTold(number=number, outcome=outcomes[number]))
        return folder

    return make


@pytest.fixture
def studied(make_study: Callable[..., StudyFolder], outcomes: list[Outcome]) -> StudyFolder:
    """The study ``demo`` with ``outcomes`` and one running trial."""
    return make_study(outcomes, running=1)
