"""The plan of a study: what is shared is counted once, what breaks a constraint costs no training."""

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fer_core.data.faces import Example, Listing
from fer_core.models.outline import outline
from fer_core.specs import ArchitectureSpec, CompressionSpec, DeploymentSpec, Population, TrainingSpec
from search import paces, plans
from search.candidate import Candidate
from search.cli import cli
from search.config import StudyConfig
from search.folder import StudyFolder
from search.ledger import Ledger
from search.paces import Paces
from search.planning import ROOFLINE, plan
from search.plans import learnt_from
from search.record import Report
from search.sketch import sketch
from search.space import Drawn, suggest

IMAGES: dict[Population, int] = {"children": 800, "adults": 1200, "all": 2000}


def candidate(*, quantization: str = "float32", ratio: float = 0.0, threads: int = 1, side: int = 96) -> Candidate:
    pruning = "structured" if ratio else "none"
    return Candidate(
        architecture=ArchitectureSpec(name="mobilenetv2_100", input_size=side),
        training=TrainingSpec(),
        compression=CompressionSpec(pruning=pruning, pruning_ratio=ratio, quantization=quantization),
        deployment=DeploymentSpec(threads=threads),
    )


@pytest.fixture
def speeds(config: StudyConfig) -> Paces:
    return Paces(training=dict.fromkeys(config.space.architecture, 0.5))


def planned(config: StudyConfig, speeds: Paces, **changes: object) -> dict[str, float]:
    changed = config.model_copy(update=changes)
    found = plan(changed, speeds, IMAGES, 500, cores=2, rng=np.random.default_rng(0))
    return {key: estimate.value for key, estimate in found.estimates.items()}


def test_an_outline_has_the_size_that_is_published() -> None:
    layers = outline("mobilenetv2_100", 224)
    assert sum(layer.macs for layer in layers) == pytest.approx(300e6, rel=0.01)  # Sandler et al. 2018, table 4
    assert sum(layer.weights for layer in layers) == pytest.approx(2.2e6, rel=0.01)  # 3.4 M less 1.28 M of the classes


def test_a_sketch_follows_what_decides_latency_and_size() -> None:
    plain = sketch(candidate())
    assert plain.size_mb == pytest.approx(8.9, rel=0.02)  # docs/conversion.md
    assert sketch(candidate(side=48)).latency_ms < plain.latency_ms / 2
    assert sketch(candidate(threads=4)).latency_ms < plain.latency_ms
    assert sketch(candidate(quantization="int8")).latency_ms < plain.latency_ms
    assert sketch(candidate(quantization="int8")).size_mb < plain.size_mb / 3
    pruned = sketch(candidate(ratio=0.5))
    assert pruned.latency_ms < plain.latency_ms
    assert pruned.size_mb < plain.size_mb / 2


def test_what_breaks_a_constraint_costs_no_training(config: StudyConfig, speeds: Paces) -> None:
    tight = config.constraints.model_copy(update={"latency_ms": 0.001})
    open_, closed = planned(config, speeds), planned(config, speeds, constraints=tight)
    assert open_["feasible"] > 0.9
    assert open_["training"] > 0
    assert closed["feasible"] == closed["training"] == closed["scoring"] == 0
    assert closed["export"] > 0
    assert closed["duration"] < open_["duration"]


def test_a_training_that_is_shared_is_counted_once(config: StudyConfig, speeds: Paces) -> None:
    recipe = config.space.training.model_copy(update={"learning_rate": 1e-3})
    one = config.space.model_copy(
        update={
            "architecture": ("mobilenetv2_100",),
            "input_size": (64,),
            "population": ("all",),
            "pruning": ("none",),
            "clusters": (None,),
            "training": recipe,
        }
    )
    budget = config.budget.model_copy(update={"trials": 100})
    shared = planned(config, speeds, space=one, budget=budget)
    alone = planned(config, speeds, space=one, budget=budget.model_copy(update={"trials": 1}))
    assert shared["training"] == pytest.approx(alone["training"])
    assert shared["graphs"] == 4 * 3  # quantizations x threads


def test_quantized_training_costs_its_epochs(config: StudyConfig, speeds: Paces) -> None:
    def space(epochs: int) -> StudyConfig:
        return config.model_copy(
            update={"space": config.space.model_copy(update={"quantization": ("int8_qat",), "qat_epochs": (epochs,)})}
        )

    hours = [planned(space(epochs), speeds)["training"] for epochs in (1, 2, 3)]
    assert hours[1] - hours[0] == pytest.approx(hours[2] - hours[1])
    assert hours[1] > hours[0]


