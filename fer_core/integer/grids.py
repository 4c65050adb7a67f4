"""Numbers as int8 would store them, in float32: what quantization-aware training sees.

Rounding has no gradient. The straight-through estimator lets the gradient pass where a value lies within the range and
stops it outside: Bengio et al. (2013, https://arxiv.org/abs/1308.3432); Jacob et al., "Quantization and training of
neural networks for efficient integer-arithmetic-only inference" (CVPR 2018, https://arxiv.org/abs/1712.05877), whose
grids these are: LiteRT's (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec).
"""

import math

import torch
from torch import Tensor, nn

from fer_core.integer.ranges import USUAL_SHARE

LOWEST, HIGHEST = -128, 127
MEMORY = 0.95
"""How much of a range stays when a batch is seen; the rest moves to the batch's own range."""
WATCHED_IMAGES = 16
"""Images of a batch that a range follows: the first ones, a random choice of the set. All would take longer than the
rounding itself."""
_SMALLEST_SCALE = 1e-8


class Folded(nn.Module):
    """A parametrization: each output channel of the weight is multiplied by a constant, a batch norm's share of it."""

    factor: Tensor

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor)

    def forward(self, weight: Tensor) -> Tensor:
        """Return *weight* (out, ...) times the factor (out,)."""
        return weight * self.factor.view(-1, *[1] * (weight.ndim - 1))


class PerChannel(nn.Module):
    """A parametrization: each output channel is rounded to 255 levels, -127 to 127 times its largest weight / 127.

    A zero stays zero, and equal weights of a channel stay equal.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """Return *weight* (out, ...) on the grid of its channels."""
        scale = weight.detach().flatten(1).abs().amax(dim=1).div_(HIGHEST).clamp_min_(_SMALLEST_SCALE)
        zero = torch.zeros_like(scale, dtype=torch.int32)
        rounded: Tensor = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -HIGHEST, HIGHEST)
        return rounded


class Activation(nn.Module):
    """One int8 grid, shared by the values that *members* operators write.

    What it does is one of three things. ``watch()``: note ``moments`` of the values and let them pass, until
    ``settle()`` makes ranges of them. In training while ``follows``: move each member's range towards that of the
    batch, and round. Else: round. The grid spans the ranges of all members; *fixed* is a range that nothing moves.
    """

    low: Tensor
    high: Tensor

    def __init__(self, members: int, fixed: tuple[float, float] | None = None) -> None:
        super().__init__()
        low, high = fixed or (0.0, 0.0)
        self.register_buffer("low", torch.full((members,), low))
        self.register_buffer("high", torch.full((members,), high))
        self.fixed = fixed is not None
        self.follows = not self.fixed
        self.seen: list[list[Tensor]] | None = None

    def watch(self) -> None:
        """From now on note what passes."""
        self.seen = [[] for _ in range(len(self.low))]

    def noted(self) -> list[Tensor]:
        """Return the moments (images, 5) that each member has written since ``watch``, and end watching."""
        seen, self.seen = self.seen or [], None
        return [torch.cat(batches) for batches in seen]

    def settle(self) -> None:
        """End watching; ranges cover the extremes of the usual share of the images that passed."""
        for member, found in enumerate(self.noted()):
            if not self.fixed:
                self.low[member], self.high[member] = usual_extremes(found[:, 0], found[:, 1])

    @property
    def range(self) -> tuple[float, float]:
        """What the grid spans; 0 lies within."""
        return min(float(self.low.min()), 0.0), max(float(self.high.max()), 0.0)

    def forward(self, values: Tensor, member: int) -> Tensor:
        """Return *values*, written by operator number *member*, on the grid; unchanged while watching."""
        if self.seen is not None:
            self.seen[member].append(moments(values.detach()))
            return values
        if self.training and self.follows:
            self._follow(values.detach()[:WATCHED_IMAGES], member)
        if not math.isfinite(sum(self.range)):
            return values  # no grid holds them: the loss will say so
        scale, zero = grid(*self.range)
        rounded: Tensor = torch.fake_quantize_per_tensor_affine(values, scale, zero, LOWEST, HIGHEST)
        return rounded

    def _follow(self, values: Tensor, member: int) -> None:
        dims = tuple(range(1, values.ndim))
        low, high = usual_extremes(values.amin(dims), values.amax(dims))
        self.low[member].lerp_(low, 1 - MEMORY)
        self.high[member].lerp_(high, 1 - MEMORY)


def grid(low: float, high: float) -> tuple[float, int]:
    """Return scale and zero point of the 256 levels over [*low*, *high*], which holds 0; 0 is one of the levels."""
    scale = max((high - low) / (HIGHEST - LOWEST), _SMALLEST_SCALE)
    return scale, max(LOWEST, min(HIGHEST, LOWEST + math.floor(0.5 - low / scale)))


def usual_extremes(lows: Tensor, highs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the range that covers the *lows* and *highs* (images,) of ``USUAL_SHARE`` of the images, and 0."""
    return lows.quantile(1 - USUAL_SHARE).clamp_max(0.0), highs.quantile(USUAL_SHARE).clamp_min(0.0)


def moments(values: Tensor) -> Tensor:
    """Return minimum, maximum, mean, root mean square and count of each image's *values* (images, ...): (images, 5)."""
    flat = values.flatten(1)
    size = torch.full((len(flat),), float(flat.shape[1]))
    precise = flat.double()
    rms = precise.square().mean(1).sqrt().float()
    return torch.stack([flat.amin(1), flat.amax(1), precise.mean(1).float(), rms, size.to(flat.device)], dim=1)
