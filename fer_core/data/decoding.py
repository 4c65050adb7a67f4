"""One photograph -> its pixels, upright, in RGB. Strict about truncation and size, cheap for large photographs."""

import hashlib
import io
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.errors import DataError

type Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

MAX_PIXELS = 80_000_000
"""Larger photographs are refused by their header, before memory is spent. The largest phone cameras bin to 50 MP."""
MAX_BYTES = 256 * 2**20
"""Larger files are no photograph and are not read."""

warnings.filterwarnings("error", category=Image.DecompressionBombWarning)  # Pillow's own, higher, border

_ORIENTATION = 0x0112
_ENDINGS = MappingProxyType(
    {
        ".jpg": {"JPEG", "MPO"},
        ".jpeg": {"JPEG", "MPO"},
        ".png": {"PNG"},
        ".bmp": {"BMP", "DIB"},
        ".tif": {"TIFF"},
        ".tiff": {"TIFF"},
        ".webp": {"WEBP"},
    }
)


@dataclass(frozen=True, slots=True)
class Picture:
    """Decoded pixels, uint8 (h, w, 3) RGB upright, the SHA-256 of what they were decoded from, and its oddities.

    ``remark`` says what is unusual about a file that could be used all the same: ``""`` if nothing is.
    """

    pixels: NDArray[np.uint8]
    sha256: str
    remark: str = ""


def photograph(path: Path, least: int, box: Box | None = None) -> Picture:
    """Decode the photograph at *path*, or its part in *box* (in pixels as stored), and turn it upright.

    Pillow decodes because it refuses a truncated file, which OpenCV fills with grey and passes on. A JPEG is decoded at
    the smallest of 1/1, 1/2, 1/4, 1/8 of its size that keeps at least *least* pixels a side (of the box, if there is
    one). What lies outside of the photograph repeats its edge.

    Raises:
        DataError: the file is no image, is truncated, is too large, or cannot be read.
    """
    try:
        content = _read(path)
        with Image.open(io.BytesIO(content)) as image:
            pixels, remark = _decoded(image, path.suffix, least, box)
    except DataError:
        raise
    except Exception as error:  # a decoder may raise anything on hostile bytes
        raise DataError(f"{path}: cannot be decoded: {_reason(error)}") from error
    return Picture(pixels, hashlib.sha256(content).hexdigest(), remark)


def _read(path: Path) -> bytes:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise DataError(f"{path}: is no regular file")
    if about.st_size > MAX_BYTES:
        raise DataError(f"{path}: is larger than {MAX_BYTES // 2**20} MB: no photograph")
    if about.st_size == 0:
        raise DataError(f"{path}: is empty (0 bytes)")
    return path.read_bytes()


def _decoded(image: Image.Image, ending: str, least: int, box: Box | None) -> tuple[NDArray[np.uint8], str]:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels are more than {MAX_PIXELS:,}; scale it down first")
    part = least / max(1.0, min(box[2] - box[0], box[3] - box[1])) if box else least / min(width, height)
    remarks = [_oddity(image, ending)]
    image.draft("RGB", (int(width * part), int(height * part)))
    turn = _orientation(image)
    if turn != 1:
        remarks.append("turned by its EXIF orientation")
    pixels = _rgb(image)
    if box:
        across, down = image.width / width, image.height / height
        pixels = cut(pixels, (box[0] * across, box[1] * down, box[2] * across, box[3] * down))
    return _upright(pixels, turn), "; ".join(filter(None, remarks))


def _oddity(image: Image.Image, ending: str) -> str:
    expected = _ENDINGS.get(ending.lower())
    if expected and image.format not in expected:
        return f"{image.format} named {ending}"
    if image.mode == "CMYK":
        return "CMYK"
    return "16 bits a pixel" if image.mode.startswith("I") else ""


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert any mode; 16 bits are scaled (Pillow would clip them), transparency is dropped."""
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        grey = (grey / (257 if grey.max() > 255 else 1)).round().clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., np.newaxis], 3, axis=2)
    opaque = image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
    return np.asarray(opaque.convert("RGB"), dtype=np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  a broken EXIF block does not make the photograph unusable
        return 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an orientation as EXIF 2.32 numbers them (1 to 8; others mean "as stored")."""
    flipped = pixels[:, ::-1] if orientation in {2, 4, 5, 7} else pixels
    quarters = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(flipped, quarters))


def cut(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Return the part of *pixels* (h, w, 3) in *box*, with the edge repeated where the box leaves the image.

    Raises:
        ValueError: the box does not touch the image, or has no area.
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = (round(number) for number in box)
    if left >= min(right, width) or top >= min(bottom, height) or right <= 0 or bottom <= 0:
        raise ValueError(f"the box {left} {top} {right} {bottom} holds no pixel of {width} x {height}")
    if right - left > 2 * width or bottom - top > 2 * height:
        raise ValueError(f"the box {left} {top} {right} {bottom} is larger than the image of {width} x {height}")
    inside = pixels[max(0, top) : bottom, max(0, left) : right]
    beyond = ((max(0, -top), max(0, bottom - height)), (max(0, -left), max(0, right - width)), (0, 0))
    return np.pad(inside, beyond, mode="edge") if any(map(any, beyond)) else inside


def _reason(error: Exception) -> str:
    """The reason in the decoder's words, without the memory address of the stream that Pillow was given."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).partition(" <_io.BytesIO")[0].strip()
    return text or type(error).__name__
