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

    Either way: ``rotation`` in degrees, ``scale``, ``contrast`` and ``saturation`` as relative change, ``shift`` as a
    fraction of the side, ``brightness`` as a fraction of the full range. ``covered`` is the largest share of the area
    that a grey rectangle hides in every second image: "random erasing", Zhong et al. (https://arxiv.org/abs/1708.04896).
    """

    rotation: float
    scale: float
    shift: float
    brightness: float
    contrast: float
    saturation: float = 0.0
    covered: float = 0.0


STRENGTHS: dict[Augmentation, Strength | None] = {
    "none": None,
    "light": Strength(rotation=8, scale=0.08, shift=0.05, brightness=0.08, contrast=0.15, saturation=0.15),
    "strong": Strength(rotation=15, scale=0.15, shift=0.08, brightness=0.15, contrast=0.3, saturation=0.4, covered=0.2),
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
        hidden = _hidden(len(images), images.shape[-1], strength.covered, generator).to(images.device)
        varied = varied.masked_fill_(hidden, 0.0)
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
    """Change saturation around each pixel's grey, then brightness and contrast around each image's own mean."""
    count, device = len(images), images.device
    saturation, gain, offset = (
        _between(count, amount, generator).to(device)[:, None, None, None]
        for amount in (strength.saturation, strength.contrast, 2 * strength.brightness)  # the range is 2 wide: -1 to 1
    )
    images = torch.lerp(images.mean(1, keepdim=True).expand_as(images), images, 1 + saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.addcmul(mean + offset, images - mean, 1 + gain)


def _hidden(count: int, side: int, largest: float, generator: Generator) -> Tensor:
    """Return what is hidden, bool (count, 1, side, side): in every second image a rectangle.

    Its area is uniform up to *largest* of the image, the logarithm of its aspect ratio uniform between 0.5 and 2.
    """
    chance, area, aspect, top, left = torch.rand(5, count, generator=generator)
    ratio = 2.0 ** (2 * aspect - 1)
    pixels = area * largest * side**2
    height, width = ((pixels * factor).sqrt().round().clamp_max(side) for factor in (ratio, 1 / ratio))
    place = torch.arange(side)

    def within(start: Tensor, length: Tensor) -> Tensor:
        first = (start * (side - length + 1)).floor()[:, None]
        return (place >= first) & (place < first + length[:, None])

    rows, columns = within(top, height) & (chance < 0.5)[:, None], within(left, width)
    return torch.logical_and(rows[:, None, :, None], columns[:, None, None, :])
