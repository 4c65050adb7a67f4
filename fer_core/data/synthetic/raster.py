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
    left = np.clip(np.ceil(x.min(axis=1) - 0.5), 0, size).astype(np.int64)
    right = np.clip(np.floor(x.max(axis=1) - 0.5) + 1, 0, size).astype(np.int64)
    top = np.clip(np.ceil(y.min(axis=1) - 0.5), 0, size).astype(np.int64)
    bottom = np.clip(np.floor(y.max(axis=1) - 0.5) + 1, 0, size).astype(np.int64)
    front = np.flatnonzero((area > 1e-6) & (right > left) & (bottom > top))
    width = (right - left)[front]
    count = width * (bottom - top)[front]
    triangle = np.repeat(front, count)
    within = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count)
    span = np.repeat(width, count)
    rows, columns = within // span, within % span
    rows += top[triangle]
    columns += left[triangle]
    weights = _barycentric(x, y, area, triangle, np.stack([columns, rows]) + np.float32(0.5))
    inside = np.flatnonzero((weights >= 0).all(axis=1))
    triangle, weights = triangle[inside], weights[inside]
    pixel = rows[inside] * size + columns[inside]
    height = (weights * depth[corners[triangle]]).sum(axis=1, dtype=np.float32)
    return _nearest(pixel, triangle, weights, height, size)


def _barycentric(x: Floats, y: Floats, area: Floats, triangle: NDArray[np.int64], points: Floats) -> Floats:
    """Return the weights (c, 3) of the corners of *triangle* at the candidate *points* (2, c)."""
    px, py = points
    x, y, scale = x[triangle], y[triangle], 1 / area[triangle]
    first = ((x[:, 2] - px) * (y[:, 1] - py) - (x[:, 1] - px) * (y[:, 2] - py)) * scale
    second = ((x[:, 0] - px) * (y[:, 2] - py) - (x[:, 2] - px) * (y[:, 0] - py)) * scale
    return np.stack([first, second, 1 - first - second], axis=1).astype(np.float32)


def _nearest(
    pixel: NDArray[np.int64], triangle: NDArray[np.int64], weights: Floats, height: Floats, size: int
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
