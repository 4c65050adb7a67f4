"""Improvement per cost: what is proposed after what is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from search.acquisition import Encoding, gp_params
from search.config import StudyConfig
from search.objectives import Outcome
from search.remaining import Remaining
from search.sampling import Told, distributions_of
from search.space import Given, choices_of, covering_design, suggest
from search.thrift import drawn_params

NETWORKS = {"mobilenetv3_small_100": 0.1, "mobilenetv2_100": 0.2}


@pytest.fixture
def small(config: StudyConfig) -> StudyConfig:
    """A space of two networks, two populations and four numerics: four trainings with eight children each."""
    space = config.space.model_copy(
        update={
            "architecture": tuple(NETWORKS),
            "input_size": (48,),
            "population": ("children", "all"),
            "pruning": ("none",),
            "clusters": (None,),
            "quantization": ("float32", "float16", "dynamic_int8", "int8"),
            "threads": (1, 4),
            "training": config.space.training.model_copy(update={"learning_rate": 1e-3}),
        }
    )
    return config.model_copy(update={"space": space, "objectives": ("f1", "latency")})


def _params(network: str, population: str, quantization: str = "int8", threads: int = 4) -> dict[str, Any]:
    return {"architecture": network, "quantization": quantization, "population": population, "threads": threads}


def _latency(params: Mapping[str, Any]) -> float:
    numerics = {"float32": 4.0, "float16": 4.0, "dynamic_int8": 2.0, "int8": 1.0}
    return float(20 * numerics[params["quantization"]] / params["threads"] ** 0.5)


def _complete(params: Mapping[str, Any]) -> Outcome:
    f1 = NETWORKS[params["architecture"]] + (0.3 if params["population"] == "all" else 0.0)
    return Outcome(state="complete", values={"f1": f1, "latency": _latency(params)})


def _slow(params: Mapping[str, Any]) -> Outcome:
    latency = 150 + _latency(params)
    return Outcome(state="infeasible", values={"latency": latency}, violations={"latency_ms": latency - 120})


def _after(config: StudyConfig, trials: list[Told]) -> tuple[list[Told], Remaining]:
    remaining = Remaining(config)
    for params, outcome in trials:
        remaining.ask(params)
        remaining.tell(params, outcome)
    return trials, remaining


def _told(config: StudyConfig, trials: list[dict[str, Any]]) -> tuple[list[Told], Remaining]:
    return _after(config, [Told(params, _complete(params)) for params in trials])


V3, V2 = NETWORKS


def test_the_promising_training_is_taken_that_nobody_tried(small: StudyConfig) -> None:
    tried = [_params(V3, "children"), _params(V3, "all"), _params(V2, "children")]
    told, remaining = _told(small, tried)
    for seed in range(5):
        found = gp_params(small, told, [], remaining, 0.0, seed)
        assert (found["architecture"], found["population"]) == (V2, "all"), found


def test_of_children_and_trainings_the_children_come_first_where_cost_counts(small: StudyConfig) -> None:
    told, remaining = _told(small, [_params(V3, "children", "float32"), _params(V3, "all", "float32")])
    known = {("children", V3), ("all", V3)}
    aware = [gp_params(small, told, [], remaining, 1.0, seed) for seed in range(5)]
    assert {(one["population"], one["architecture"]) for one in aware} <= known


def test_it_keeps_away_from_what_is_being_evaluated(small: StudyConfig) -> None:
    told, remaining = _told(small, [_params(V3, "children"), _params(V3, "all"), _params(V2, "children")])
    alone = gp_params(small, told, [], remaining, 0.0, seed=1)
    assert gp_params(small, told, [], remaining, 0.0, seed=1) == alone
    assert gp_params(small, told, [alone], remaining, 0.0, seed=1) != alone


def test_what_is_known_is_proposed_only_when_all_is(small: StudyConfig) -> None:
    told, remaining = _told(small, [_params(V3, "children"), _params(V3, "all")])
    choices, _ = choices_of(small)
    everything = [
        _params(network, population, quantization, threads)
        for network in choices["architecture"]
        for population in choices["population"]
        for quantization in choices["quantization"]
        for threads in choices["threads"]
    ]
    for params in everything[:-1]:
        remaining.ask(params)
    assert gp_params(small, told, [], remaining, 1.0, seed=0) == everything[-1]
    remaining.ask(everything[-1])
    assert gp_params(small, told, [], remaining, 1.0, seed=0) in everything


def test_it_learns_what_is_too_slow_without_making_up_its_f1(small: StudyConfig) -> None:
    """All but int8 with four threads is too slow; the F1 of what is too slow nobody knows."""
    fast = [_params(V3, "children"), _params(V3, "all")]
    slow = [_params(V2, "children", quantization, 1) for quantization in ("float32", "float16", "dynamic_int8")]
    slow += [_params(V3, "all", quantization, 1) for quantization in ("float32", "float16", "dynamic_int8")]
    trials = [Told(params, _complete(params)) for params in fast] + [Told(params, _slow(params)) for params in slow]
    told, remaining = _after(small, trials)
    found = [gp_params(small, told, [], remaining, 0.0, seed) for seed in range(5)]
    assert {one["quantization"] for one in found} == {"int8"}
    assert {one["population"] for one in found} == {"all"}


def test_a_bound_that_is_no_objective_is_kept(small: StudyConfig) -> None:
    """The better network is too big, which only its violation tells."""
    small = small.model_copy(update={"constraints": small.constraints.model_copy(update={"size_mb": 10.0})})
    big = Outcome(state="infeasible", values={"latency": 20.0}, violations={"size_mb": 5.0})
    fits = [_params(V3, population, quantization) for population in ("children", "all") for quantization in ("int8",)]
    trials = [Told(params, _complete(params)) for params in fits]
    trials += [Told(_params(V2, population), big) for population in ("children", "all")]
    told, remaining = _after(small, trials)
    found = [gp_params(small, told, [], remaining, 0.0, seed) for seed in range(5)]
    assert {one["architecture"] for one in found} == {V3}


def test_it_asks_by_chance_until_every_objective_is_known_twice(config: StudyConfig) -> None:
    told, remaining = _told(config, [])
    found = [gp_params(config, told, [], remaining, 1.0, seed) for seed in range(3)]
    assert len({tuple(one.items()) for one in found}) == 3
    assert all(suggest(Given(one), config) for one in found)


def test_where_nothing_varies_there_is_one_answer(small: StudyConfig) -> None:
    space = small.space.model_copy(
        update={"architecture": (V3,), "population": ("all",), "quantization": ("int8",), "threads": (1,)}
    )
    single = small.model_copy(update={"space": space})
    outcome = _complete(_params(V3, "all"))
    assert gp_params(single, [Told({}, outcome)] * 3, [], Remaining(single), 1.0, seed=0) == {}


def test_of_the_whole_space_it_proposes_candidates(config: StudyConfig) -> None:
    """Keys that do not apply are not asked; ranges, choices and three objectives."""
    designs = [covering_design(config.model_copy(update={"seed": seed})) for seed in range(3)]
    rng = np.random.default_rng(0)
    trials = [
        Told(row, Outcome(state="complete", values=dict(zip(("f1", "gap", "latency"), rng.random(3), strict=True))))
        for design in designs
        for row in design
    ]
    told, remaining = _after(config, trials)
    found = gp_params(config, told, [told[0].params], remaining, 0.5, seed=1)
    given = Given(found)
    assert suggest(given, config)
    assert given.asked == found


def test_a_row_has_places_in_the_ranges_and_numbers_of_choices(config: StudyConfig) -> None:
    keys = distributions_of(config)
    encoded = Encoding(keys, families=True)
    rng = np.random.default_rng(0)
    rows = encoded([drawn_params(config, {}, rng) for _ in range(50)])
    numbers = rows[:, ~encoded.columns.choices]
    assert rows.shape == (50, len(keys))
    assert ((numbers >= 0) & (numbers <= 1)).all()
    assert (rows[:, encoded.columns.choices] == np.round(rows[:, encoded.columns.choices])).all()
    assert encoded([{}]).tolist() == [[0.0] * len(keys)]
