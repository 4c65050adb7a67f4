"""Images inside files: rows of a table that holds pixels (FER2013's csv), and frames of videos (PyAV)."""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core.data.decoding import MAX_PIXELS, Picture
from fer_core.errors import DataError

_COLUMN = "pixels"


def table_row(table: Path, row: int) -> Picture:
    """Return data row *row* (from 0) of a csv whose column ``pixels`` holds the grey values of a square, as text.

    Raises:
        DataError: there is no such row, or it holds no square image.
    """
    try:
        offsets, column = _index(table, table.stat().st_mtime_ns)
        with table.open("rb") as stream:
            stream.seek(offsets[row])
            line = stream.readline()
        cell = next(csv.reader(io.StringIO(line.decode("utf-8"))))[column]
        values = np.array(cell.split(), dtype=np.uint8)
    except (OSError, IndexError, ValueError, OverflowError, csv.Error, StopIteration) as error:
        raise DataError(f"{table}#{row}: cannot be decoded: {error or type(error).__name__}") from error
    side = int(len(values) ** 0.5)
    if side == 0 or side * side != len(values):
        raise DataError(f"{table}#{row}: {len(values)} pixels are no square")
    grey = values.reshape(side, side, 1)
    return Picture(np.repeat(grey, 3, axis=2), hashlib.sha256(values.tobytes()).hexdigest())


@lru_cache(maxsize=2)
def _index(table: Path, _changed: int) -> tuple[NDArray[np.int64], int]:
    """Return where each data row begins, in bytes, and which column holds the pixels. Empty lines are no rows."""
    offsets = []
    with table.open("rb") as stream:
        header = [cell.strip() for cell in next(csv.reader([stream.readline().decode("utf-8-sig")]), [])]
        position = stream.tell()
        for line in stream:
            if line.strip():
                offsets.append(position)
            position += len(line)
    return np.array(offsets, dtype=np.int64), header.index(_COLUMN)


def video_frames(video: Path, rate: float, wanted: Sequence[int]) -> Iterator[Picture]:
    """Yield frames *wanted* (ascending) of *video*: frame k is what is shown at k / *rate* seconds.

    Raises:
        DataError: the file is no video, breaks off, or ends before a wanted frame.
    """
    import av

    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise DataError(f"{video}: holds no video")
            stream = container.streams.video[0]
            if stream.width * stream.height > MAX_PIXELS:
                raise DataError(f"{video}: frames of {stream.width} x {stream.height} pixels are too large")
            if wanted[0] > 0 and stream.time_base is not None:
                start = (stream.start_time or 0) + int(wanted[0] / rate / float(stream.time_base))
                container.seek(start, stream=stream, backward=True)
            yield from _shown(container.decode(stream), stream, rate, wanted, video)
    except (av.FFmpegError, OSError) as error:
        raise DataError(f"{video}: breaks off: {error.strerror or error}") from error


def _shown(frames, stream, rate: float, wanted: Sequence[int], video: Path) -> Iterator[Picture]:  # type: ignore[no-untyped-def] # noqa: ANN001  PyAV's
    begun = float((stream.start_time or 0) * (stream.time_base or 0))
    last, queue = None, list(wanted)
    for frame in frames:
        seconds = None if frame.time is None else frame.time - begun
        while last is not None and queue and seconds is not None and seconds > queue[0] / rate + 1e-6:
            queue.pop(0)
            yield _picture(last)
        if not queue:
            return
        last = frame
    half = 0.5 / float(stream.average_rate or rate)
    while last is not None and queue and queue[0] / rate <= (last.time or 0) - begun + 1 / rate + half:
        queue.pop(0)
        yield _picture(last)
    if queue:
        raise DataError(f"{video}: ends before frame {queue[0]} at {queue[0] / rate:.2f} s")


def _picture(frame) -> Picture:  # type: ignore[no-untyped-def] # noqa: ANN001
    pixels = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    return Picture(pixels, hashlib.sha256(pixels.tobytes()).hexdigest())
