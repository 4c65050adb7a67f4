"""The body of a simulated phone as the processor of an emulated one: the same arithmetic on the pushed bytes.

The body runs ahead: a burst of runs is computed at once, and the emulated phone then lets as much of its own time pass.
Between uses it catches up with the phone's clock, idle.
"""

import hashlib
import math

from devicelab.config import SimulatedPhone
from devicelab.device import Health
from devicelab.drivers.simulator import CORES
from devicelab.flatfile import parse
from devicelab.graph import graph_of
from devicelab.roofline import latency_ms
from devicelab.simulation.body import CLOCKS_MHZ, Body, Process

HOT_C = 47.0
"""Above the 46 C at which a public thermal configuration of this phone caps its clock at the lowest step."""
WARM_STEP, HOT_STEP = 2, len(CLOCKS_MHZ) - 1
"""Indices into ``CLOCKS_MHZ``: 1401.6 MHz above 42 C in the same file, and 652.8 MHz."""


class Physics:
    """Heat, charge, clock and latency of one phone, from *start* in seconds since 1970 on."""

    def __init__(self, character: SimulatedPhone, start: float) -> None:
        self._character = character
        self._body = Body(character, start)
        self._known: dict[tuple[str, int], tuple[str, tuple[float, ...]]] = {}

    def body(self, now: float) -> Body:
        """Return the body as it is at *now*, in seconds since 1970."""
        self._body.rest(max(now - self._body.now, 0.0))
        return self._body

    def health(self, now: float) -> Health:
        """Return how the phone is at *now*."""
        return self.body(now).health()

    def load(self, network: bytes, threads: int, now: float) -> Process:
        """Start a process that has loaded *network*.

        Raises:
            WorkloadError: it is no network that this phone can run.
        """
        which = (hashlib.sha256(network).hexdigest(), threads)
        if which not in self._known:
            self._known[which] = _latencies(network, threads)
        fingerprint, latency = self._known[which]
        return self.body(now).start(fingerprint, threads, latency)

    def run(self, process: Process, runs: int) -> tuple[list[float], float]:
        """Return the milliseconds of each of *runs* runs of *process*, and the time at which they are over."""
        times = self._body.run(process, runs)
        return [float(time) for time in times], self._body.now

    def heat(self, now: float) -> None:
        """Make the phone hot, and its clock slow, until :meth:`cool`."""
        body = self.body(now)
        body.ambient_c = body.temperature_c = HOT_C
        self.throttle(now, HOT_STEP)

    def throttle(self, now: float, step: int = WARM_STEP) -> None:
        """Cap the clock at ``CLOCKS_MHZ[step]`` until :meth:`cool`."""
        self.body(now).throttle(step, math.inf)

    def cool(self, now: float) -> None:
        """Undo :meth:`heat` and :meth:`throttle`."""
        body = self.body(now)
        body.ambient_c = self._character.ambient_c
        body.temperature_c = min(body.temperature_c, body.ambient_c)
        body.throttle(0, 0.0)


def _latencies(network: bytes, threads: int) -> tuple[str, tuple[float, ...]]:
    """Return the fingerprint of *network* and its latencies at each of ``CLOCKS_MHZ``, in ms on a typical phone."""
    graph = graph_of(parse(network))
    used = min(threads, CORES)
    return graph.fingerprint, tuple(latency_ms(graph.operators, threads=used, mhz=mhz) for mhz in CLOCKS_MHZ)
