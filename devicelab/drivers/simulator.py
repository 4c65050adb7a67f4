"""A simulated Moto G6: a phone of arithmetic that heats up, drifts and is disturbed.

Its latency comes from the operators of the actual .tflite (``devicelab.roofline``); around that stand the
phone's own factor, the clock it throttles to, an offset per process start, and the noise of single
runs. It is a driver like any other: everything it says is stamped ``simulated``.

Chance is drawn per process start from (seed, name, graph, threads, how often that graph was loaded before),
so a measurement does not depend on what else the lab measured. Time passes only through the clock.
"""

import math
import zlib
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from devicelab.config import NoiseName, SimulatedPhone
from devicelab.device import Device, Health, Platform
from devicelab.errors import DeviceError, WorkloadError
from devicelab.faults import Rung
from devicelab.graph import read_graph
from devicelab.measurement import Burst, Workload
from devicelab.protocols import Clock
from devicelab.roofline import latency_ms

PLATFORM = Platform(
    product="Moto G6",
    os_build="Android 9, simulated 1",
    runtime="TFLite CPU, simulated roofline 1",
    source="simulated",
)
"""Raise the numbers when the arithmetic changes: measurements of the old phone must not answer for the new one."""
REFERENCE_MS = 20.0
CORES = 8
LONGEST_MS = 60_000.0

CLOCKS_MHZ = (1804.8, 1689.6, 1401.6, 1248.0, 1036.8, 652.8)
"""Operating points of the SD450, all cores on one clock (Linux: msm8953.dtsi, sdm450.dtsi)."""
TRIP_SOC_C = 80.0
TRIP_BODY_C = 40.0
HYSTERESIS_C = 2.0
"""Passive trip of the mainline kernel for the chip; the body's is what phones use to protect skin and battery."""
GOVERNOR_SECONDS = 1.0
SOC_RISE_C, SOC_TAU_S = 30.0, 8.0
BODY_RISE_C, BODY_TAU_S = 9.0, 300.0
"""Rises with four busy cores; assumptions, to be replaced by an hour on a real phone."""
BASE_SHARE = 0.15
"""Share of that heat which one busy core brings with it whatever the number of threads (memory, bus); assumption."""
CHARGE_PER_S, DRAIN_PER_S = 0.3 / 60, 0.1 / 60
"""Percent per second on a weak USB hub: charges when idle, drains under load."""
CHARGE_LIMIT_PERCENT = 80.0
START_SECONDS = 1.5
PUSH_BYTES_PER_S = 8e6
RECOVERY_SECONDS = {
    Rung.RETRY: 4.0,
    Rung.RECONNECT: 5.0,
    Rung.REINSTALL: 10.0,
    Rung.PORT_CYCLE: 15.0,
    Rung.REBOOT: 105.0,
    Rung.HUB_POWER: 120.0,
}
"""How long each step of the ladder takes; a reboot is 45 s and a minute to settle. Assumptions."""
COLD_EXTRA, COLD_RUNS = 0.9, 1.5
"""The first run takes 1.9 times as long; the excess decays with this many runs."""
DRIFT_PHI, DRIFT_SD = 0.9, 0.004
"""Slow drift of successive runs: AR(1) with this correlation and standard deviation."""


@dataclass(frozen=True, slots=True)
class Noise:
    """How restless a phone is: relative standard deviations of runs and process starts, spikes, bursts.

    A spike makes one run longer by the fraction Exp(``spike_mean``) with probability
    ``spike_chance``; a burst of background work makes all runs ``BURST`` times as long for 1 to 4 s,
    every ``burst_every_s`` seconds on average.
    """

    run_sd: float
    session_sd: float
    spike_chance: float
    burst_every_s: float = math.inf
    drift_sd: float = DRIFT_SD
    spike_mean: float = 0.25


NOISES: MappingProxyType[NoiseName, Noise] = MappingProxyType(
    {
        "silent": Noise(0.0, 0.0, 0.0, drift_sd=0.0),
        "quiet": Noise(0.012, 0.008, 0.03),
        "noisy": Noise(0.03, 0.012, 0.08, burst_every_s=40.0),
        "bad": Noise(0.06, 0.015, 0.10, burst_every_s=15.0),
    }
)
BURST = 1.3


