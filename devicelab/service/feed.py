"""The live feed: the lab's latest events in memory, and any number of listeners that each read at their own pace.

Events come from the writer's thread; listeners live in the event loop. A listener holds no queue, only the number of
the last event that it has seen, so a slow one costs nothing and one that reconnects says where it was.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Sequence

from devicelab.device import Value

KEPT = 10_000
"""Events in memory; who was away for longer reads the store, or starts over."""


class FeedItem(Value):
    """An event on the feed: its number, its kind, the phone it is about ("" for none), and itself as JSON."""

    seq: int
    kind: str
    device: str = ""
    body: str


class Feed:
    """The feed; ``publish`` may be called from any thread once ``bind`` has told it the loop of the listeners."""

    def __init__(self, kept: int = KEPT) -> None:
        self._items: deque[FeedItem] = deque(maxlen=kept)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None
        self._closed = False
        self._start = 0

    def bind(self, seq: int) -> None:
        """Serve listeners in the running event loop; the store's newest event has the number *seq*."""
        self._loop = asyncio.get_running_loop()
        self._start = max(seq, self.last)
        self._changed = asyncio.Event()

    @property
    def last(self) -> int:
        """Number of the newest event."""
        return self._items[-1].seq if self._items else self._start

    def publish(self, items: Iterable[FeedItem]) -> None:
        """Add *items*, in the order of their numbers, and wake the listeners."""
        with self._lock:
            self._items.extend(items)
        self._wake()

    def close(self) -> None:
        """Let every listener end."""
        self._closed = True
        self._wake()

    @property
    def closed(self) -> bool:
        """Whether the service is going away."""
        return self._closed

    def after(self, seq: int) -> Sequence[FeedItem] | None:
        """Return the events behind *seq*, oldest first; None if memory does not reach back that far."""
        with self._lock:
            if seq >= self.last:
                return ()
            if not self._items or self._items[0].seq > seq + 1:
                return None
            missing = 0
            for item in reversed(self._items):
                if item.seq <= seq:
                    break
                missing += 1
            return [self._items[index] for index in range(len(self._items) - missing, len(self._items))]

    async def wait(self, seq: int, seconds: float) -> bool:
        """Wait until there is an event behind *seq*, the feed closes (both: True), or *seconds* have passed (False)."""
        if self._changed is None:
            raise RuntimeError("bind the feed to an event loop first")
        deadline = asyncio.get_running_loop().time() + seconds
        while not self._closed and self.last <= seq:
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return False
        return True

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pulse)

    def _pulse(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = asyncio.Event()
