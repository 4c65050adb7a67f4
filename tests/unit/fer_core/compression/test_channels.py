"""Channels leave all five networks; how many is known without the weights, which ones is not."""

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fer_core.compression.channels import kept, remove_channels
from fer_core.models.build import build
from fer_core.models.exportable import exportable
from fer_core.specs import ArchitectureName, ArchitectureSpec, ChannelImportance

NETWORKS = get_args(ArchitectureName)
SIDE = 48


def network(name, seed=0):
    return build(ArchitectureSpec(name=name, input_size=SIDE), seed=seed)


def as_after_training(model):
    """No two layers alike in scale, every tensor other than at the start."""
    generator = torch.Generator().manual_seed(3)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            factor = 10 ** (2 * torch.rand((), generator=generator) - 1)
            tensor.data.copy_(factor * torch.rand(tensor.shape, generator=generator) + 0.1)
    return model


def shapes(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(("name", "importance"), [*((name, "l1") for name in NETWORKS), (NETWORKS[0], "bn_scale")])
def test_the_counts_follow_from_architecture_and_ratio_alone(name, importance):
    untrained, trained = network(name), as_after_training(network(name, seed=1))
    full = shapes(untrained)
    remove_channels(untrained, 0.5, "l2")
    remove_channels(trained, 0.5, importance)
    assert shapes(untrained) == shapes(trained)
    assert untrained.classifier.out_features == 7
    parameters = sum(tensor.numel() for tensor in untrained.parameters())
    assert parameters < 0.35 * sum(torch.tensor(shape).prod() for shape in full.values())
    for where, layer in untrained.named_modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.out_channels % 8 == 0 or layer.out_channels == full[f"{where}.weight"][0] < 8, where


@pytest.mark.parametrize("name", NETWORKS)
def test_the_smaller_network_computes_and_can_be_exported(name):
    model = as_after_training(network(name))
    remove_channels(model, 0.6)
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        logits = model(images)
        torch.testing.assert_close(exportable(model, SIDE)(images), logits, rtol=1e-3, atol=1e-3)
    assert logits.shape == (2, 7)
    assert all(tensor.requires_grad and tensor.is_leaf for tensor in model.parameters())


class Chain(nn.Module):
    """Two convolutions with a batch norm between them: every channel of the first is owned by all three."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 16, 1), nn.BatchNorm2d(16), nn.Conv2d(16, 8, 1)
        self.classifier = nn.Linear(8, 7)
        for layer in (self.first, self.norm, self.second):
            nn.init.constant_(layer.weight, 0.1)

    def forward(self, images):
        return self.classifier(self.second(self.norm(self.first(images)).relu()).mean((2, 3)))


@pytest.mark.parametrize("importance", get_args(ChannelImportance))
def test_the_least_important_channels_leave(importance):
    model, strong = Chain(), [1, 2, 3, 5, 8, 11, 13, 15]
    owner = model.norm if importance == "bn_scale" else model.first
    owner.weight.data[strong] = 2.0
    model.first.bias.data = torch.arange(16.0)
    remove_channels(model, 0.5, importance)
    assert model.first.bias.tolist() == strong


def test_without_a_difference_the_first_channels_leave():
    model = Chain()
    model.first.bias.data = torch.arange(16.0)
    remove_channels(model, 0.5, "l2")
    assert model.first.bias.tolist() == list(range(8, 16))


@given(st.integers(1, 4000), st.floats(0.01, 0.9))
def test_what_stays_is_a_multiple_of_eight_close_to_the_ratio(channels, ratio):
    stays = kept(channels, ratio)
    assert 0 < stays <= channels
    assert stays % 8 == 0 or stays == channels
    if stays not in {8, channels}:
        assert abs(stays - (1 - ratio) * channels) <= 4 + 1e-6