def test_time_is_bounded_by_the_budget_and_phones_count_only_where_they_are_real(
    config: StudyConfig, speeds: Paces
) -> None:
    short = config.budget.model_copy(update={"wall_minutes": 0.001})
    assert planned(config, speeds, budget=short)["duration"] == pytest.approx(0.001 / 60)
    whole = planned(config, speeds)
    part = config.budget.model_copy(update={"cpu_hours": whole["training"] / 4})
    assert planned(config, speeds, budget=part)["duration"] == pytest.approx(whole["duration"] / 4, rel=1e-3)
    more = config.budget.model_copy(update={"cpu_hours": 2 * whole["training"]})
    assert planned(config, speeds, budget=more) == whole
    assert planned(config, speeds)["phones"] == 0
    real = config.lab.model_copy(update={"url": "http://lab:1"})
    assert planned(config, speeds, lab=real)["phones"] > 0


def test_training_is_measured_by_the_clock_that_is_given() -> None:
    ticks = count(0.0, 2.0)
    found = paces.measured({"mobilenetv3_small_100": 32}, clock=lambda: next(ticks))
    work = 8 * paces.gmacs("mobilenetv3_small_100", 32)
    assert found.training["mobilenetv3_small_100"] == pytest.approx(2.0 / work)
    assert found.bases["training"].startswith("measured here")


def test_a_ledger_tells_how_long_stages_took(studied: StudyFolder) -> None:
    with Ledger.open(studied.ledger_path, readonly=True) as ledger:
        record = ledger.record()
    number, trial = next((n, t) for n, t in record.trials.items() if t.state == "complete" and t.reports)
    outcome = trial.outcome.model_copy(update={"stage_seconds": {"train": 60.0, "draft": 2.5}})
    alone = record.model_copy(update={"trials": {number: trial.model_copy(update={"outcome": outcome})}})
    found = paces.of_ledger(alone, IMAGES, cores=2)
    name, side = trial.candidate.architecture.name, trial.candidate.architecture.input_size
    faces = IMAGES[trial.candidate.training.population]
    epochs = sum(report.rung > 0 for report in trial.reports)
    assert found.training == {name: pytest.approx(60 * 2 / (faces * epochs * paces.gmacs(name, side)))}
    assert found.export[name] == 2.5
    assert found.phone == outcome.measurement.phone_seconds
    assert "ledger of" in found.bases["training"]


def test_the_command_shows_each_estimate_with_its_basis(
    study_file: Path, monkeypatch: pytest.MonkeyPatch, speeds: Paces
) -> None:
    faces = [Example(Path(str(n)), "happy", population="children" if n % 2 else "adults") for n in range(40)]
    monkeypatch.setattr(plans, "list_source", lambda _source: Listing(tuple(faces)))
    monkeypatch.setattr(paces, "measured", lambda _sizes: speeds)
    monkeypatch.setattr(StudyConfig, "check_paths", lambda *_: None)
    shown = CliRunner().invoke(cli, ["plan", str(study_file)])
    assert shown.exit_code == 0, shown.output
    assert "endless: learning_rate is continuous" in shown.output
    assert "drawn by chance" in shown.output
    found = json.loads(CliRunner().invoke(cli, ["plan", str(study_file), "--json", "--cores", "4"]).output)
    assert found["images"] == {"children": 34, "adults": 34, "all": 68}
    assert all(estimate["basis"] for estimate in found["estimates"].values())
    assert len(found["networks"]) == 5


def test_a_finished_study_teaches_the_plan_its_latencies(
    studied: StudyFolder, config: StudyConfig, speeds: Paces
) -> None:
    with Ledger.open(studied.ledger_path, readonly=True) as ledger:
        record = ledger.record()
    assert learnt_from(record) is ROOFLINE
    rng = np.random.default_rng(0)
    drawn = [suggest(Drawn(rng), config) for _ in range(60)]
    trials = {
        number: record.trials[0].model_copy(
            update={"candidate": one, "reports": (Report(rung=0, values={"latency_ms": 3 * sketch(one).latency_ms}),)}
        )
        for number, one in enumerate(drawn)
    }
    looks = learnt_from(record.model_copy(update={"trials": trials}))
    fresh = [suggest(Drawn(rng), config) for _ in range(20)]
    ratios = [looks.look(one).latency_ms / sketch(one).latency_ms for one in fresh]
    assert np.mean(ratios) == pytest.approx(3.0, rel=0.1)
    assert looks.doubt < 0.2
    found = plan(config, speeds, IMAGES, 500, cores=2, rng=np.random.default_rng(0), looks=looks)
    usual = plan(config, speeds, IMAGES, 500, cores=2, rng=np.random.default_rng(0))
    assert "learnt from" in found.estimates["feasible"].basis
    slow, fast = ({row.architecture: row.latency_ms[1] for row in one.networks} for one in (found, usual))
    assert all(slow[name] > 2 * fast[name] for name in fast)
