"""Server-sent events: the text on the wire, and two streams: the lab's events, and a page's fragments."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from devicelab.service.feed import Feed, FeedItem

HEARTBEAT_SECONDS = 15.0
"""How often a silent stream says that it lives, so that neither proxy nor browser gives it up."""
PAGE_SECONDS = 0.25
"""Shortest time between two redrawings of a page: four a second look alive and cost little."""
RETRY_MS = 1000
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

type Fragments = Mapping[str, str]
"""HTML by the id of the element that it replaces."""


def message(kind: str, data: str, seq: int | None = None) -> bytes:
    """Return one event of the stream; *data* is split into lines as the standard wants."""
    head = f"id: {seq}\n" if seq is not None else ""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"{head}event: {kind}\n{lines}\n".encode()


async def events(feed: Feed, seq: int, older: Callable[[int], Awaitable[Sequence[FeedItem]]]) -> AsyncIterator[bytes]:
    """Yield every event behind *seq*, for ever; those that have left memory come from *older*, a page at a time."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    while not feed.closed:
        items = feed.after(seq)
        if items is None:
            items = await older(seq)
        if items:
            yield b"".join(message(item.kind, item.body, item.seq) for item in items)
            seq = items[-1].seq
        elif not await feed.wait(seq, HEARTBEAT_SECONDS):
            yield b": alive\n\n"


async def fragments(feed: Feed, draw: Callable[[frozenset[str] | None], Awaitable[Fragments]]) -> AsyncIterator[bytes]:
    """Yield what *draw* draws whenever something has happened, for ever.

    *draw* takes the phones that events were about since it was called last (None: anything may have changed).
    """
    yield f"retry: {RETRY_MS}\n\n".encode()
    seq, touched = feed.last, None
    while not feed.closed:
        drawn = await draw(touched)
        if drawn:
            yield message("fragments", json.dumps(drawn))
        while not await feed.wait(seq, HEARTBEAT_SECONDS):
            yield b": alive\n\n"
        await asyncio.sleep(PAGE_SECONDS)
        items = feed.after(seq)
        seq = feed.last if items is None or not items else items[-1].seq
        touched = None if items is None else frozenset(item.device for item in items)
