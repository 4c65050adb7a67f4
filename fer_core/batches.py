"""Which images an epoch shows, in which order, and how they become tensors. No DataLoader: slices of a memory map."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_core.labels import EXPRESSIONS


def to_input(images: NDArray[np.uint8], device: str | torch.device = "cpu") -> Tensor:
    """Return *images* uint8 (n, side, side, 3) as network input: float32 (n, 3, side, side), pixel / 127.5 - 1.

    The result is a channels-last tensor, the layout in which the pixels already lie.
    """
    pixels = torch.from_numpy(np.require(images, requirements=["C", "W"])).to(device)  # a read-only map is copied
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def class_quotas(counts: NDArray[np.int64], balance: float) -> NDArray[np.int64]:
    """Return how many images of each class an epoch shows, int64 (classes,); the sum is that of *counts*.

    The share of a class is (1 - balance) x its frequency + balance / (number of classes present), rounded by the
    method of largest remainders. Classes without images get none.
    """
    total = int(counts.sum())
    present = counts > 0
    shares = (1 - balance) * counts / total + balance * present / present.sum()
    exact = shares * total
    quotas: NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
    missing = total - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:missing]] += 1
    return quotas


def epoch_order(labels: NDArray[np.int64], balance: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the rows that one epoch shows, int64 (n,), shuffled.

    Every class gets its quota (``class_quotas``): no image of a class appears twice before each has appeared
    once. With ``balance`` 0 this is a permutation.
    """
    quotas = class_quotas(np.bincount(labels, minlength=len(EXPRESSIONS)), balance)
    chosen = []
    for label, quota in enumerate(quotas):
        rows = np.flatnonzero(labels == label)
        rounds = -(-int(quota) // len(rows)) if len(rows) else 0
        chosen.extend([rng.permutation(rows)[: quota - turn * len(rows)] for turn in range(rounds)])
    return rng.permutation(np.concatenate(chosen))
