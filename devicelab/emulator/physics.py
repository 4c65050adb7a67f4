"""The simulated phone of ``devicelab.drivers.simulator`` as the processor of an emulated one.

Its virtual clock runs ahead: a burst of runs is computed at once, and the emulated phone then lets as much of its own
time pass. Between uses it catches up with the phone's clock, idle.
"""

import tempfile
from pathlib import Path

from devicelab.config import SimulatedPhone
from devicelab.device import Health
from devicelab.drivers.simulator import CLOCKS_MHZ, SimulatedDriver
from devicelab.measurement import Workload
from devicelab.protocols import VirtualClock

HOT_C = 47.0


class Physics:
    """Heat, charge, clock and latency of one phone, from *start* in seconds since 1970 on.

    ``hot_c`` and ``cap_mhz`` are what a fault forces on it: a battery temperature, and a limit of the CPU's clock.
    """

    def __init__(self, character: SimulatedPhone, start: float) -> None:
        self._time = VirtualClock(start)
        self._driver = SimulatedDriver(character, self._time)
        self.hot_c: float | None = None
        self.cap_mhz: float | None = None

    def now(self) -> float:
        """Return up to when the phone's state is known: its own time, or ahead of it after runs."""
        return self._time.now()

    def health(self, now: float) -> Health:
        """Return how the phone is at *now*."""
        self._catch_up(now)
        health = self._driver.health()
        frequency = min(health.frequency_mhz or health.nominal_mhz, self.cap_mhz or health.nominal_mhz)
        temperature = health.temperature_c if self.hot_c is None else self.hot_c
        return health.model_copy(update={"temperature_c": temperature, "frequency_mhz": frequency})

    def load(self, network: bytes, threads: int, now: float) -> None:
        """Start a process that has loaded *network*.

        Raises:
            WorkloadError: it is no network that this phone can run.
        """
        self._catch_up(now)
        with tempfile.TemporaryDirectory(prefix="emulated-phone-") as folder:
            path = Path(folder) / "network.tflite"
            path.write_bytes(network)
            self._driver.load(Workload.of(path, threads))

    def run(self, runs: int) -> tuple[float, ...]:
        """Return the milliseconds of each of *runs* runs of the loaded network; :meth:`now` moves on by their sum."""
        times = self._driver.run(runs)
        slowdown = self._forced_slowdown()
        self._time.sleep(sum(times) * (slowdown - 1) / 1e3)
        return tuple(time * slowdown for time in times)

    def _forced_slowdown(self) -> float:
        """Return by how much a forced cap slows down what the phone's own governor allows; 1 without one."""
        allowed = self._driver.health().frequency_mhz or CLOCKS_MHZ[0]
        return max(allowed / (self.cap_mhz or allowed), 1.0)

    def _catch_up(self, now: float) -> None:
        self._time.sleep(max(now - self._time.now(), 0.0))
