"""The integer graph computes what the network does, before anything is rounded, and gives its weights back."""

import copy
from typing import get_args

import numpy as np
import pytest
import torch

from fer_core.integer.graph import fold, integer_graph, layers, write_back
from fer_core.integer.learned import watch
from fer_core.models.build import build
from fer_core.specs import ArchitectureName, ArchitectureSpec

SIDE = 32


@pytest.fixture(params=get_args(ArchitectureName))
def network(request):
    """Each network, its batch norms with statistics unlike a new one's."""
    model = build(ArchitectureSpec(name=request.param, input_size=SIDE), seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
            module.bias.data.copy_(0.1 * torch.randn(module.num_features, generator=generator))
    return model


def test_every_network_is_the_same_function_as_its_graph_and_gets_back_what_was_trained(network):
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    graph = integer_graph(network, SIDE)
    fold(graph)
    watch(graph, images)  # activations that watch let values pass
    with torch.no_grad():
        expected, found = network(pixels), graph.network(pixels)
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()) + 1e-6)
    assert all(activation.seen for activation in graph.activations)

    before = copy.deepcopy(network.state_dict())
    write_back(graph, network)
    for name, tensor in network.state_dict().items():
        assert torch.allclose(tensor, before[name], atol=1e-5), name

    with torch.no_grad():
        for layer in layers(graph.root):
            if layer.bias is not None:
                layer.bias.add_(0.01)
            original = layer.parametrizations.weight.original if hasattr(layer, "parametrizations") else layer.weight
            original.mul_(1.1)
        write_back(graph, network)
        assert torch.allclose(network(pixels), graph.network(pixels), atol=2e-4 * float(expected.abs().max()) + 1e-6)
