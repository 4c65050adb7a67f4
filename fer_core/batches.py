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


def quotas(counts: NDArray[np.int64], balance: float, total: int | None = None) -> NDArray[np.int64]:
    """Return how many images of each class (or group) are shown, int64 (classes,), *total* in all (default: all).

    The share of a class is (1 - balance) x its frequency + balance / (number of classes present), rounded by the
    method of largest remainders. Classes without images get none.
    """
    images = int(counts.sum())
    total = images if total is None else total
    present = counts > 0
    shares = (1 - balance) * counts / images + balance * present / present.sum()
    exact = shares * total
    rounded: NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
    missing = total - int(rounded.sum())
    rounded[np.argsort(rounded - exact, kind="stable")[:missing]] += 1
    return rounded


def epoch_order(
    labels: NDArray[np.int64],
    balance: float,
    rng: np.random.Generator,
    *,
    groups: NDArray[np.str_] | None = None,
    group_balance: float = 0.0,
) -> NDArray[np.int64]:
    """Return the rows that one epoch shows, int64 (n,), shuffled.

    Every class gets its quota by *balance*; where *group_balance* is above 0, the quota of a class is shared out among
    the *groups* (one entry per row; unknown ones, ``""``, are a group) that it shows, by *group_balance*. No image of a
    class and group appears twice before each has appeared once. With both 0 this is a permutation.
    """
    chosen = []
    for label, quota in enumerate(quotas(np.bincount(labels, minlength=len(EXPRESSIONS)), balance).tolist()):
        rows = np.flatnonzero(labels == label)
        if groups is None or group_balance == 0 or len(rows) == 0:
            chosen += _dealt(rows, quota, rng)
            continue
        _, codes = np.unique(groups[rows], return_inverse=True)
        for code, share in enumerate(quotas(np.bincount(codes), group_balance, quota).tolist()):
            chosen += _dealt(rows[codes == code], share, rng)
    return rng.permutation(np.concatenate(chosen))


def _dealt(rows: NDArray[np.int64], quota: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return *quota* of *rows*: as many whole rounds of all as fit, then a part of one."""
    rounds = -(-quota // len(rows)) if len(rows) else 0
    return [rng.permutation(rows)[: quota - turn * len(rows)] for turn in range(rounds)]
