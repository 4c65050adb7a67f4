"""A perceptual hash of 64 bits, and the search for pairs of like hashes."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32
"""Side of the grey thumbnail that is hashed."""
DISTANCE = 4
"""Hashes that differ in at most so many bits are a pair."""
_BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))
"""(first bit, bits) of five bands: hashes that differ in four bits agree in one band at least."""


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the grey values of *image*, uint8 (side, side, 3), as float32 (32, 32)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    method = cv2.INTER_AREA if len(grey) > SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=method), dtype=np.float32)


def perceptual_hash(image: NDArray[np.uint8]) -> int:
    """Return the hash of *image*: which of its 64 lowest frequencies (of a cosine transform) exceed their median.

    Like images have hashes that differ in few bits, whatever their size, brightness and compression (pHash; Zauner
    2010, Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.2.1).
    """
    low = cv2.dct(thumbnail(image))[:8, :8]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def like_pairs(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return all pairs of *hashes* that differ in at most ``DISTANCE`` bits: int64 (m, 2), each i < j, sorted.

    Equal hashes are compared with their first one only, so that a thousand copies make a thousand pairs. Work grows
    with the number of hashes that agree in a band of 12 or 13 bits.
    """
    values, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
    pairs = [np.stack([first[inverse][copies], copies], axis=1)]
    pairs += [np.sort(first[pair], axis=1) for pair in _banded(values)]
    return np.unique(np.concatenate(pairs), axis=0).astype(np.int64)


def _banded(values: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    for low, width in _BANDS:
        band = (values >> np.uint64(low)) & np.uint64(2**width - 1)
        order = np.argsort(band, kind="stable")
        ordered = band[order]
        starts: NDArray[np.int64] = np.arange(len(order))
        step = 1
        while len(starts := starts[starts + step < len(order)]):
            starts = starts[ordered[starts] == ordered[starts + step]]
            one, other = order[starts], order[starts + step]
            near = np.bitwise_count(values[one] ^ values[other]) <= DISTANCE
            yield np.stack([one[near], other[near]], axis=1)
            step += 1
