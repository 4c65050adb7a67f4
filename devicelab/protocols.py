"""The two seams of the lab: a phone that can be told what to do, and time (with its two clocks).

A **driver** is one phone. It is used by one caller at a time, the holder of the phone's lease, and
needs no locks of its own. The order of calls is

    health*  ( load  ( reference | run )*  unload )*

and ``unload`` is allowed at any time. Every time is measured on the phone, in milliseconds, never around
a round trip to it. A driver raises ``DeviceError`` for what is the phone's fault and
``WorkloadError`` for what is the network's; it never returns a number that it does not believe.

A **clock** is the only source of time, so that a day in the lab can be tested in milliseconds.
"""

import time
from typing import Protocol

from devicelab.device import Device, Health
from devicelab.measurement import Workload


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> float:
        """Return seconds since 1970."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let *seconds* >= 0 pass."""
        ...


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


class Driver(Protocol):
    """One phone."""

    @property
    def device(self) -> Device:
        """The phone's facts; constant."""
        ...

    @property
    def reference_ms(self) -> float:
        """How long the reference workload takes on a typical phone of this platform."""
        ...

    def health(self) -> Health:
        """Return how the phone is now.

        Raises:
            DeviceError: the phone does not answer.
        """
        ...

    def load(self, workload: Workload) -> None:
        """Start a new process on the phone and load *workload* in it; one that is loaded is unloaded first.

        Raises:
            DeviceError: the phone does not do it.
            WorkloadError: the network cannot be loaded or run on this phone.
        """
        ...

    def reference(self, runs: int) -> tuple[float, ...]:
        """Run the fixed reference workload in the loaded process; return the time of each of *runs* runs in ms.

        Raises:
            DeviceError: the phone does not do it, or nothing is loaded.
        """
        ...

    def run(self, runs: int) -> tuple[float, ...]:
        """Run the loaded workload back to back; return the time of each of *runs* runs in ms, the first one cold.

        Raises:
            DeviceError: the phone does not do it, or nothing is loaded.
            WorkloadError: the network fails on this phone.
        """
        ...

    def unload(self) -> None:
        """End the process on the phone; nothing happens if there is none."""
        ...