@dataclass(slots=True)
class _Process:
    """One process start: what it runs and the state of its chance."""

    latency_ms: tuple[float, ...]  # at each of CLOCKS_MHZ
    threads: int
    rng: np.random.Generator
    offset: float
    drift: float
    burst_from: float
    burst_until: float
    runs: int = 0


class SimulatedDriver:
    """One simulated phone; see the module, and ``devicelab.protocols.Driver`` for the verbs."""

    def __init__(self, config: SimulatedPhone, clock: Clock) -> None:
        self.device = Device(name=config.name, platform=PLATFORM)
        self.reference_ms = REFERENCE_MS
        self._noise = NOISES[config.noise]
        self._identity = (config.seed, zlib.crc32(config.name.encode()))
        self.factor = float(np.exp(np.random.default_rng(self._identity).normal(0.0, config.factor_sd)))
        self._clock = clock
        self._ambient = config.ambient_c
        self._body = self._soc = config.ambient_c
        self._battery = config.battery_percent
        self._step = 0
        self._seen = clock.now()
        self._governed = self._seen
        self._starts: Counter[tuple[str, int]] = Counter()
        self._process: _Process | None = None
        self._nothing = self._start("0", 1, ())
        self._boot = f"{self._identity[1]:08x}"
        self._booted = clock.now()

    def health(self) -> Health:
        """Return how the phone is now; always answers."""
        self._idle()
        return Health(
            temperature_c=round(self._body, 1),
            battery_percent=round(self._battery, 1),
            frequency_mhz=CLOCKS_MHZ[self._step],
            nominal_mhz=CLOCKS_MHZ[0],
            charging=True,
            battery_health="good",
            screen_on=True,
            load1=0.3,
            free_mb=8000.0,
            uptime_s=self._clock.now() - self._booted,
            boot_id=self._boot,
        )

    def load(self, workload: Workload) -> None:
        """Start a process for *workload*: 1.5 s, and the time to push the file.

        Raises:
            WorkloadError: the file cannot be read, wants more threads than there are cores, or takes a minute a run.
        """
        self.unload()
        if workload.threads > CORES:
            raise WorkloadError(f"{workload.threads} threads on a phone with {CORES} cores; use 1, 2, 4 or 8")
        graph = read_graph(workload.path)
        if graph.fingerprint != workload.fingerprint:
            raise WorkloadError(f"{workload.path}: was changed since it was read; measure it again")
        latency = tuple(latency_ms(graph.operators, threads=workload.threads, mhz=mhz) for mhz in CLOCKS_MHZ)
        if not 0 < latency[0] < LONGEST_MS:
            raise WorkloadError(f"{workload.path}: a run would take {latency[0]:.3g} ms; the limit is {LONGEST_MS:g}")
        self._idle()
        self._pass(START_SECONDS + graph.size / PUSH_BYTES_PER_S, busy=0.0)
        self._process = self._start(workload.fingerprint, workload.threads, latency)

    def _start(self, fingerprint: str, threads: int, latency: tuple[float, ...]) -> _Process:
        which = (fingerprint, threads)
        graph_seed = int(fingerprint[:16], 16)
        rng = np.random.default_rng((*self._identity, graph_seed, threads, self._starts[which]))
        self._starts[which] += 1
        return _Process(
            latency_ms=latency,
            threads=threads,
            rng=rng,
            offset=math.exp(rng.normal(0.0, self._noise.session_sd)),
            drift=rng.normal(0.0, self._noise.drift_sd),
            burst_from=self._clock.now() + self._until_burst(rng),
            burst_until=-math.inf,
        )

    def reference(self, runs: int) -> Burst:
        """Run the reference workload, 20 ms of pure computing on one thread; see ``Driver.reference``."""
        self._idle()
        process = self._process or self._nothing
        times = []
        for _ in range(runs):
            throttled = CLOCKS_MHZ[0] / CLOCKS_MHZ[self._step]
            times.append(self._once(process, REFERENCE_MS * throttled, threads=1))
        return Burst.of(times)

    def run(self, runs: int) -> Burst:
        """Run the loaded workload; see ``Driver.run``."""
        process = self._loaded()
        cold_start = process.runs == 0
        times = []
        for _ in range(runs):
            cold = 1 + COLD_EXTRA * math.exp(-process.runs / COLD_RUNS)
            typical = process.latency_ms[self._step] * process.offset * cold
            times.append(self._once(process, typical, process.threads))
            process.runs += 1
        return Burst.of(times, cold=cold_start)

    def unload(self) -> None:
        """End the process; a simulated phone always confirms."""
        self._process = None

    def recover(self, rung: Rung) -> None:
        """Spend the time that *rung* takes; what was loaded is gone."""
        self.unload()
        self._idle()
        self._pass(RECOVERY_SECONDS[rung], busy=0.0)

    def close(self) -> None:
        """Hold nothing."""

    def _loaded(self) -> _Process:
        if self._process is None:
            raise DeviceError(f"{self.device.name}: nothing is loaded")
        self._idle()
        return self._process

    def _once(self, process: _Process, milliseconds: float, threads: int) -> float:
        """Let one run of *milliseconds* on a typical phone happen on this one, and return how long it took."""
        rng, noise = process.rng, self._noise
        innovation = noise.drift_sd * math.sqrt(1 - DRIFT_PHI**2)
        process.drift = DRIFT_PHI * process.drift + rng.normal(0.0, innovation)
        time = milliseconds * self.factor * math.exp(process.drift + rng.normal(0.0, noise.run_sd))
        if rng.random() < noise.spike_chance:
            time *= 1 + rng.exponential(noise.spike_mean)
        if self._in_burst(process):
            time *= BURST
        self._pass(time / 1e3, busy=BASE_SHARE + (1 - BASE_SHARE) * min(threads, 4) / 4)
        return time

    def _until_burst(self, rng: np.random.Generator) -> float:
        every = self._noise.burst_every_s
        return float(rng.exponential(every)) if math.isfinite(every) else math.inf

    def _in_burst(self, process: _Process) -> bool:
        now = self._clock.now()
        while now >= process.burst_from:
            process.burst_until = process.burst_from + process.rng.uniform(1.0, 4.0)
            process.burst_from = process.burst_until + self._until_burst(process.rng)
        return now < process.burst_until

    def _idle(self) -> None:
        """Account for the time since the phone was last used."""
        self._age(self._clock.now() - self._seen, busy=0.0)

    def _pass(self, seconds: float, busy: float) -> None:
        """Let *seconds* pass with the share *busy* of a four-core load."""
        self._clock.sleep(seconds)
        self._age(seconds, busy)

    def _age(self, seconds: float, busy: float) -> None:
        """Move temperatures, charge and clock on by *seconds* of the load *busy*."""
        self._seen = self._clock.now()
        body = self._ambient + BODY_RISE_C * busy
        self._body = body + (self._body - body) * math.exp(-seconds / BODY_TAU_S)
        soc = self._body + SOC_RISE_C * busy
        self._soc = soc + (self._soc - soc) * math.exp(-seconds / SOC_TAU_S)
        if busy:
            self._battery = max(self._battery - DRAIN_PER_S * seconds, 0.0)
        elif self._battery < CHARGE_LIMIT_PERCENT:
            self._battery = min(self._battery + CHARGE_PER_S * seconds, CHARGE_LIMIT_PERCENT)
        decisions = int((self._seen - self._governed) / GOVERNOR_SECONDS)
        self._governed += decisions * GOVERNOR_SECONDS
        for _ in range(min(decisions, len(CLOCKS_MHZ))):
            self._govern()

    def _govern(self) -> None:
        """One decision of the thermal governor: a step down above a trip, a step up when both are left behind."""
        if self._soc > TRIP_SOC_C or self._body > TRIP_BODY_C:
            self._step = min(self._step + 1, len(CLOCKS_MHZ) - 1)
        elif self._soc < TRIP_SOC_C - HYSTERESIS_C and self._body < TRIP_BODY_C - HYSTERESIS_C:
            self._step = max(self._step - 1, 0)
