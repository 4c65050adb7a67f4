"""A simulated Moto G6 as a driver: the arithmetic of ``devicelab.simulation`` behind the verbs of a phone.

Its latency comes from the operators of the actual .tflite (``devicelab.roofline``); around that stand the
phone's body and, if it is asked for, faults. Everything it says is stamped ``simulated``. Time passes only through
the clock: on a virtual one nobody waits.
"""

import functools
from pathlib import Path

import numpy as np

from devicelab.config import SimulatedPhone
from devicelab.device import Device, Health, Platform
from devicelab.errors import DeviceError, HostError, WorkloadError
from devicelab.faults import FAULTS, Rung
from devicelab.graph import read_graph
from devicelab.measurement import Burst, Workload
from devicelab.operators import Graph
from devicelab.protocols import Clock
from devicelab.roofline import latency_ms
from devicelab.simulation.body import CLOCKS_MHZ, REFERENCE_MS, Body, Process
from devicelab.simulation.injector import Ailment, Injector, Surroundings, Verb

PLATFORM = Platform(
    product="Moto G6",
    os_build="Android 9, simulated 2",
    runtime="TFLite CPU, simulated roofline 1",
    source="simulated",
)
"""Raise the numbers when the arithmetic changes: measurements of the old phone must not answer for the new one."""
CORES = 8
LONGEST_MS = 60_000.0
START_SECONDS = 1.5
REFERENCE_START_SECONDS = 0.5
PUSH_BYTES_PER_S = 8e6
TIME_LIMIT_SECONDS = 60.0
"""How long a call that hangs lasts before the driver gives up."""
REBOOT_SECONDS = 105.0
"""45 s, and a minute to settle."""
RECOVERY_SECONDS = {
    Rung.RETRY: 4.0,
    Rung.RECONNECT: 5.0,
    Rung.REINSTALL: 10.0,
    Rung.PORT_CYCLE: 15.0,
    Rung.REBOOT: REBOOT_SECONDS,
    Rung.HUB_POWER: REBOOT_SECONDS + 15.0,
}
"""How long each step of the ladder takes. Assumptions."""
HEAT_C, THROTTLE_SECONDS = 12.0, 90.0
DISTURBED_SECONDS = 8.0


@functools.lru_cache(maxsize=256)
def _graph(path: Path, changed_ns: int, size: int) -> tuple[Graph, dict[int, tuple[float, ...]]]:
    """Return the graph at *path*, with a cache of its latencies by threads. The other arguments tell versions apart."""
    del changed_ns, size
    return read_graph(path), {}


def latencies_of(workload: Workload) -> tuple[Graph, tuple[float, ...]]:
    """Return the graph of *workload* and its ms on a typical phone at each of ``CLOCKS_MHZ``.

    Raises:
        WorkloadError: the file cannot be read or was exchanged, wants more threads than there are cores, or takes
            a minute a run.
    """
    path, threads = workload.path, workload.threads
    if threads > CORES:
        raise WorkloadError(f"{threads} threads on a phone with {CORES} cores; use 1, 2, 4 or 8")
    try:
        stat = path.stat()
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be read: {error.strerror}") from None
    graph, known = _graph(path, stat.st_mtime_ns, stat.st_size)
    if graph.fingerprint != workload.fingerprint:
        raise WorkloadError(f"{path}: was changed since it was read; measure it again")
    if threads not in known:
        known[threads] = tuple(latency_ms(graph.operators, threads=threads, mhz=mhz) for mhz in CLOCKS_MHZ)
    latency = known[threads]
    if not 0 < latency[0] < LONGEST_MS:
        raise WorkloadError(f"{path}: a run would take {latency[0]:.3g} ms; the limit is {LONGEST_MS:g}")
    return graph, latency


