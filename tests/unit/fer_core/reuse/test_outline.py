"""torch's export is done once: its weights are found among a network's tensors, or the network has no outline."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_core.export import _onnx
from fer_core.reuse.numbering import take_apart
from fer_core.reuse.outline import Outline, modules_of

SIDE = 16


def network(seed=0, channels=8, stride=2):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, channels, 3, stride), nn.ReLU6(), nn.Conv2d(channels, channels, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 7)).eval()


def export(model):
    return _onnx(model, SIDE)


def test_the_parts_of_new_weights_are_those_of_their_own_export():
    outline = Outline.of(network(), export)
    assert outline is not None
    model = network(seed=1)
    ours, theirs = outline.parts(model), take_apart(export(model))
    assert ours.digest == theirs.digest
    assert ours.shapes == theirs.shapes
    assert np.array_equal(ours.weights, theirs.weights)


def test_tensors_stay_apart_though_their_values_are_equal():
    """torch makes one constant of two that are equal: an untrained network would have another graph than a trained."""
    model = network()
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].bias)
    outline = Outline.of(model, export)
    assert outline is not None
    assert len(outline.names) == 6 > len(take_apart(export(model)).shapes)
    assert outline.parts(network(seed=1)).digest == take_apart(export(network(seed=1))).digest


class _Doubled(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return x + 2.0 * self.weight


@pytest.mark.parametrize("weight", [torch.rand(3, 1, 1), torch.rand(1)])
def test_weights_that_onnx_does_not_hold_as_they_are_have_no_outline(weight):
    assert Outline.of(nn.Sequential(_Doubled(weight), network()).eval(), export) is None


def test_networks_are_told_apart_by_their_modules_not_by_their_weights():
    assert modules_of(network()) == modules_of(network(seed=1))
    others = [network(channels=16), network(stride=1), nn.Sequential(network())]
    assert len({modules_of(each) for each in (network(), *others)}) == 4
