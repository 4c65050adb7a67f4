"""A picture -> a square face: the centre, a given box, or what the detector finds, turned until the eyes are level."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_core.data.decoding import Box
from fer_core.data.detector import Face, detect
from fer_core.data.sources import Cropping

Cropped = Literal["centre", "box", "detected", "fallback"]
"""What was done: ``fallback`` is a centre crop where a face or a box was asked for and there is none."""

BOX_MARGIN = 1.2
"""Side of the crop over the longer side of a set's own face box."""
FACE_MARGIN = 1.35
"""The same for the detector's box, which ends at the eyebrows."""
SEARCH_MARGIN = 2.0
"""Where a box is known and a face is asked for, it is sought in the box enlarged by this."""
STEEPEST = 45.0
"""Eyes further from level than this, in degrees, are a detector's error: such a face is not turned."""


def square(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Crop the centre square of *pixels*, uint8 (h, w, 3), and resample it to (size, size, 3)."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    crop = pixels[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(crop)
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (size, size), interpolation=method), dtype=np.uint8)


def square_around(box: Box, margin: float) -> Box:
    """Return the square around the centre of *box* whose side is *margin* times the longer side of the box."""
    left, top, right, bottom = box
    half = max(right - left, bottom - top) * margin / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - half, y - half, x + half, y + half


def region(how: Cropping, box: Box | None) -> Box | None:
    """Return the part of a picture that has to be decoded: all of it (``None``), or the surroundings of its *box*."""
    if box is None or how == "centre":
        return None
    return square_around(box, BOX_MARGIN if how == "box" else SEARCH_MARGIN)


def crop(pixels: NDArray[np.uint8], size: int, how: Cropping, *, boxed: bool) -> tuple[NDArray[np.uint8], Cropped]:
    """Return the face in *pixels*, uint8 (h, w, 3), as (size, size, 3), and how it was found.

    *boxed*: *pixels* are the region that :func:`region` named, not the whole picture.
    """
    if how == "detect":
        face = detect(pixels)
        if face is not None:
            return aligned(pixels, face, size), "detected"
        if boxed:
            inner = round(min(pixels.shape[:2]) * BOX_MARGIN / SEARCH_MARGIN)
            top, left = (pixels.shape[0] - inner) // 2, (pixels.shape[1] - inner) // 2
            return square(pixels[top : top + inner, left : left + inner], size), "box"
        return square(pixels, size), "fallback"
    if how == "box":
        return square(pixels, size), "box" if boxed else "fallback"
    return square(pixels, size), "centre"


def aligned(pixels: NDArray[np.uint8], face: Face, size: int) -> NDArray[np.uint8]:
    """Cut *face* out of *pixels*: its box with a margin, turned around the centre until the eyes are level.

    What lies outside of the picture repeats its edge. A large face is scaled down by area first, because the warp
    interpolates and would alias.
    """
    side = FACE_MARGIN * max(face.right - face.left, face.bottom - face.top)
    shrink = min(1.0, 2 * size / side)
    if shrink < 1:
        height, width = (max(1, round(length * shrink)) for length in pixels.shape[:2])
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    centre = ((face.left + face.right) / 2 * shrink, (face.top + face.bottom) / 2 * shrink)
    angle = face.tilt if abs(face.tilt) <= STEEPEST else 0.0
    matrix = cv2.getRotationMatrix2D(centre, angle, size / (side * shrink))
    matrix[:, 2] += size / 2 - np.array(centre)
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(pixels, matrix, (size, size), flags=flags, borderMode=border), dtype=np.uint8)
