"""A z-buffer in NumPy: triangles -> per pixel, which one is seen and where in it. No Python loop over triangles."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is seen at each of the p covered pixels of a size x size picture.

    ``pixels`` int64 (p,) is the flat index ``row * size + column``, ascending. ``triangles`` int64 (p,) indexes the
    triangles. ``weights`` float32 (p, 3) are the barycentric weights of its corners, each in [0, 1], with sum 1.
    """

    pixels: NDArray[np.int64]
    triangles: NDArray[np.int64]
    weights: Floats

    def interpolate(self, attribute: Floats, corners: NDArray[np.int32]) -> Floats:
        """Return the per-vertex *attribute* (n, k) at each covered pixel, (p, k); *corners* (m, 3): the triangles."""
        seen = corners[self.triangles]
        mixed = attribute[seen[:, 0]] * self.weights[:, 0:1]
        mixed += attribute[seen[:, 1]] * self.weights[:, 1:2]
        mixed += attribute[seen[:, 2]] * self.weights[:, 2:3]
        return mixed


def rasterise(points: Floats, depth: Floats, corners: NDArray[np.int32], size: int) -> Coverage:
    """Return what is seen of the front-facing triangles.

    *points* (n, 2) are pixel coordinates (x right, y down; pixel centres at .5), *depth* (n,) grows towards the viewer
    and must be positive, *corners* int32 (m, 3) are counter-clockwise in a picture with y up.

    Every pixel centre in the bounding box of every triangle is a candidate. Those inside are resolved by one
    ``maximum.at`` over the pair (depth, triangle) packed into 64 bits.
    """
    x, y = points[corners, 0], points[corners, 1]
    area = (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0]) - (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0])
    left, right = _span(x, size)
    top, bottom = _span(y, size)
    front = np.flatnonzero((area > 1e-6) & (right > left) & (bottom > top))
    width = (right - left)[front]
    count = width * (bottom - top)[front]
    start = np.cumsum(count) - count
    within = np.arange(count.sum(), dtype=np.int32) - np.repeat(start.astype(np.int32), count)
    row, column = np.divmod(within, np.repeat(width, count))
    across, down = column.astype(np.float32), row.astype(np.float32)
    slopes = np.repeat(_slopes(x[front], y[front], area[front], left[front], top[front]), count, axis=1)
    first = slopes[0] + slopes[1] * across + slopes[2] * down
    second = slopes[3] + slopes[4] * across + slopes[5] * down
    third = 1 - first - second
    inside = np.flatnonzero((first >= 0) & (second >= 0) & (third >= 0))
    owner = np.repeat(front, count)[inside]
    pixel = (row[inside] + top[owner]) * size + column[inside] + left[owner]
    weights = np.stack([first[inside], second[inside], third[inside]], axis=1)
    height = np.einsum("pk,pk->p", weights, depth[corners[owner]])
    return _nearest(pixel, owner, weights, height, size)


def _span(values: Floats, size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the first pixel whose centre is in the range of each row of *values* (m, 3), and one past the last."""
    first = np.clip(np.ceil(values.min(axis=1) - 0.5), 0, size).astype(np.int32)
    return first, np.clip(np.floor(values.max(axis=1) - 0.5) + 1, 0, size).astype(np.int32)


def _slopes(x: Floats, y: Floats, area: Floats, left: NDArray[np.int32], top: NDArray[np.int32]) -> Floats:
    """Return (6, m): for two corners of each triangle, the weight at pixel (left, top), per column and per row."""
    px, py = left + np.float32(0.5), top + np.float32(0.5)
    rows = []
    for this, that in ((2, 1), (0, 2)):
        at = (x[:, this] - px) * (y[:, that] - py) - (x[:, that] - px) * (y[:, this] - py)
        rows += [at / area, (y[:, this] - y[:, that]) / area, (x[:, that] - x[:, this]) / area]
    return np.array(rows, dtype=np.float32)


def _nearest(
    pixel: NDArray[np.int32], triangle: NDArray[np.int64], weights: Floats, height: Floats, size: int
) -> Coverage:
    """Keep, for each pixel, the candidate with the greatest *height*.

    The bits of a positive float32 order like the number, so (height, candidate) packs into one sortable integer.
    """
    key = (height.view(np.uint32).astype(np.uint64) << np.uint64(32)) | np.arange(len(pixel), dtype=np.uint64)
    best = np.zeros(size * size, dtype=np.uint64)
    np.maximum.at(best, pixel, key)
    seen = np.flatnonzero(best)
    winner = (best[seen] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return Coverage(seen, triangle[winner], weights[winner])
