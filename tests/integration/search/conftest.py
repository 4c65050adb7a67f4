"""Tiny sets of faces on disk: coarse random pictures, one palette per expression, in the layouts of real sets."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from search.config import StudyConfig

WORDS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")

MINI = """\
name = "mini"
objectives = ["f1", "latency"]

[budget]
trials = 3
concurrency = 1
ahead = 1

[sampler]
startup_trials = 2

[data]
evaluation = { layout = "cafe", path = "faces/cafe" }

[[data.training]]
layout = "folders"
path = "faces/children"
population = "children"
subject_pattern = '(?P<subject>C\\d+)_'

[space]
architecture = ["mobilenetv3_small_100"]
input_size = [48]
quantization = ["float32", "int8"]
calibration_images = 8

[space.training]
epochs = 2
batch_size = 16
"""


def _picture(rng: np.random.Generator, label: int) -> np.ndarray:
    coarse = rng.integers(0, 60, (6, 6, 3))
    coarse[:, :, label % 3] += 60 + 20 * label
    return np.kron(coarse, np.ones((10, 10, 1))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def faces_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``faces/cafe`` (8 children) and ``faces/children`` (12 children), 7 pictures of each child."""
    root = tmp_path_factory.mktemp("mini")
    rng = np.random.default_rng(0)
    session = root / "faces" / "cafe" / "sessions" / "6001"
    session.mkdir(parents=True)
    for label, word in enumerate(WORDS):
        folder = root / "faces" / "children" / "train" / word
        folder.mkdir(parents=True)
        for child in range(12):
            cv2.imwrite(str(folder / f"C{child:02d}_{label}.png"), _picture(rng, label))
        for child in range(8):
            name = f"{1000 + 10 * child + label}-{word}_{'FM'[child % 2]}-{('EA', 'AA')[child % 2]}-{child:02d}.png"
            cv2.imwrite(str(session / name), _picture(rng, label))
    (root / "mini.toml").write_text(MINI)
    return root


@pytest.fixture(scope="session")
def mini(faces_folder: Path) -> StudyConfig:
    """A study of those faces that takes a minute."""
    return StudyConfig.load(faces_folder / "mini.toml")
