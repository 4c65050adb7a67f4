"""Clips -> frames at a stated rate. PyAV (FFmpeg) tells how long a clip is; nothing is decoded here."""

import math
from dataclasses import replace
from pathlib import Path

from fer_core.data.faces import Example, Listing, Skipped
from fer_core.errors import DataError


def with_frames(clips: Listing, rate: float) -> Listing:
    """Return *clips* with every clip replaced by its frames, *rate* a second from its first one on.

    A clip that cannot be read is skipped.
    """
    examples: list[Example] = []
    skipped: list[Skipped] = []
    for clip in clips.examples:
        try:
            frames = max(1, math.floor(duration(clip.path) * rate))
        except DataError as error:
            skipped.append(Skipped(str(clip.path), str(error)))
            continue
        examples += [replace(clip, frame=frame, rate=rate) for frame in range(frames)]
    return replace(clips, examples=tuple(examples), skipped=(*clips.skipped, *skipped))


def duration(path: Path) -> float:
    """Return how long the video at *path* lasts, in seconds.

    Raises:
        DataError: it is no video, or does not say.
    """
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError("holds no video")
            stream = container.streams.video[0]
            if stream.duration is not None and stream.time_base is not None:
                return float(stream.duration * stream.time_base)
            if container.duration is None:
                raise DataError("does not say how long it lasts")
            return float(container.duration / av.time_base)
    except (av.FFmpegError, OSError) as error:
        raise DataError(f"cannot be read as a video: {error.strerror or error}") from error
