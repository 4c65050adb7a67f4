"""The time of an emulated phone: the host's, passed faster or slower by a factor."""

import asyncio

from devicelab.protocols import Clock


class PhoneClock:
    """Seconds since 1970 as the phone sees them; *speed* of them pass while one passes on the host."""

    def __init__(self, wall: Clock, speed: float = 1.0) -> None:
        self._wall = wall
        self._start = wall.now()
        self.speed = speed

    def now(self) -> float:
        """Return the phone's seconds since 1970."""
        return self._start + (self._wall.now() - self._start) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* of the phone's time pass; others go on meanwhile."""
        await asyncio.sleep(max(seconds, 0.0) / self.speed)

    async def until(self, moment: float) -> None:
        """Wait for the phone's time *moment*; return at once if it has passed."""
        await self.sleep(moment - self.now())
