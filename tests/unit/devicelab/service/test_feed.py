"""The live feed: nothing missed, nothing twice, whoever reads however slowly or comes back."""

import asyncio
import threading

import pytest

from devicelab.service import sse
from devicelab.service.feed import Feed, FeedItem


def items(first, last, device="a"):
    return [
        FeedItem(seq=seq, kind="transition", device=device, body=f'{{"n":{seq}}}') for seq in range(first, last + 1)
    ]


def numbers(found):
    return [item.seq for item in found]


def test_reads_from_where_one_was():
    feed = Feed(kept=5)
    feed.publish(items(1, 8))
    assert feed.last == 8
    assert numbers(feed.after(6)) == [7, 8]
    assert numbers(feed.after(3)) == [4, 5, 6, 7, 8]
    assert feed.after(8) == ()
    assert feed.after(2) is None


def test_starts_where_the_store_ends():
    async def start():
        feed = Feed()
        feed.bind(41)
        return feed.last, feed.after(41), feed.after(40)

    assert asyncio.run(start()) == (41, (), None)


async def read(stream, count):
    found = []
    async for chunk in stream:
        found += [int(line[4:]) for line in chunk.decode().splitlines() if line.startswith("id: ")]
        if len(found) >= count:
            return found
    return found


def test_a_listener_that_was_away_gets_everything_once():
    async def older(seq):
        return items(seq + 1, min(seq + 4, 20))

    async def listen():
        feed = Feed(kept=10)
        feed.bind(0)
        feed.publish(items(1, 20))
        writer = threading.Timer(0.05, lambda: feed.publish(items(21, 25)))
        writer.start()
        found = await asyncio.wait_for(read(sse.events(feed, 2, older), 23), 5)
        writer.join()
        return found

    assert asyncio.run(listen()) == list(range(3, 26))


def test_a_page_draws_what_was_touched():
    drawn = []

    async def draw(touched):
        drawn.append(touched)
        return {"x": "<p>\n</p>"}

    async def look():
        feed = Feed()
        feed.bind(0)
        stream = sse.fragments(feed, draw)
        chunks = [await anext(stream), await anext(stream)]
        feed.publish(items(1, 2, "a") + items(3, 3, "b"))
        chunks.append(await asyncio.wait_for(anext(stream), 5))
        feed.close()
        return chunks, [chunk async for chunk in stream]

    chunks, rest = asyncio.run(look())
    assert drawn == [None, {"a", "b"}]
    assert chunks[0] == b"retry: 1000\n\n"
    assert chunks[2] == b'event: fragments\ndata: {"x": "<p>\\n</p>"}\n\n'
    assert rest == []


def test_a_silent_stream_says_that_it_lives(monkeypatch):
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.01)

    async def listen():
        feed = Feed()
        feed.bind(0)
        stream = sse.events(feed, 0, None)
        return [await anext(stream), await anext(stream)]

    assert asyncio.run(listen())[1] == b": alive\n\n"


def test_waiting_needs_a_loop():
    with pytest.raises(RuntimeError, match="bind the feed"):
        asyncio.run(Feed().wait(0, 1))
