"""What a candidate still costs: what was computed is free, and nothing becomes dearer by being computed."""

import math

import numpy as np
import pytest

from search.config import StudyConfig
from search.objectives import Outcome
from search.remaining import PLAIN, Remaining
from search.space import choices_of
from search.thrift import first_params

COMPLETE = Outcome(state="complete", values={"f1": 0.5, "gap": 0.1, "latency": 50.0})
TRAINED = {"architecture": "mobilenetv2_100", "input_size": 48, "population": "all", "learning_rate": 1e-3}
PLAINLY = {"pruning": "none", "clusters": "none", "quantization": "float32", "threads": 1}
PRUNED = {"pruning": "magnitude", "pruning_ratio": 0.5, "fine_tune_epochs": 2}


@pytest.fixture
def epochs(config: StudyConfig) -> float:
    """Return the epochs of a training of *config*."""
    return float(str(config.space.training.epochs))


def test_children_of_a_finished_training_are_nearly_free(config: StudyConfig, epochs: float) -> None:
    remaining = Remaining(config)
    first = TRAINED | PLAINLY
    assert remaining.cost(first) == PLAIN + epochs
    remaining.ask(first)
    assert remaining.cost(first | {"threads": 4}) == PLAIN + epochs  # it still runs
    remaining.tell(first, COMPLETE)
    assert remaining.cost(first) == math.inf
    assert remaining.cost(first | {"threads": 4}) == remaining.cost(first | {"quantization": "int8"}) == PLAIN
    assert remaining.cost(first | PRUNED) == PLAIN + 2
    assert remaining.cost(first | {"learning_rate": 2e-3}) == PLAIN + epochs


def test_a_repaired_network_is_shared_by_its_files(config: StudyConfig) -> None:
    remaining = Remaining(config)
    remaining.tell(TRAINED | PLAINLY | PRUNED, COMPLETE)
    assert remaining.cost(TRAINED | PLAINLY | PRUNED | {"quantization": "int8"}) == PLAIN
    assert remaining.cost(TRAINED | PLAINLY | PRUNED | {"pruning_ratio": 0.6}) == PLAIN + 2
    assert remaining.trainings == [TRAINED]


def test_quantization_aware_training_belongs_to_one_file(config: StudyConfig) -> None:
    remaining = Remaining(config)
    aware = TRAINED | PLAINLY | {"quantization": "int8_qat", "qat_epochs": 3}
    remaining.tell(TRAINED | PLAINLY, COMPLETE)
    assert remaining.cost(aware) == PLAIN + 3
    remaining.tell(aware, COMPLETE)
    assert remaining.cost(aware | {"threads": 4}) == PLAIN


@pytest.mark.parametrize("state", ["infeasible", "stopped", "failed"])
def test_a_trial_that_is_not_complete_pays_for_nobody(config: StudyConfig, epochs: float, state: str) -> None:
    remaining = Remaining(config)
    remaining.tell(TRAINED | PLAINLY, Outcome.model_validate({"state": state, "reason": "x"}))
    assert remaining.cost(TRAINED | PLAINLY) == PLAIN + epochs
    assert not remaining.trainings


@pytest.mark.parametrize("seed", range(5))
def test_nothing_that_was_not_asked_becomes_dearer_by_what_ends(config: StudyConfig, seed: int) -> None:
    rng = np.random.default_rng(seed)
    remaining = Remaining(config)
    watched = [first_params(config, Remaining(config), 0.0, rng) for _ in range(20)]
    before = [remaining.cost(params) for params in watched]
    for _ in range(20):
        remaining.tell(first_params(config, remaining, 0.5, rng), COMPLETE)
        after = [remaining.cost(params) for params in watched]
        assert all(PLAIN <= now <= then for now, then in zip(after, before, strict=True))
        before = after


def test_every_key_of_a_space_belongs_to_a_stage(config: StudyConfig) -> None:
    remaining = Remaining(config)
    rng = np.random.default_rng(0)
    keys, _ = choices_of(config)
    for _ in range(20):
        params = first_params(config, remaining, 0.0, rng)
        remaining.ask(params)
        assert remaining.cost(params) == math.inf
        for key in keys.keys() & params.keys():
            assert math.isfinite(remaining.cost({**params, key: "another"})), key
