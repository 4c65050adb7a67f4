"""The two clocks: the computer's, and one that moves only when somebody sleeps."""

import time


class SystemClock:
    """Real time."""

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for *seconds* >= 0."""
        time.sleep(seconds)


class VirtualClock:
    """Time that passes at once: what a lab of simulated phones lives in."""

    def __init__(self, start: float) -> None:
        self._now = start

    def now(self) -> float:
        """Return the start plus everything slept since, in seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the clock forward by *seconds*.

        Raises:
            ValueError: *seconds* is negative.
        """
        if seconds < 0:
            raise ValueError(f"time does not run backwards: {seconds}")
        self._now += seconds
