"""The space: every suggestion is a candidate, conditional keys are asked where they apply, the design covers."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.config import StudyConfig
from search.space import Given, continuous, covering_design, size, suggest

PLAIN = {
    "name": "s",
    "data": {
        "evaluation": {"layout": "cafe", "path": "c"},
        "training": [{"layout": "folders", "path": "t", "population": "all"}],
    },
}
NETWORKS = ["mobilenetv3_small_100", "mobilenetv2_100", "efficientnet_b0", "mobilenetv3_large_100", "nasnet_mobile"]
NUMERICS = ["float32", "float16", "dynamic_int8", "int8"]


def study(**space) -> StudyConfig:
    return StudyConfig.model_validate({**PLAIN, "seed": space.pop("seed", 0), "space": space})


class Drawn:
    """Answers with what hypothesis draws, and notes what was asked."""

    def __init__(self, data):
        self.data = data
        self.asked = {}

    def suggest_categorical(self, name, choices):
        self.asked[name] = self.data.draw(st.sampled_from(choices), label=name)
        return self.asked[name]

    def suggest_int(self, name, low, high, *, step=1, log=False):
        self.asked[name] = low + step * self.data.draw(st.integers(0, (high - low) // step), label=name)
        return self.asked[name]

    def suggest_float(self, name, low, high, *, step=None, log=False):
        self.asked[name] = self.data.draw(st.floats(low, high), label=name)
        return self.asked[name]


FULL = study(
    architecture=NETWORKS,
    input_size=[48, 64],
    population=["children", "all"],
    pruning=["none", "structured", "magnitude"],
    pruning_ratio={"low": 0.2, "high": 0.8, "step": 0.1},
    channel_importance=["l2", "bn_scale"],
    clusters=["none", 16, 64],
    quantization=NUMERICS,
    fine_tune_epochs={"low": 1, "high": 3},
    threads=[1, 2, 4],
    training={"epochs": {"low": 2, "high": 8, "step": 2}, "learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}},
)


@given(st.data())
def test_every_suggestion_is_a_candidate_that_its_parameters_rebuild(data):
    drawn = Drawn(data)
    candidate = suggest(drawn, FULL)
    assert suggest(Given(drawn.asked), FULL).digest == candidate.digest
    assert ("pruning_ratio" in drawn.asked) == (candidate.compression.pruning != "none")
    assert ("channel_importance" in drawn.asked) == (candidate.compression.pruning == "structured")
    repaired = candidate.compression.pruning != "none" or candidate.compression.clusters is not None
    assert ("fine_tune_epochs" in drawn.asked) == repaired
    assert candidate.training.epochs in {2, 4, 6, 8}


def test_epochs_of_quantized_training_are_asked_where_it_is_chosen():
    config = study(architecture=NETWORKS[:2], quantization=["int8", "int8_qat"], qat_epochs=[1, 2, 4])
    assert size(config) == 2 * (1 + 3)
    plain = suggest(Given({"architecture": NETWORKS[0], "quantization": "int8"}), config).compression
    learned = suggest(Given({"architecture": NETWORKS[0], "quantization": "int8_qat", "qat_epochs": 4}), config)
    assert plain.qat_epochs == 0
    assert learned.compression.qat_epochs == 4
    with pytest.raises(ValueError, match="must be 1 or more"):
        study(architecture=NETWORKS[0], quantization="int8_qat", qat_epochs=[0, 1])


def test_what_does_not_vary_is_not_asked():
    class Silent:
        def __getattr__(self, name):
            raise AssertionError(f"asked: {name}")

    candidate = suggest(Silent(), study(architecture="mobilenetv2_100", training={"epochs": 3}, seed=9))
    assert candidate.architecture.name == "mobilenetv2_100"
    assert candidate.training.epochs == 3
    assert candidate.training.seed == 9
    assert candidate.compression.fine_tune_epochs == 0


@given(
    networks=st.lists(st.sampled_from(NETWORKS), min_size=1, unique=True),
    numerics=st.lists(st.sampled_from(NUMERICS), min_size=1, unique=True),
    clusters=st.lists(st.sampled_from(["none", 8, 16, 64]), min_size=1, unique=True),
    pruning=st.sampled_from([["none"], ["magnitude"], ["none", "structured", "magnitude"]]),
    seed=st.integers(0, 1000),
)
def test_the_design_covers_every_choice_evenly(networks, numerics, clusters, pruning, seed):
    config = study(
        architecture=networks, quantization=numerics, clusters=clusters, pruning=pruning,
        channel_importance=["l1", "l2"], pruning_ratio={"low": 0.1, "high": 0.9}, seed=seed,
        training={"learning_rate": {"low": 0.001, "high": 0.1, "log": True}},
    )  # fmt: skip
    design = covering_design(config)
    lists = {"architecture": networks, "quantization": numerics, "clusters": clusters, "pruning": pruning}
    assert len(design) == max(map(len, lists.values()))
    for key, choices in lists.items():
        if len(choices) > 1:
            times = Counter(params[key] for params in design)
            assert set(times) == set(choices)
            assert max(times.values()) - min(times.values()) <= 1
    assert [suggest(Given(params), config) for params in design]
    assert all(("pruning_ratio" in p) == (p.get("pruning", pruning[0]) != "none") for p in design)
    assert covering_design(config) == design


def test_ranges_are_spread_over_the_design():
    config = study(architecture=NETWORKS, training={"learning_rate": {"low": 0.001, "high": 0.1, "log": True}})
    rates = sorted(params["learning_rate"] for params in covering_design(config))
    assert rates == pytest.approx([0.001 * 100 ** ((k + 0.5) / 5) for k in range(5)])


def test_size_counts_what_is_conditional():
    # 2 networks x (1 + 3 ratios x 2 repairs) for no clusters, x (2 repairs + 3 x 2) for one cluster count
    config = study(
        architecture=NETWORKS[:2],
        pruning=["none", "magnitude"],
        pruning_ratio=[0.3, 0.5, 0.7],
        clusters=["none", 16],
        fine_tune_epochs=[1, 2],
    )
    assert size(config) == 2 * ((1 + 6) + (2 + 6))
    assert continuous(config) == ()
    # 2 networks x (1 + 3 magnitude ratios + 3 x 2 structured ones)
    ratios = {"pruning_ratio": [0.3, 0.5, 0.7], "channel_importance": ["l2", "bn_scale"]}
    assert size(study(architecture=NETWORKS[:2], pruning=["none", "magnitude", "structured"], **ratios)) == 2 * (
        1 + 3 + 6
    )


def test_a_continuous_key_makes_the_space_endless():
    assert size(FULL) == float("inf")
    assert continuous(FULL) == ("learning_rate",)
