"""Batches whose images are blends of two: mixup and CutMix. The loss is blended in the same proportion.

The partner of an image is its neighbour in the batch, whose order is random already.
"""

import math
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from fer_core.specs import Mixing

MIXUP_ALPHA = 0.2
"""Beta(alpha, alpha) gives the share: Zhang et al., "mixup" (ICLR 2018, https://arxiv.org/abs/1710.09412)."""
CUTMIX_ALPHA = 1.0
"""Any share is as likely: Yun et al., "CutMix" (ICCV 2019, https://arxiv.org/abs/1905.04899), section 3.1."""


def mix(images: Tensor, mixing: Mixing, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Return *images* (n, 3, side, side), each blended with ``partners`` of it, and the share that is its own.

    Mixup adds the two images up; CutMix puts a rectangle of the partner, at the same place for the whole batch, into
    the image. *rng* decides. ``"none"`` returns *images* and 1.
    """
    match mixing:
        case "none":
            return images, 1.0
        case "mixup":
            share = rng.beta(MIXUP_ALPHA, MIXUP_ALPHA)
            return torch.lerp(partners(images), images, share), share
        case "cutmix":
            top, bottom, left, right = _window(images.shape[-1], rng.beta(CUTMIX_ALPHA, CUTMIX_ALPHA), rng)
            mixed = images.clone()
            mixed[:, :, top:bottom, left:right] = partners(images)[:, :, top:bottom, left:right]
            return mixed, 1 - (bottom - top) * (right - left) / images.shape[-1] ** 2
        case _:
            assert_never(mixing)


def partners(batch: Tensor) -> Tensor:
    """Return what each entry of *batch* (n, ...) is blended with: the entry before it."""
    return batch.roll(1, 0)


def _window(side: int, share: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of a square of area (1 - *share*) x side^2, cut off at the image's border."""
    half = 0.5 * side * math.sqrt(1 - share)
    y, x = rng.uniform(0, side, 2)
    top, bottom, left, right = (round(min(max(edge, 0.0), side)) for edge in (y - half, y + half, x - half, x + half))
    return top, bottom, left, right
