"""The two seams of the lab: a phone that can be told what to do, and time (with its two clocks).

A **driver** is one phone. It is used by one caller at a time, the holder of the phone's lease, and
needs no locks of its own. The order of calls is

    ( health | reference | load  ( run | reference | health )*  unload | recover )*  close

and ``unload`` is allowed at any time. Every time is measured on the phone, in milliseconds, never around
a round trip to it. A driver raises ``DeviceError`` for what is the phone's fault, ``HostError`` for what is
the fault of what phones share (both with the ``fault`` of ``devicelab.faults`` it recognised) and
``WorkloadError`` for what is the network's; it never returns a number that it does not believe. No call may
last for ever: a driver has a time limit on everything it asks.

A **clock** is the only source of time, so that a day in the lab can be tested in milliseconds.
"""

import time
from typing import Protocol

from devicelab.device import Device, Health
from devicelab.faults import Rung
from devicelab.measurement import Burst, Workload


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


class FastClock:
    """Real time, *speed* times as fast: what a service of simulated phones lives in, so that one can watch it."""

    def __init__(self, speed: float, start: float | None = None) -> None:
        if speed <= 0:
            raise ValueError(f"time passes forward: speed {speed:g} is not above 0")
        self._speed = speed
        self._start = time.time() if start is None else start
        self._began = time.monotonic()

    def now(self) -> float:
        """Return the start plus *speed* times the real seconds since then."""
        return self._start + self._speed * (time.monotonic() - self._began)

    def sleep(self, seconds: float) -> None:
        """Let *seconds* >= 0 of this clock pass."""
        time.sleep(seconds / self._speed)


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
        """How long the reference workload takes on a typical phone of this platform, its median in ms; constant."""
        ...

    def health(self) -> Health:
        """Return how the phone is now; it disturbs a running measurement as little as it can.

        Raises:
            DeviceError: the phone does not answer.
            HostError: nothing of this host answers.
        """
        ...

    def load(self, workload: Workload) -> None:
        """Bring *workload* to the phone, ready to run in a new process; one that is loaded is unloaded first.

        Raises:
            DeviceError: the phone does not do it.
            HostError: nothing of this host does it.
            WorkloadError: the network cannot be loaded or run on this phone.
        """
        ...

    def reference(self, runs: int) -> Burst:
        """Run the fixed reference workload, warmed up, *runs* >= 1 times or more; it needs nothing to be loaded.

        Raises:
            DeviceError: the phone does not do it, or answers what cannot be true.
            HostError: nothing of this host does it.
        """
        ...

    def run(self, runs: int) -> Burst:
        """Run the loaded workload back to back, *runs* >= 1 times or more (``Burst.runs`` tells).

        The first call after ``load`` starts the process and tells ``first_ms``. A driver whose tool is a new
        process per call tells it every time, and has the tool warm up before it times.

        Raises:
            DeviceError: the phone does not do it, nothing is loaded, or the answer cannot be true (fault F25).
            HostError: nothing of this host does it.
            WorkloadError: the network fails on this phone.
        """
        ...

    def unload(self) -> None:
        """End the process on the phone and make sure that it has ended; nothing happens if there is none.

        Only a phone that confirmed this is free for somebody else.

        Raises:
            DeviceError: it cannot be confirmed.
            HostError: nothing of this host answers.
        """
        ...

    def recover(self, rung: Rung) -> None:
        """Do this step of the recovery ladder and return when the phone answers again; what was loaded is gone.

        Raises:
            DeviceError: the phone does not answer after it, or this driver has no such step.
            HostError: the host cannot do it.
        """
        ...

    def close(self) -> None:
        """Let go of everything this driver holds on the host (sessions, ports, children). Never raises."""
        ...
