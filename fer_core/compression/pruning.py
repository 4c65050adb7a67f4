"""Pruning: the least important weights of all convolutions and dense layers become zero and stay zero."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

RAMP = 0.5
"""Share of the fine-tuning over which weights become zero; the rest of it repairs the network."""
STAGES = 20
"""Weights are ranked anew this often on the way: the order of two million weights takes half a second."""


class Masked(nn.Module):
    """A parametrization: the weight is an original times a mask, so no optimiser step can revive a zero."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, original: Tensor) -> Tensor:
        """Return *original* with zeros where the mask is false."""
        return original * self.mask


def weighted_layers(model: nn.Module) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Yield (name, layer, weight) of every convolution and dense layer, in the model's order.

    These are the layers whose weights are pruned and clustered; biases and batch norms are left alone.
    """
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            yield name, module, module.weight.detach()


def scores_of(weight: Tensor) -> Tensor:
    """Return the layer-adaptive magnitude of each weight, float32 of the same shape.

    The score of Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning" (LAMP, ICLR 2021,
    https://arxiv.org/abs/2010.07611), equation 2: the square of a weight over the sum of the squares that are at least
    as large in its layer. Within a layer it ranks by magnitude; between layers it does not depend on their scale, which
    batch norm makes meaningless; and the largest weight of a layer scores 1, so a layer never dies.
    """
    squares = weight.double().square().flatten()
    ordered, order = squares.sort(stable=True)
    remaining = ordered.flip(0).cumsum(0).flip(0).clamp_min(torch.finfo(torch.float64).tiny)
    scores = torch.empty_like(squares)
    scores[order] = ordered / remaining
    return scores.reshape(weight.shape)


def masks(model: nn.Module, ratio: float) -> dict[str, Tensor]:
    """Return a mask (true = stays) for each layer; exactly round(ratio x weights) of all weights are false.

    Ties are broken by position, so the result depends on the weights alone.
    """
    names, scores = zip(*((name, scores_of(weight)) for name, _, weight in weighted_layers(model)), strict=True)
    everything = torch.cat([score.flatten() for score in scores])
    stays = torch.ones(len(everything), dtype=torch.bool, device=everything.device)
    stays[everything.argsort(stable=True)[: round(ratio * len(everything))]] = False
    parts = torch.split(stays, [score.numel() for score in scores])
    return {name: part.reshape(score.shape) for name, part, score in zip(names, parts, scores, strict=True)}


def prune(model: nn.Module, ratio: float) -> None:
    """Set the share *ratio* of the weights of *model* to zero, in place, and hold them there until ``bake``."""
    for name, mask in masks(model, ratio).items():
        parametrize.register_parametrization(model.get_submodule(name), "weight", Masked(mask))


class Gradual:
    """Raises the share of zeros while a network is fine-tuned; call it before every step with the share of steps done.

    The share of zeros is ratio x (1 - (1 - done / RAMP)^3) and the whole ratio from ``RAMP`` on: Zhu and Gupta, "To
    prune, or not to prune" (2017, https://arxiv.org/abs/1710.01878), equation 1. A zero stays zero. ``bake`` ends it.
    """

    def __init__(self, model: nn.Module, ratio: float) -> None:
        self._model, self._ratio, self._reached = model, ratio, 0.0
        prune(model, 0.0)

    def __call__(self, done: float) -> None:
        """Prune as far as the schedule asks for when the share *done* of all steps is done, in ``STAGES`` stages."""
        stage = min(1.0, math.ceil(STAGES * min(1.0, done / RAMP)) / STAGES)
        ratio = self._ratio * (1 - (1 - stage) ** 3)
        if ratio > self._reached:
            self._reached = ratio
            for name, mask in masks(self._model, ratio).items():
                self._model.get_submodule(name).get_submodule("parametrizations.weight.0").get_buffer("mask").copy_(
                    mask
                )


def bake(model: nn.Module) -> None:
    """Turn the held weights of ``prune`` or ``share_weights`` into plain parameters with the same values, in place."""
    for _, module, _ in list(weighted_layers(model)):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")


def sparsity(model: nn.Module) -> float:
    """Return the share of convolution and dense weights that are exactly zero."""
    weights = [weight for _, _, weight in weighted_layers(model)]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)
