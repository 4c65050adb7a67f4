"""What quantization needs before the converter does it: the images that show it which values activations take."""

import numpy as np
from numpy.typing import NDArray

from fer_core.data.faces import FaceSet


def calibration_images(faces: FaceSet, n: int, seed: int) -> NDArray[np.uint8]:
    """Return *n* images of *faces*, uint8 (n, size, size, 3): the same number of each class where there are enough.

    Classes with too few images give all they have; a set with fewer than *n* images is returned whole.
    """
    shuffled = np.random.default_rng(seed).permutation(len(faces))
    labels = faces.labels[shuffled]
    turn = np.empty(len(faces), dtype=np.int64)  # the how-manieth of its class an image is
    for label in np.unique(labels):
        members = labels == label
        turn[members] = np.arange(members.sum())
    chosen = shuffled[np.lexsort((labels, turn))[:n]]
    return np.ascontiguousarray(faces.images[np.sort(chosen)])
