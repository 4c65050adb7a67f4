"""Weight clustering: the weights of a layer share a few values, its centroids.

The idea of Han, Mao and Dally, "Deep compression" (ICLR 2016, https://arxiv.org/abs/1510.00149), section 3. A layer
with k centroids needs log2(k) bits per weight after entropy coding, as in an app package; the .tflite itself does not
shrink. Export folds batch norms into the weights, channel by channel: in the file, at most k values per channel remain.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fer_core.compression.pruning import weighted_layers

ITERATIONS = 100
"""Bound on Lloyd's iterations; one-dimensional layers settle in 20 to 60."""


class Shared(nn.Module):
    """A parametrization: the weight is looked up in a vector of centroids.

    What is trained are the centroids: the gradient of a centroid is the sum over its weights, and assignments
    never change. With *holds_zero* the centroid 0 is the constant zero and is not trained.
    """

    assignments: Tensor

    def __init__(self, assignments: Tensor, *, holds_zero: bool) -> None:
        super().__init__()
        self.register_buffer("assignments", assignments)
        self.holds_zero = holds_zero

    def forward(self, centroids: Tensor) -> Tensor:
        """Return the weight for *centroids* (k,), or (k - 1,) when the constant zero comes first."""
        if self.holds_zero:
            centroids = torch.cat([centroids.new_zeros(1), centroids])
        return centroids.index_select(0, self.assignments.flatten()).view(self.assignments.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the mean of *weight* over each cluster: the trainable centroids."""
        flat = self.assignments.flatten()
        count = int(flat.max()) + 1
        sums = torch.zeros(count, dtype=torch.float64, device=weight.device)
        sums.index_add_(0, flat, weight.flatten().double())
        means = (sums / torch.bincount(flat, minlength=count)).to(weight.dtype)
        return means[1:] if self.holds_zero else means


def share_weights(model: nn.Module, clusters: int) -> None:
    """Let the weights of each layer of *model* share at most *clusters* values, in place, until ``pruning.bake``.

    In a layer with zeros (that was pruned) zero is one of the values, and every zero stays one.
    """
    for _, module, weight in list(weighted_layers(model)):
        assignments, holds_zero = assign(weight.cpu().numpy(), clusters)
        shared = Shared(torch.from_numpy(assignments).to(weight.device), holds_zero=holds_zero)
        parametrize.register_parametrization(module, "weight", shared)


def assign(weight: NDArray[np.float32], clusters: int) -> tuple[NDArray[np.int64], bool]:
    """Return each weight's cluster, int64 of the same shape without gaps, and whether cluster 0 is exactly zero."""
    zero = weight == 0
    if not zero.any():
        return _gapless(nearest(weight, kmeans(weight, clusters))), False
    assignments = np.zeros(weight.shape, dtype=np.int64)
    if not zero.all():
        values = weight[~zero]
        assignments[~zero] = 1 + _gapless(nearest(values, kmeans(values, max(1, clusters - 1))))
    return assignments, True


def kmeans(values: NDArray[np.floating], clusters: int) -> NDArray[np.float64]:
    """Return at most *clusters* centroids of *values*, sorted, float64.

    Lloyd's algorithm in one dimension, where a cluster is an interval of the sorted values, so an iteration costs
    O(clusters x log n) by prefix sums. It starts where the best centroids of many values lie: with a density that
    follows the cube root of the density of the values (Panter and Dite, "Quantization distortion in pulse-count
    modulation", 1951). The gaps between sorted values, to the power of 2/3, add up to the integral of that cube root.
    No chance is involved.
    """
    ordered = np.sort(values, axis=None).astype(np.float64)
    distinct = np.unique(ordered)
    if len(distinct) <= clusters:
        return distinct
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    cube_root = np.concatenate([[0.0], np.cumsum(np.diff(distinct) ** (2 / 3))])
    turn = np.arange(clusters)
    start = np.searchsorted(cube_root, (turn + 0.5) / clusters * cube_root[-1])
    start = np.minimum(np.maximum.accumulate(start - turn) + turn, len(distinct) - clusters + turn)  # all different
    return _lloyd(ordered, sums, distinct[start])


def _lloyd(
    ordered: NDArray[np.float64], sums: NDArray[np.float64], centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    for _ in range(ITERATIONS):
        inner = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2, side="right")
        edges = np.concatenate([[0], inner, [len(ordered)]])
        counts = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(counts, 1)
        moved = np.where(counts > 0, means, centroids)  # a centroid without values waits where it is
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def nearest(values: NDArray[np.floating], centroids: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index of the centroid nearest to each of *values*; *centroids* are sorted."""
    return np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values, side="left")


def squared_error(values: NDArray[np.floating], centroids: NDArray[np.float64]) -> float:
    """Return the sum of squared distances of *values* to their nearest centroids: what k-means minimises."""
    return float(np.square(values - centroids[nearest(values, centroids)]).sum())


def _gapless(assignments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumber the clusters in use from 0, keeping their order."""
    return np.unique(assignments, return_inverse=True)[1].reshape(assignments.shape)


def values_per_layer(model: nn.Module) -> dict[str, int]:
    """Return how many different values the weight of each layer holds."""
    return {name: len(torch.unique(weight)) for name, _, weight in weighted_layers(model)}
