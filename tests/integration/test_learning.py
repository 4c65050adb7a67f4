"""All five networks learn within a short training, from nothing, and stay useful when they are compressed."""

from typing import get_args

import numpy as np
import pytest

from fer_core.compression.compress import compress
from fer_core.compression.pruning import sparsity
from fer_core.compression.weight_clustering import values_per_layer
from fer_core.data.faces import FaceSet
from fer_core.models.build import build
from fer_core.specs import ArchitectureName, ArchitectureSpec, CompressionSpec, TrainingSpec
from fer_core.training import fit, validate

pytestmark = pytest.mark.slow
SIZE = 48


def spots(count, seed):
    """Each class is a bright spot at a place of its own, in noise."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 7)
    images = rng.normal(110, 30, (count, SIZE, SIZE, 3))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 3)
        image[2 + row * 16 : 14 + row * 16, 2 + column * 16 : 14 + column * 16] += 90
    unknown = np.array([""] * count)
    return FaceSet(
        images=images.clip(0, 255).astype(np.uint8),
        labels=labels.astype(np.int64),
        subjects=np.arange(count).astype(str),
        groups=unknown,
        populations=unknown,
        mouth_open=np.full(count, -1, dtype=np.int8),
        digest=f"{count} {seed}",
    )


def trained(name, train, validation, spec):
    model = build(ArchitectureSpec(name=name, input_size=SIZE))
    reports = list(fit(model, train, validation, spec))
    return model, reports[-1].val_f1


SPEC = TrainingSpec(epochs=5, batch_size=32, learning_rate=4e-3, augmentation="none")


@pytest.mark.parametrize("name", get_args(ArchitectureName))
def test_learns_from_nothing(name):
    _, f1 = trained(name, spots(336, seed=0), spots(70, seed=1), SPEC)
    assert f1 > 0.4  # chance is 0.14


def test_survives_compression():
    train, validation = spots(448, seed=0), spots(140, seed=1)
    model, before = trained("mobilenetv3_small_100", train, validation, SPEC.model_copy(update={"epochs": 8}))
    small = compress(model, CompressionSpec(pruning="magnitude", pruning_ratio=0.5, clusters=32), SPEC, train)
    assert before > 0.7
    assert validate(small, validation)[0] > before - 0.1
    assert sparsity(small) == pytest.approx(0.5, abs=1e-5)
    assert max(values_per_layer(small).values()) == 32
