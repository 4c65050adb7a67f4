"""TensorBoard's event files: a folder per page, scalars by step, the HParams tab. All of tensorboardX is in here.

What a folder holds is read from it, so what was written stays as it is, whoever was killed over it, and only what is
new is appended. Files are written in the calling thread: tensorboardX's own thread would die of a full disk unseen.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from search.errors import TrackingError
from search.tracking.page import STUDY, Page


class TensorBoard:
    """Writes pages below *folder*, each into a folder of its key."""

    def __init__(self, folder: Path) -> None:
        self.name = f"TensorBoard in {folder}"
        self._folder = folder
        self._known: dict[str, set[tuple[str, int]]] = {}
        self._writers: dict[str, Any] = {}
        self._files = count()

    def show(self, page: Page) -> None:
        """Append what the folder of *page* does not hold yet.

        Raises:
            TrackingError: the folder cannot be read or written.
        """
        with self._failing(page.key):
            if page.key not in self._known:
                self._known[page.key] = written(self._folder / page.key)
            known = self._known[page.key]
            fresh = [event for event in _events(page) if (event.summary.value[0].tag, event.step) not in known]
            if fresh:
                writer = self._writer(page.key)
                for event in fresh:
                    writer.write_event(event)
                writer.flush()
                known.update((event.summary.value[0].tag, event.step) for event in fresh)
            if page.final:
                self._forget(page.key)

    def _writer(self, key: str) -> Any:  # noqa: ANN401 - tensorboardX is untyped
        from tensorboardX.event_file_writer import EventsWriter

        if key not in self._writers:
            folder = self._folder / key
            folder.mkdir(parents=True, exist_ok=True)
            own = f".{os.getpid()}.{next(self._files)}"  # a file that is there would be emptied
            self._writers[key] = EventsWriter(str(folder / "events"), own)
        return self._writers[key]

    def _forget(self, key: str) -> None:
        self._known.pop(key, None)
        writer = self._writers.pop(key, None)
        if writer is not None:
            writer.close()

    @contextmanager
    def _failing(self, key: str) -> Iterator[None]:
        """Turn errors of the disk into ours; what follows begins a new file, for the end of this one may be torn."""
        try:
            yield
        except OSError as error:
            with suppress(OSError):
                self._forget(key)
            raise TrackingError(f"{self.name}: cannot be written: {error.strerror or error}") from None


def written(folder: Path) -> set[tuple[str, int]]:
    """Return the (tag, step) of everything that event files in *folder* hold; none where there is no folder."""
    from tensorboardX.proto.event_pb2 import Event

    found: set[tuple[str, int]] = set()
    for path in sorted(folder.glob("*.tfevents.*")):
        for data in records(path.read_bytes()):
            event = Event.FromString(data)
            found.update((value.tag, event.step) for value in event.summary.value)
    return found


def records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a TFRecord file; one that was torn off at its end is left out.

    Each is its length (uint64), a checksum (uint32), the data, a checksum (uint32).
    """
    place = 0
    while place + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        end = place + 12 + length
        if end + 4 > len(content):
            return
        yield content[place + 12 : end]
        place = end + 4


def _events(page: Page) -> Iterator[Any]:
    """Yield *page* as events of one value each, the last of them what only a whole page has."""
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
