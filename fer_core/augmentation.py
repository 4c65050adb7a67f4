"""Random variations of a batch of faces, computed in torch for the whole batch at once.

A face keeps its expression when it is mirrored, turned a little, moved, scaled, lit otherwise or partly covered.
Geometry is one affine resampling per image; every amount is drawn uniformly and independently per image.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812 - the name that every torch user knows

from fer_core.specs import Augmentation


@dataclass(frozen=True, slots=True)
class Strength:
    """How far images may vary.

    Either way: ``rotation`` in degrees, ``scale`` and ``contrast`` as relative change, ``shift`` as a fraction of the
    side, ``brightness`` as a fraction of the full range. ``covered`` is the largest side of the grey square that hides
    a part of every second image, as a fraction of the image's side.
    """

    rotation: float
    scale: float
    shift: float
    brightness: float
    contrast: float
    covered: float = 0.0


STRENGTHS: dict[Augmentation, Strength | None] = {
    "none": None,
    "light": Strength(rotation=8, scale=0.08, shift=0.05, brightness=0.08, contrast=0.15),
    "strong": Strength(rotation=15, scale=0.15, shift=0.08, brightness=0.15, contrast=0.3, covered=0.4),
}
"""House values; the mirror image is part of ``light`` and ``strong``."""


def augment(images: Tensor, strength: Strength | None, generator: Generator) -> Tensor:
    """Return varied *images*: float (n, 3, side, side) in [-1, 1], the same shape, range and memory format.

    The variation depends on nothing but the arguments; *generator* must live on the CPU. ``None`` returns *images*.
    """
    if strength is None:
        return images
    matrices = affine_matrices(len(images), strength, generator).to(images.device)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    varied = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    varied = _relit(varied, strength, generator).clamp_(-1, 1)
    if strength.covered:
        _cover(varied, strength.covered, generator)
    return varied.contiguous(memory_format=torch.channels_last)


def affine_matrices(count: int, strength: Strength, generator: Generator) -> Tensor:
    """Return float (count, 2, 3): where in the input each output pixel is read, in coordinates from -1 to 1."""
    angle = _between(count, strength.rotation * math.pi / 180, generator)
    zoom = 1 + _between(count, strength.scale, generator)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    across, down = _between(count, 2 * strength.shift, generator), _between(count, 2 * strength.shift, generator)
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    rows = [mirror * cosine, -sine, across, mirror * sine, cosine, down]
    return torch.stack(rows, dim=1).view(count, 2, 3)


def _between(count: int, amount: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * amount


def _relit(images: Tensor, strength: Strength, generator: Generator) -> Tensor:
    """Change brightness and contrast around each image's own mean."""
    count, device = len(images), images.device
    gain = (1 + _between(count, strength.contrast, generator)).to(device)[:, None, None, None]
    # the full range is 2 wide: from -1 to 1
    offset = _between(count, 2 * strength.brightness, generator).to(device)[:, None, None, None]
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.addcmul(mean + offset, images - mean, gain)


def _cover(images: Tensor, largest: float, generator: Generator) -> None:
    """Grey out a square in every second image, in place; its side is uniform up to *largest* x the image's side."""
    side = images.shape[-1]
    draws = torch.rand(len(images), 4, generator=generator).tolist()
    for image, (chance, extent, top, left) in zip(images, draws, strict=True):
        if chance < 0.5:
            length = round(extent * largest * side)
            y, x = int(top * (side - length + 1)), int(left * (side - length + 1))
            image[:, y : y + length, x : x + length] = 0.0
