"""Which range belongs to which tensor: the values of torch and of LiteRT, recognised by their statistics.

Names and order are lost between torch, ONNX and LiteRT; numbers are not. The same images go through both float
networks, and two tensors are the same one when minimum, maximum, mean, root mean square and size agree image by image.
Layouts do not matter. NumPy only: used in the process that owns TensorFlow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

USUAL_SHARE = 0.9
"""Activation ranges cover the extremes of this share of the calibration images.

A few images drive activations 20 times as high as the others do; ranges that cover them leave the others with a dozen
of the 256 levels. Measured on trained networks at 64 px, argmax agreement of int8 with torch (+-0.006) for shares
1 / 0.95 / 0.9 / 0.8: MobileNetV3-Small 0.870 / 0.954 / 0.944 / 0.950, MobileNetV2 0.979 / 0.983 / 0.980 / 0.983,
EfficientNet-B0 0.967 / 0.975 / 0.983 / 0.968. A percentile of single values and a least-squares fit did worse.
"""

INPUT_RANGE = (-128 / 127, 1.0)
"""Makes the int8 input round(127 x value). Its 255 levels lie between pixels at one place only, in the middle; with the
range (-1, 1) every pixel value lies half-way between two levels, and rounding merges them in pairs."""

TOLERANCE = 1e-3
"""Largest difference of the statistics of two tensors that are the same, relative to their root mean square.

Float rounding makes 1e-5 (trained networks at 64 px); the nearest two different tensors were 1e-2 apart.
"""
PROBES = 4
"""Images by which tensors are recognised."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LearnedRanges:
    """The int8 grids of a network that was trained with them.

    ``ranges`` is (grids, 2): low and high of each. Grid ``grid_of[i]`` holds the values whose ``moments`` over the
    probe images are ``moments[i]``, (images, 5); several values may share a grid. ``probes`` are these images, uint8.
    """

    ranges: Floats
    grid_of: tuple[int, ...]
    moments: Floats
    probes: NDArray[np.uint8]


def moments(values: NDArray[np.float32]) -> Floats:
    """Return minimum, maximum, mean, root mean square and size of the *values* of one image, (5,)."""
    precise = values.astype(np.float64)
    return np.array([precise.min(), precise.max(), precise.mean(), np.sqrt(np.square(precise).mean()), precise.size])


def grids_of(found: Floats, groups: Sequence[Sequence[int]], learned: LearnedRanges) -> list[int | None]:
    """Return the grid of each of *groups*, ``None`` for one that no learned grid fits.

    *found* is (tensors, images, 5): their moments. A group lists tensors that must share one grid: the grid is
    one that fits all members that any grid fits; of several (equal values have equal moments) the nearest.
    """
    distance = _distances(found, learned.moments)
    best = np.full((len(found), len(learned.ranges)), np.inf)
    for point, grid in enumerate(learned.grid_of):
        best[:, grid] = np.minimum(best[:, grid], distance[:, point])
    return [_common(best[list(members)]) for members in groups]


def _common(distance: Floats) -> int | None:
    """Return the grid that fits all rows of *distance* (tensors, grids) that any grid fits."""
    known = distance[(distance <= TOLERANCE).any(axis=1)]
    worst = known.max(axis=0, initial=0.0)
    return int(worst.argmin()) if len(known) and worst.min() <= TOLERANCE else None


def _distances(found: Floats, expected: Floats) -> Floats:
    """Return (tensors, points): the largest difference of moments over the images, infinite where sizes differ."""
    scale = expected[:, :, 3].max(axis=1) + 1e-6
    values = np.abs(found[:, None, :, :4] - expected[None, :, :, :4]).max(axis=(2, 3)) / scale
    same_size = found[:, None, 0, 4] == expected[None, :, 0, 4]
    return np.where(same_size, values, np.inf)
