"""Compression returns a smaller copy, keeps its promises through fine-tuning, and is deterministic."""

import copy

import pytest
import torch

from fer_core.compression.compress import compress
from fer_core.compression.pruning import sparsity, weighted_layers
from fer_core.compression.weight_clustering import values_per_layer
from fer_core.models.build import build
from fer_core.specs import ArchitectureSpec, CompressionSpec, TrainingSpec

TRAINING = TrainingSpec(batch_size=16, learning_rate=1e-2)


def network():
    return build(ArchitectureSpec(name="mobilenetv3_small_100", input_size=32)).eval()


@pytest.mark.parametrize("fine_tune_epochs", [0, 1])
def test_prunes_then_clusters_a_copy(faces, fine_tune_epochs):
    model, train = network(), faces(32)
    before = copy.deepcopy(model.state_dict())
    spec = CompressionSpec(pruning="magnitude", pruning_ratio=0.6, clusters=16, fine_tune_epochs=fine_tune_epochs)
    smaller = compress(model, spec, TRAINING, train)
    weights = sum(weight.numel() for _, _, weight in weighted_layers(model))
    assert sparsity(smaller) == round(0.6 * weights) / weights
    assert max(values_per_layer(smaller).values()) == 16
    assert not smaller.training
    assert sorted(smaller.state_dict()) == sorted(before)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


def test_fine_tuning_trains_and_repeats_itself(faces):
    model, train, spec = network(), faces(32), CompressionSpec(pruning="magnitude", pruning_ratio=0.5)
    first, again = (compress(model, spec, TRAINING, train).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    still = compress(model, spec.model_copy(update={"fine_tune_epochs": 0}), TRAINING, train).state_dict()
    assert not torch.equal(first["classifier.weight"], still["classifier.weight"])


def test_nothing_asked_nothing_done(faces):
    model = network()
    same = compress(model, CompressionSpec(), TRAINING, faces(8))
    assert same is not model
    assert all(torch.equal(same.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
