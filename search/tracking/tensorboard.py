"""TensorBoard's event files: a folder per page with one file, scalars by step, the HParams tab. All of it is in here.

What a file holds is read from it, so what was written stays as it is, whoever was killed over it, and only what is new
is appended. tensorboardX makes the summaries; its writers empty a file that is there, and die of a full disk unseen, so
records are appended here: a length, a checksum of it, the event, a checksum of that (TFRecord).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import TrackingError
from search.tracking.page import STUDY, Page

FILE = "events.out.tfevents.0.fer-search"
"""TensorBoard takes files with ``tfevents`` in their name."""
VERSION = "brain.Event:2"
"""What the first record of a file says."""


@dataclass(slots=True)
class _Held:
    """The (tag, step) of what a file holds, and its bytes up to the end of the last whole record."""

    known: set[tuple[str, int]]
    whole: int


class TensorBoard:
    """Writes pages below *folder*, each into a folder of its key."""

    def __init__(self, folder: Path) -> None:
        self.name = f"TensorBoard in {folder}"
        self._folder = folder
        self._held: dict[str, _Held] = {}

    def show(self, page: Page) -> None:
        """Append what the file of *page* does not hold yet.

        Raises:
            TrackingError: the file cannot be read or written; what it holds is read anew the next time.
        """
        held = self._held.pop(page.key, None)
        path = self._folder / page.key / FILE
        try:
            held = held or _held(path)
            fresh = [event for event in _events(page) if _name(event) not in held.known]
            if fresh:
                held.whole = _append(path, held.whole, fresh)
                held.known.update(map(_name, fresh))
        except OSError as error:
            raise TrackingError(f"{self.name}: cannot be written: {error.strerror or error}") from None
        if not page.final:
            self._held[page.key] = held


def records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a TFRecord file and where each ends; one that was torn off is left out."""
    place = 0
    while place + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        end = place + 12 + length + 4
        if end > len(content):
            return
        yield end, content[place + 12 : end - 4]
        place = end


def _held(path: Path) -> _Held:
    from tensorboardX.proto.event_pb2 import Event

    held = _Held(set(), 0)
    for held.whole, data in records(path.read_bytes() if path.exists() else b""):
        event = Event.FromString(data)
        held.known.update((value.tag, event.step) for value in event.summary.value)
    return held


def _append(path: Path, whole: int, events: list[Any]) -> int:
    """Append *events* to the first *whole* bytes of the file at *path*, in one piece; return its size then."""
    from tensorboardX.proto.event_pb2 import Event

    path.parent.mkdir(parents=True, exist_ok=True)
    first = [] if whole else [Event(wall_time=events[0].wall_time, file_version=VERSION)]
    with path.open("ab") as stream:
        stream.truncate(whole)
        stream.write(b"".join(_record(event.SerializeToString()) for event in (*first, *events)))
        return stream.tell()


def _record(data: bytes) -> bytes:
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def _name(event: Any) -> tuple[str, int]:  # noqa: ANN401 - tensorboardX is untyped
    return event.summary.value[0].tag, event.step


def _events(page: Page) -> Iterator[Any]:
    """Yield *page* as events of one value each."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.summary import hparams, scalar, text

    for point in page.points:
        yield Event(wall_time=point.at, step=point.step, summary=scalar(point.name, point.value))
    if page.final:
        for part in hparams(page.settings, {point.name: point.value for point in page.points}):
            yield Event(wall_time=page.ended, summary=part)
    if page.final or page.key == STUDY:
        rows = "\n".join(f"| {name} | {value} |" for name, value in {**page.tags, **page.settings}.items())
        yield Event(wall_time=page.begun, summary=text("about", f"{page.title}\n\n| | |\n|---|---|\n{rows}"))
