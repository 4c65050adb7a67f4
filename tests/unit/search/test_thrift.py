"""Cost-aware TPE: what it prefers, that it is Optuna's TPE where nothing is known, and that it grafts."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.config import StudyConfig
from search.ledger import Ledger
from search.objectives import Outcome
from search.proposing import SamplerConfig
from search.record import StudyOpened
from search.remaining import TRAINING, Remaining
from search.settings import Range
from search.space import Given, suggest
from search.study import Study
from search.thrift import ThriftyTPE, cooled, first_params, worth

candidates = st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 100)), min_size=1, max_size=20)


def _complete(seed: int = 0) -> Outcome:
    f1, gap, latency = np.random.default_rng(seed).uniform(0.1, 0.9, 3)
    return Outcome(state="complete", values={"f1": f1, "gap": gap, "latency": 100 * latency})


@given(candidates)
def test_without_alpha_promise_alone_counts(rows: list[tuple[float, float]]) -> None:
    promise, costs = np.array(rows).T
    assert (worth(promise, costs, 0.0) == promise).all()


@given(candidates, st.floats(0.01, 1))
def test_of_equal_promise_the_cheapest_is_taken(rows: list[tuple[float, float]], alpha: float) -> None:
    costs = np.array(rows)[:, 1]
    assert costs[np.argmax(worth(np.zeros(len(costs)), costs, alpha))] == pytest.approx(costs.min())


@given(candidates, candidates, st.floats(0, 1))
def test_what_is_known_comes_last(
    new: list[tuple[float, float]], known: list[tuple[float, float]], alpha: float
) -> None:
    promise, costs = np.array(new + known).T
    costs[len(new) :] = np.inf
    value = worth(promise, costs, alpha)
    assert np.isfinite(value).all()
    assert value[: len(new)].min() > value[len(new) :].max()


def test_alpha_falls_from_one_to_none() -> None:
    assert [cooled(asked, 40) for asked in (0, 10, 40, 50)] == [1.0, 0.75, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_is_computed_it_is_optunas_tpe(config: StudyConfig, seed: int) -> None:
    """The inner methods that are overridden are still those that Optuna asks, and change nothing by themselves."""
    settings = SamplerConfig(startup_trials=0)
    proposals = []
    for sampler in (
        ThriftyTPE(settings, seed, Remaining(config), 0.0),
        optuna.samplers.TPESampler(n_startup_trials=0, seed=seed, multivariate=True),
    ):
        study = optuna.create_study(directions=["maximize", "minimize", "minimize"])
        for number in range(12):
            study.sampler = optuna.samplers.RandomSampler(seed=number)
            trial = study.ask()
            suggest(trial, config)
            study.tell(trial, list(_complete(number).values.values()))
        study.sampler = sampler
        trial = study.ask()
        suggest(trial, config)
        proposals.append(trial.params)
    assert proposals[0] == proposals[1]


def _ranged(config: StudyConfig) -> StudyConfig:
    """Return *config* with a learning rate of which no two draws are the same."""
    training = config.space.training.model_copy(update={"learning_rate": Range(low=1e-4, high=1e-2, log=True)})
    space = config.space.model_copy(update={"training": training})
    budget = config.budget.model_copy(update={"trials": 24})
    return config.model_copy(update={"space": space, "budget": budget})


def _trainings(config: StudyConfig, path: Path) -> int:
    """Return how many networks a study of *config* trains, all of whose trials are complete."""
    opened = StudyOpened(name="t", config=config.model_dump(mode="json"), config_digest=config.digest)
    trained = set()
    with Ledger.create(path, opened) as ledger:
        study = Study(config, ledger)
        while question := study.ask():
            trained.add((question.candidate.architecture, question.candidate.training))
            study.tell(question.number, _complete(question.number))
    return len(trained)


@pytest.mark.parametrize("startup", [0, 24])
def test_trainings_are_shared_where_no_two_draws_would_be_alike(
    config: StudyConfig, tmp_path: Path, startup: int
) -> None:
    aware = config.sampler.model_copy(update={"name": "tpe", "startup_trials": startup})
    plain = aware.model_copy(update={"cost_aware": False})
    counts = [
        _trainings(_ranged(config).model_copy(update={"sampler": sampler}), tmp_path / f"{place}.db")
        for place, sampler in enumerate((plain, aware))
    ]
    assert counts[0] >= 23
    assert counts[1] <= 18


def test_first_trials_are_drawn_by_chance_where_cost_does_not_count(config: StudyConfig) -> None:
    remaining = Remaining(_ranged(config))
    rng = np.random.default_rng(0)
    remaining.tell(first_params(remaining.config, remaining, 1.0, rng), _complete())
    shares = []
    for alpha in (0.0, 1.0):
        drawn = [first_params(remaining.config, remaining, alpha, rng) for _ in range(60)]
        for params in drawn:
            suggest(Given(params), remaining.config)
        ends = [{key: one[key] for key in TRAINING if key in one} for one in drawn]
        shares.append(sum(end == remaining.trainings[0] for end in ends) / len(ends))
    assert 0.3 < shares[0] < 0.7
    assert shares[1] > 0.75
