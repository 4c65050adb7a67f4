"""Simulated phones at work in virtual time: a discrete-event loop around the real coordinator and the real workers.

Every phone has a clock of its own that only its own work moves; the engine runs whichever phone comes next, and what it
has to tell reaches the coordinator when that phone's clock says so. Hence phones work in parallel in one thread, a
week passes in seconds, and nothing depends on the machine's speed.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from devicelab.commands import Answer, Command, Heartbeat, Outcome, Tick
from devicelab.coordinator import Coordinator
from devicelab.errors import LeaseError
from devicelab.protocols import Driver, VirtualClock
from devicelab.worker import work

TICK_SECONDS = 5.0
"""Virtual seconds between looks at what time alone has made due."""


class Weather(Protocol):
    """What happens on the way from a worker to the coordinator: nothing, usually (``FAIR``)."""

    def deliver(self, command: Command, now: float) -> tuple[float, ...] | None:
        """Return after how many seconds *command* arrives, once for each time that it does.

        ``(0.0,)`` is at once, ``()`` never though the worker lives on; None: the worker died before it could tell.
        """
        ...


class _Fair:
    def deliver(self, _command: Command, _now: float) -> tuple[float, ...] | None:
        return (0.0,)


FAIR: Weather = _Fair()


@dataclass(slots=True)
class _Run:
    """An order that a worker is on: its generator, and the next thing it tells."""

    steps: Iterator[Command]
    device: str
    token: int


@dataclass(slots=True)
class Engine:
    """Walks the workers of *drivers*, whose *clocks* are theirs alone, for *coordinator*; starts at *now*.

    ``answers`` collects how requests ended, by their names.
    """

    coordinator: Coordinator
    drivers: Mapping[str, Driver]
    clocks: Mapping[str, VirtualClock]
    now: float
    weather: Weather = FAIR
    answers: dict[str, Answer] = field(default_factory=dict)
    _heap: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)
    _runs: dict[str, _Run] = field(default_factory=dict)
    _ticked: float = 0.0

    def tell(self, command: Command) -> Outcome:
        """Give *command* to the coordinator now, and what follows to the workers.

        Raises:
            DeviceLabError: it was refused; see ``Coordinator.perform``.
        """
        outcome = self.coordinator.perform(command, self.now)
        for order in outcome.orders:
            device = order.lease.device
            steps = work(self.drivers[device], order, self.clocks[device])
            run = _Run(steps, device, order.lease.token)
            self._runs[device] = run
            self._at(self.now, lambda run=run: self._walk(run))  # type: ignore[misc]
        self.answers.update((answer.request, answer) for answer in outcome.answers)
        return outcome

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Let *action* happen at *time* (never before now)."""
        self._at(max(time, self.now), action)

    def next_at(self) -> float:
        """Return when the next :meth:`step` happens, in virtual seconds since 1970."""
        tick = max(self._ticked + TICK_SECONDS, self.now) if self._heap else max(self.coordinator.due(), self.now)
        return min(self._heap[0][0], tick) if self._heap else tick

    def step(self) -> None:
        """Let the next thing happen, and time be when it does."""
        self.now = self.next_at()
        if self._heap and self._heap[0][0] <= self.now:
            heapq.heappop(self._heap)[2]()
        if self.now >= self._ticked + TICK_SECONDS or not self._heap:
            self._ticked = self.now
            self.tell(Tick())

    def run_until(self, done: Callable[[], bool]) -> None:
        """Step until *done*."""
        while not done():
            self.step()

    def _at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (time, next(self._numbers), action))

    def _walk(self, run: _Run) -> None:
        """Let the worker do its next piece of work, and tell its end when it is over."""
        if self._runs.get(run.device) is not run:
            return
        clock = self.clocks[run.device]
        clock.sleep(max(self.now - clock.now(), 0.0))
        command = next(run.steps, None)
        if command is None:
            del self._runs[run.device]
            return
        ends = max(clock.now(), self.now)
        arrivals = self.weather.deliver(command, ends)
        beat = self.coordinator.policy.heartbeat_seconds
        for number in range(1, 1 + int((ends - self.now) / beat)):
            self._at(self.now + number * beat, lambda: self._say(run, Heartbeat(run.device, run.token)))
        if arrivals is None:
            self._at(ends, lambda: self._die(run))
            return
        for after in arrivals:
            self._at(ends + after, lambda: self._say(run, command))
        self._at(ends + max(arrivals, default=0.0), lambda: self._walk(run))

    def _say(self, run: _Run, command: Command) -> None:
        try:
            self.tell(command)
        except LeaseError:
            if self._runs.get(run.device) is run:
                del self._runs[run.device]

    def _die(self, run: _Run) -> None:
        if self._runs.get(run.device) is run:
            del self._runs[run.device]
