"""Images that show what another image shows: the same bytes, or alike. Inside a set and across sets.

A perceptual hash proposes pairs, the pixels decide: posed photographs of one person have like hashes too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.data.hashing import SIDE, like_pairs, thumbnail
from fer_core.data.pixels import Images

ALIKE = 0.985
"""Correlation of two grey thumbnails (32 x 32) from which on they show the same photograph. In FER2013, where 168 pairs
of like hash lie above it beside the exact ones, all pairs looked at did, down to 0.98; rendered faces have none."""
FLAT = 2.0
"""Thumbnails whose grey values deviate less show nothing: their correlation means nothing."""
_BLOCK = 4096  # pairs whose thumbnails are compared at once


@dataclass(frozen=True, slots=True)
class Found:
    """Per image: the row of the image that it repeats, or -1; and whether it does so byte by byte."""

    original: NDArray[np.int64]
    exact: NDArray[np.bool_]


def find_duplicates(
    images: Images, identities: Sequence[str], hashes: NDArray[np.uint64], films: Sequence[str]
) -> Found:
    """Find, for each of *images*, the first one that shows the same.

    *identities* are equal where images come from the same bytes, *hashes* are perceptual ones (uint64). Frames of
    one film (*films*: its name, ``""`` for a photograph) look alike by nature and are never compared with each other.
    """
    count = len(identities)
    original = np.full(count, -1, dtype=np.int64)
    _, first, inverse = np.unique(np.asarray(identities, dtype=np.str_), return_index=True, return_inverse=True)
    repeats = first[inverse] != np.arange(count)
    original[repeats] = first[inverse][repeats]
    exact = original >= 0
    rows = np.flatnonzero(~exact)
    pairs = rows[like_pairs(hashes[rows])]
    film = np.asarray(films, dtype=np.str_)
    pairs = pairs[(film[pairs[:, 0]] != film[pairs[:, 1]]) | (film[pairs[:, 0]] == "")]
    for one, other in pairs[_alike(images, pairs)].tolist():  # ascending: the kept come before what repeats them
        if original[one] < 0 and original[other] < 0:
            original[other] = one
    return Found(original, exact)


def _alike(images: Images, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    verdicts = [np.zeros(0, dtype=np.bool_)]
    for start in range(0, len(pairs), _BLOCK):
        block = pairs[start : start + _BLOCK]
        rows, places = np.unique(block, return_inverse=True)
        shown = np.stack([thumbnail(image) for image in images[rows]]).reshape(len(rows), SIDE * SIDE)
        shown -= shown.mean(axis=1, keepdims=True)
        spread = shown.std(axis=1)
        one, other = places.reshape(block.shape).T
        covariance = np.einsum("ij,ij->i", shown[one], shown[other]) / (SIDE * SIDE)
        least = np.minimum(spread[one], spread[other])
        verdicts.append((least > FLAT) & (covariance > ALIKE * spread[one] * spread[other]))
    return np.concatenate(verdicts)
