"""Workers in threads, one for each phone, in real time: what a lab with phones on cables runs on.

As ``devicelab.engine``, which does the same in virtual time for simulated phones. One lock guards the coordinator;
phones work outside of it. A thread of its own sends heartbeats and ticks, so a phone may take as long as it likes
for one piece of work, and a hung one is ended by the time limit of its state.
"""

import queue
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType

from devicelab.commands import Answer, Command, Heartbeat, Order, Outcome, Tick
from devicelab.coordinator import Coordinator, LabClock
from devicelab.errors import LeaseError, StoreError
from devicelab.protocols import Clock, Driver
from devicelab.worker import work

PULSE_SECONDS = 1.0
"""How often the pulse looks for heartbeats and ticks that are due."""
JOIN_SECONDS = 90.0
"""How long ``close`` waits for a phone to end the piece of work that it is on."""


class Crew:
    """Threads that walk the workers of *drivers* for *coordinator*, in the time of *clock*. ``close`` it."""

    def __init__(self, coordinator: Coordinator, drivers: Mapping[str, Driver], clock: Clock) -> None:
        self.coordinator = coordinator
        self.answers: dict[str, Answer] = {}
        self._clock = clock
        self._time = LabClock(clock, coordinator.state.at, time.monotonic)
        self._drivers = MappingProxyType(dict(drivers))
        self._changed = threading.Condition()
        self._orders: dict[str, queue.Queue[Order | None]] = {name: queue.Queue() for name in drivers}
        self._busy: dict[str, tuple[int, float]] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._walk, args=(name,), daemon=True) for name in drivers]
        self._threads.append(threading.Thread(target=self._pulse, daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self._time.now()

    def tell(self, command: Command) -> Outcome:
        """Give *command* to the coordinator, and what follows to the workers.

        Raises:
            DeviceLabError: it was refused; see ``Coordinator.perform``.
        """
        with self._changed:
            outcome = self.coordinator.perform(command, self.now)
            for order in outcome.orders:
                self._orders[order.lease.device].put(order)
                self._busy[order.lease.device] = (order.lease.token, self.now)
            self.answers.update((answer.request, answer) for answer in outcome.answers)
            self._changed.notify_all()
        return outcome

    def step(self) -> None:
        """Wait until something has happened, or a second."""
        with self._changed:
            self._changed.wait(PULSE_SECONDS)

    def close(self) -> None:
        """Let every phone end what it is on, and the threads with it."""
        self._stop.set()
        for orders in self._orders.values():
            orders.put(None)
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def _walk(self, name: str) -> None:
        while (order := self._orders[name].get()) is not None:
            for command in work(self._drivers[name], order, self._clock):
                try:
                    self.tell(command)
                except (LeaseError, StoreError):
                    break
            with self._changed:
                if self._busy.get(name, (0, 0.0))[0] == order.lease.token:
                    del self._busy[name]

    def _pulse(self) -> None:
        beat, ticked = self.coordinator.policy.heartbeat_seconds, self.now
        while not self._stop.wait(PULSE_SECONDS):
            now = self.now
            for name, (token, at) in list(self._busy.items()):
                if now - at >= beat:
                    self._busy[name] = (token, now)
                    self._say(Heartbeat(name, token))
            if now - ticked >= beat / 2:
                ticked = now
                self._say(Tick())

    def _say(self, command: Command) -> None:
        try:
            self.tell(command)
        except (LeaseError, StoreError):
            return
