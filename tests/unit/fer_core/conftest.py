"""Made-up faces for the learning tests: each class is a bright spot at a place of its own, in noise."""

import numpy as np
import pytest

from fer_core.data.faces import FaceSet


def draw_faces(count, size=32, seed=0, noise=40.0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 7)
    images = rng.normal(110, noise, (count, size, size, 3))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 3)
        y, x = 2 + row * size // 3, 2 + column * size // 3
        image[y : y + size // 4, x : x + size // 4] += 90
    return FaceSet(
        images=images.clip(0, 255).astype(np.uint8),
        labels=labels.astype(np.int64),
        subjects=np.array([f"s{number}" for number in range(count)]),
        groups=np.array([""] * count),
        populations=np.array([""] * count),
        mouth_open=np.full(count, -1, dtype=np.int8),
        digest=f"{count}-{size}-{seed}-{noise}",
    )


@pytest.fixture
def faces():
    """draw_faces(count, size=32, seed=0, noise=40.0) -> FaceSet."""
    return draw_faces
