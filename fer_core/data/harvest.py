"""Examples -> faces: read each file once, crop, hash. What cannot be used becomes a reason, never an exception."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched, groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core.data.cropping import crop, region, square
from fer_core.data.decoding import Picture, cut, photograph
from fer_core.data.faces import Example, Skipped
from fer_core.data.frames import table_row, video_frames
from fer_core.data.hashing import perceptual_hash
from fer_core.data.manifest import Entry
from fer_core.data.sources import Cropping
from fer_core.errors import DataError

_BLOCK = 1024  # images decoded ahead, which bounds memory

type Harvested = tuple[Entry, NDArray[np.uint8] | None]
"""What became of an example, and its face, uint8 (size, size, 3), if there is one."""


def harvest(examples: Iterable[Example], size: int, how: Cropping) -> Iterator[Harvested]:
    """Yield what became of each example, in order. Frames of one video that follow each other are decoded in one go."""
    for (path, rate), run in groupby(examples, key=lambda example: (example.path, example.rate)):
        if rate is None:
            yield from (_one(example, size, how) for example in run)
        else:
            frames = list(run)
            pictures = _of_video(frames)
            for example in frames:
                picture = next(pictures)
                if isinstance(picture, str):
                    yield Entry(example, reason=picture.removeprefix(f"{path}: ")), None
                else:
                    yield _cropped(example, picture, size, how)


def _one(example: Example, size: int, how: Cropping) -> Harvested:
    part = region(how, example.box)
    try:
        if example.frame is not None:
            picture = table_row(example.path, example.frame)
        else:
            picture = photograph(example.path, 8 * size if how == "detect" else 2 * size, part)
    except DataError as error:
        prefix = str(example.path) if example.frame is None else f"{example.path}#{example.frame}"
        return Entry(example, reason=str(error).removeprefix(f"{prefix}: ")), None
    return _cropped(example, picture, size, how)


def _of_video(examples: Sequence[Example]) -> Iterator[Picture | str]:
    """Yield one picture per example, or, from where the video breaks off, the reason."""
    first = examples[0]
    try:
        yield from video_frames(first.path, first.rate or 1.0, [example.frame or 0 for example in examples])
    except DataError as error:
        reason = str(error)
    else:
        return
    while True:
        yield reason


def _cropped(example: Example, picture: Picture, size: int, how: Cropping) -> Harvested:
    part = region(how, example.box)
    pixels = picture.pixels
    if part is not None and example.frame is not None:
        try:
            pixels = cut(pixels, part)
        except ValueError as error:
            return Entry(example, reason=str(error)), None
    face, done = crop(pixels, size, how, boxed=part is not None)
    entry = Entry(example, picture.sha256, perceptual_hash(face), done, picture.remark)
    return entry, face


def decode_all(paths: Sequence[Path], size: int) -> Iterator[NDArray[np.uint8] | Skipped]:
    """Yield the centre of each photograph in order, (size, size, 3), or why there is none. For a look, not for a cache.

    Threads, one a core: both decoders let go of the interpreter while they work.
    """

    def attempt(path: Path) -> NDArray[np.uint8] | Skipped:
        try:
            return square(photograph(path, 2 * size).pixels, size)
        except DataError as error:
            return Skipped(str(path), str(error).removeprefix(f"{path}: "))

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for block in batched(paths, _BLOCK):
            yield from pool.map(attempt, block)
