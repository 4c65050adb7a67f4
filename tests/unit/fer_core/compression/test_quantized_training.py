"""Quantization-aware training: a copy that carries its ranges, keeps zeros and clusters, and repeats itself."""

import copy

import pytest
import torch

from fer_core.batches import to_input
from fer_core.compression.compress import compress
from fer_core.compression.pruning import weighted_layers
from fer_core.compression.quantized_training import train_quantized
from fer_core.compression.weight_clustering import values_per_layer
from fer_core.errors import ConversionError, DivergedError
from fer_core.integer.learned import RANGES, fake_quantized, learned_ranges, load_quantized
from fer_core.models.build import build
from fer_core.specs import ArchitectureSpec, CompressionSpec, TrainingSpec
from fer_core.training import recalibrate

SIDE = 32
TRAINING = TrainingSpec(batch_size=16, learning_rate=1e-2)
QAT = CompressionSpec(quantization="int8_qat", qat_epochs=1, calibration_images=16)


def network():
    return build(ArchitectureSpec(name="mobilenetv3_small_100", input_size=SIDE), seed=0).eval()


@pytest.fixture
def train(faces):
    return faces(32, size=SIDE)


def test_a_copy_is_trained_and_carries_the_ranges_that_its_state_brings_along(train):
    model = network()
    before = copy.deepcopy(model.state_dict())
    first, again = (train_quantized(model, QAT, TRAINING, train) for _ in range(2))
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    assert not first.training
    state = first.state_dict()
    assert all(torch.equal(state[name], again.state_dict()[name]) for name in state)
    assert set(state) - set(before) == {RANGES}
    assert any(not torch.equal(state[name], before[name]) for name in before if name.endswith("weight"))
    ranges = state[RANGES]
    assert (ranges[:, 0] <= 0).all()
    assert (ranges[:, 1] >= 0).all()

    loaded = load_quantized(network(), state).eval()
    with torch.no_grad():
        images = to_input(train.images[:4])
        assert torch.equal(fake_quantized(loaded, SIDE)(images), fake_quantized(first, SIDE)(images))
    assert len(learned_ranges(loaded, train.images).ranges) == len(ranges)


def test_training_that_moves_nothing_leaves_the_float_function_as_it_was(train):
    model = network()
    recalibrate(model, train)  # statistics unlike those of a new network
    still = train_quantized(model, QAT, TRAINING.model_copy(update={"learning_rate": 1e-9}), train)
    with torch.no_grad():
        expected, found = (each(to_input(train.images)) for each in (model, still))
    assert torch.allclose(found, expected, atol=1e-3 * float(expected.abs().max()))


def test_zeros_and_clusters_outlive_it(train):
    spec = QAT.model_copy(update={"pruning": "magnitude", "pruning_ratio": 0.6, "clusters": 8, "fine_tune_epochs": 0})
    pruned = compress(network(), spec, TRAINING, train)
    trained = train_quantized(pruned, spec, TRAINING, train)
    assert max(values_per_layer(trained).values()) <= 8
    for (name, _, weight), (_, _, before) in zip(weighted_layers(trained), weighted_layers(pruned), strict=True):
        assert torch.equal(weight == 0, before == 0), name


def test_zeros_outlive_it_without_clusters(train):
    spec = QAT.model_copy(update={"pruning": "magnitude", "pruning_ratio": 0.5, "fine_tune_epochs": 0})
    pruned = compress(network(), spec, TRAINING, train)
    trained = train_quantized(pruned, spec, TRAINING, train)
    for (name, _, weight), (_, _, before) in zip(weighted_layers(trained), weighted_layers(pruned), strict=True):
        assert (weight[before == 0] == 0).all(), name


def test_a_network_that_learned_no_ranges_is_refused(train):
    with pytest.raises(ConversionError, match="no learned activation ranges"):
        learned_ranges(network(), train.images)


def test_a_loss_that_is_no_number_ends_it(train):
    wild = TRAINING.model_copy(update={"learning_rate": 1e12})
    with pytest.raises(DivergedError):
        train_quantized(network(), QAT.model_copy(update={"qat_epochs": 3}), wild, train)


@pytest.mark.parametrize("wrong", [{"quantization": "int8_qat"}, {"quantization": "int8", "qat_epochs": 2}])
def test_epochs_without_the_training_and_the_training_without_epochs_are_refused(wrong):
    with pytest.raises(ValueError, match="qat_epochs must be above 0 when quantization is 'int8_qat', and 0 when"):
        CompressionSpec(**wrong)


def test_both_kinds_of_int8_have_one_graph():
    assert QAT.of_graph == CompressionSpec(quantization="int8")
