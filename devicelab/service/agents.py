"""Orders for agents: kept until their host's agent takes them, dropped when their lease has been replaced."""

import asyncio
from collections import Counter
from collections.abc import Iterable

from devicelab.commands import Order


class Mailboxes:
    """One box of orders per host, newest order per phone; in the event loop."""

    def __init__(self) -> None:
        self._boxes: dict[str, dict[str, Order]] = {}
        self._bells: dict[str, asyncio.Event] = {}
        self._turns: Counter[str] = Counter()

    def put(self, host: str, orders: Iterable[Order]) -> None:
        """Leave *orders* for the agent of *host*; an order replaces an older one for the same phone."""
        box = self._boxes.setdefault(host, {})
        box.update({order.lease.device: order for order in orders})
        self._bell(host).set()

    async def take(self, host: str, seconds: float) -> tuple[Order, ...]:
        """Return and forget what is in the box of *host*, waiting up to *seconds* for the first order.

        Only the latest to ask gets orders: whoever asked before it has died, or has given up.
        """
        self.dismiss(host)
        mine = self._turns[host]
        if not self._boxes.get(host):
            self._bell(host).clear()
            try:
                await asyncio.wait_for(self._bell(host).wait(), seconds)
            except TimeoutError:
                return ()
        return tuple(self._boxes.pop(host, {}).values()) if self._turns[host] == mine else ()

    def dismiss(self, host: str) -> None:
        """Let whoever waits for orders of *host* go without any: its agent has started anew."""
        self._turns[host] += 1
        self._bell(host).set()

    def _bell(self, host: str) -> asyncio.Event:
        return self._bells.setdefault(host, asyncio.Event())
