"""What the phone logs: a ring of lines that can be read back, formatted as logcat does, and followed live."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Priority = Literal["V", "D", "I", "W", "E", "F"]
PRIORITIES = "VDIWEFS"
"""From the least important up; ``S`` is silence."""
KEPT = 5000


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number since the start, time in seconds, process, priority, tag and message."""

    number: int
    time: float
    pid: int
    priority: Priority
    tag: str
    message: str

    def formatted(self, style: str) -> str:
        """Return the line as ``logcat -v`` *style* writes it; all others as ``threadtime`` (liblog's logprint.c)."""
        moment = datetime.fromtimestamp(self.time, tz=UTC)
        stamp = f"{moment:%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
        return {
            "brief": f"{self.priority}/{self.tag:<8}({self.pid:5d}): {self.message}",
            "tag": f"{self.priority}/{self.tag:<8}: {self.message}",
            "raw": self.message,
            "time": f"{stamp} {self.priority}/{self.tag:<8}({self.pid:5d}): {self.message}",
        }.get(style, f"{stamp} {self.pid:5d} {self.pid:5d} {self.priority} {self.tag:<8}: {self.message}")


class LogBuffer:
    """The last ``KEPT`` lines; *now* tells the phone's time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lines: deque[Line] = deque(maxlen=KEPT)
        self._written = 0
        self._news = asyncio.Event()

    def write(self, priority: Priority, tag: str, message: str, pid: int) -> None:
        """Add *message*, a line for each of its lines; a newline at its end is none (logprint.c)."""
        for text in message.removesuffix("\n").split("\n"):
            self._lines.append(Line(self._written, self._now(), pid, priority, tag, text))
            self._written += 1
        self._news.set()
        self._news = asyncio.Event()

    def lines(self) -> list[Line]:
        """Return what is kept, oldest first."""
        return list(self._lines)

    def clear(self) -> None:
        """Forget all lines."""
        self._lines.clear()

    async def follow(self, after: int = -1) -> AsyncIterator[Line]:
        """Yield each line with a number above *after*, waiting for new ones without end."""
        while True:
            news = self._news
            fresh = [line for line in self._lines if line.number > after]
            for line in fresh:
                after = line.number
                yield line
            if not fresh:
                await news.wait()
