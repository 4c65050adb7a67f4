"""The activation ranges that a network has learned, which it carries along in its state dict."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_core.batches import to_input
from fer_core.errors import ConversionError
from fer_core.integer.graph import IntegerGraph, fold, integer_graph, round_weights
from fer_core.integer.ranges import PROBES, LearnedRanges

RANGES = "activation_ranges"
"""The buffer, (grids, 2), in which a network carries what it learned."""
_BATCH = 64


def load_quantized(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    """Load *state*, the state dict of what ``train_quantized`` returned, into *model* of the same layers; return it."""
    model.register_buffer(RANGES, torch.empty_like(state[RANGES]))
    model.load_state_dict(state)
    return model


def learned_ranges(model: nn.Module, images: NDArray[np.uint8]) -> LearnedRanges:
    """Return the ranges that *model* carries, with the statistics over the first of *images* that tell whose they are.

    *images* are uint8 (n, side, side, 3).

    Raises:
        ConversionError: *model* carries none, or not as many as its graph has grids.
    """
    ranges = _carried(model)
    graph = integer_graph(model, images.shape[1])
    fold(graph)
    probes = images[:PROBES]
    watch(graph, probes)
    found = [(grid, values) for grid, each in enumerate(graph.activations) for values in each.noted()]
    return LearnedRanges(
        ranges=ranges.double().numpy(),
        grid_of=tuple(grid for grid, _ in found),
        moments=np.stack([values.double().numpy() for _, values in found]),
        probes=np.ascontiguousarray(probes),
    )


@torch.no_grad()
def watch(graph: IntegerGraph, images: NDArray[np.uint8]) -> None:
    """Let the activations of *graph* see *images*."""
    for activation in graph.activations:
        activation.watch()
    graph.network.eval()
    for start in range(0, len(images), _BATCH):
        graph.network(to_input(images[start : start + _BATCH]))


def fake_quantized(model: nn.Module, input_size: int) -> nn.Module:
    """Return what the int8 file of *model*, which carries learned ranges, computes, up to rounding: in torch, float32.

    Raises:
        ConversionError: as for ``learned_ranges``.
    """
    ranges = _carried(model)
    graph = integer_graph(model, input_size)
    fold(graph)
    for activation, (low, high) in zip(graph.activations, ranges.tolist(), strict=True):
        activation.low.fill_(low)
        activation.high.fill_(high)
    round_weights(graph)
    return graph.network.eval()


def _carried(model: nn.Module) -> Tensor:
    ranges = dict(model.named_buffers()).get(RANGES)
    if ranges is None:
        raise ConversionError(
            "this network has no learned activation ranges: int8_qat export needs quantization-aware training "
            "before it; train it so, or export it as int8"
        )
    return ranges
