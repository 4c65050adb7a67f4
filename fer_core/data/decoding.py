"""One photograph -> one small square RGB array. Strict about truncation, cheap for large photographs."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fer_core.errors import DataError


def decode(path: Path, size: int) -> NDArray[np.uint8]:
    """Return the photograph at *path* as uint8 (size, size, 3) RGB: upright, centre square crop, area-resampled.

    Pillow decodes because it refuses a truncated file, which OpenCV fills with grey and passes on. A
    JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 of its size that keeps at least ``2 * size`` pixels a side.

    Raises:
        DataError: the file is no image, is truncated, or cannot be read.
    """
    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * size, 2 * size))
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(upright.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be decoded: {_short(error, path)}") from error
    return square(pixels, size)


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


def _short(error: Exception, path: Path) -> str:
    """The reason in the decoder's words, without the path that our own message already names."""
    return str(error).replace(repr(str(path)), "file").strip() or type(error).__name__