class SimulatedDriver:
    """One simulated phone; see the module, and ``devicelab.protocols.Driver`` for the verbs.

    ``body`` and ``injector`` are the phone's insides, for whoever simulates its surroundings and judges what
    was measured; *surroundings* are shared by the phones of one host.
    """

    def __init__(self, config: SimulatedPhone, clock: Clock, surroundings: Surroundings | None = None) -> None:
        self.device = Device(name=config.name, platform=PLATFORM)
        self.reference_ms = REFERENCE_MS
        self.body = Body(config, clock.now())
        chance = np.random.default_rng((config.seed, *config.name.encode(), 1))
        self.injector = Injector(chance, config.fault_rate, config.fault_weights)
        self._ambient_c = config.ambient_c
        self._around = surroundings or Surroundings()
        self._clock = clock
        self._pushed: set[str] = set()
        self._process: Process | None = None

    def health(self) -> Health:
        """Return how the phone is now; see ``Driver.health``."""
        self._begin("health")
        return self.body.health()

    def load(self, workload: Workload) -> None:
        """Start a process for *workload*: 1.5 s, and the time to push the file; see ``Driver.load``."""
        self._process = None
        graph, latency = latencies_of(workload)
        self._begin("load")
        self._push(workload.fingerprint, graph.size)
        self._wait(START_SECONDS)
        self._process = self.body.start(workload.fingerprint, workload.threads, latency)

    def reference(self, runs: int) -> Burst:
        """Run the reference workload, 20 ms of pure computing on one thread; see ``Driver.reference``."""
        garbled = self._begin("reference")
        if self._process is None:
            self._wait(REFERENCE_START_SECONDS)
        times = self.body.reference(runs, self._process)
        self._catch_up()
        return Burst.of(times[: len(times) // 2 + 1] if garbled else times)

    def run(self, runs: int) -> Burst:
        """Run the loaded workload; see ``Driver.run``."""
        garbled = self._begin("run")
        process = self._process
        if process is None:
            raise DeviceError(f"{self.device.name}: nothing is loaded", FAULTS["F3"])
        cold = process.chance.runs == 0
        times = self.body.run(process, runs)
        self._catch_up()
        return Burst.of(times[: len(times) // 2] if garbled and runs > 1 else times, cold=cold)

    def unload(self) -> None:
        """End the process; see ``Driver.unload``."""
        self._begin("unload")
        self._process = None

    def recover(self, rung: Rung) -> None:
        """Spend the time that *rung* takes; see ``Driver.recover``."""
        self._process = None
        self._synchronise()
        self._host()
        self._wait(RECOVERY_SECONDS[rung])
        if rung >= Rung.REBOOT:
            self.body.reboot()
        if not self.injector.climb(rung):
            self._fail(self.injector.strike("health"))
        self.body.screen_on, self.body.free_mb = True, 8000.0

    def close(self) -> None:
        """Hold nothing."""

    def _push(self, fingerprint: str, size: int) -> None:
        """Bring a file to the phone, unless it is there."""
        if fingerprint not in self._pushed:
            self._wait(size / PUSH_BYTES_PER_S)
            self._pushed.add(fingerprint)

    def _begin(self, verb: Verb) -> bool:
        """Account for the time since the phone was last used and let *verb* fail if it is to; return if garbled."""
        self._synchronise()
        self._host()
        ailment = self.injector.strike(verb)
        if ailment is None:
            return False
        return self._suffer(ailment)

    def _suffer(self, ailment: Ailment) -> bool:
        """Let *ailment* show; return whether the output of the call is garbled."""
        body = self.body
        match ailment.effect:
            case "garble":
                return True
            case "heat":
                body.temperature_c += HEAT_C
                body.throttle(1, THROTTLE_SECONDS)
            case "drain":
                body.battery_percent = min(body.battery_percent, 25.0)
            case "disturb":
                if self._process is not None:
                    self._process.bursts.ends = body.now + DISTURBED_SECONDS
            case "reboot":
                self._wait(REBOOT_SECONDS)
                body.reboot()
                self._fail(ailment)
            case "hang":
                self._wait(TIME_LIMIT_SECONDS)
                self._fail(ailment)
            case _:
                body.free_mb = 100.0 if ailment.effect == "fill" else body.free_mb
                body.screen_on = ailment.effect != "cover"
                self._fail(ailment)
        return False

    def _fail(self, ailment: Ailment | None) -> None:
        fault = ailment.fault if ailment else FAULTS["F0"]
        raise DeviceError(f"{self.device.name}: {fault.title} (simulated)", fault)

    def _host(self) -> None:
        if self._around.host is not None:
            raise HostError(f"{self._around.host.title} (simulated)", self._around.host)

    def _synchronise(self) -> None:
        """Let the body live through the time since it was last used."""
        self.body.ambient_c = self._ambient_c + self._around.extra_c
        behind = self._clock.now() - self.body.now
        if behind > 0:
            self.body.rest(behind)

    def _wait(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        self._synchronise()

    def _catch_up(self) -> None:
        """Let the clock pass for what the body has run."""
        ahead = self.body.now - self._clock.now()
        if ahead > 0:
            self._clock.sleep(ahead)
