"""The body of a simulated phone: temperatures, battery, clock, and what a run takes on it.

A body has a time of its own, ``now``, which only moves forward: by ``rest`` (idle) and by what it
runs. Whoever drives it keeps it in step with a clock.
Chance is drawn per process start from (seed, name, key, threads, how often that key was started before),
so a measurement does not depend on what else the lab measured.
"""

import math
import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devicelab.config import SimulatedPhone
from devicelab.device import Health
from devicelab.simulation.noise import BURST, CHUNK, NOISES, Bursts, Chance, Times, cold

CLOCKS_MHZ = (1804.8, 1689.6, 1401.6, 1248.0, 1036.8, 652.8)
"""Operating points of the SD450, all cores on one clock (Linux: msm8953.dtsi, sdm450.dtsi)."""
REFERENCE_MS = 20.0
"""The reference workload: pure computing on one thread, at the highest clock of a phone of factor 1."""
TRIP_SOC_C, TRIP_BODY_C, HYSTERESIS_C = 80.0, 40.0, 2.0
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
FREE_MB = 8000.0
REFERENCE_LATENCY = tuple(REFERENCE_MS * CLOCKS_MHZ[0] / mhz for mhz in CLOCKS_MHZ)


@dataclass(slots=True)
class Process:
    """One process start: what it runs, in ms on a typical phone at each of ``CLOCKS_MHZ``, and its chance."""

    latency_ms: tuple[float, ...]
    threads: int
    offset: float
    chance: Chance
    bursts: Bursts


class Body:
    """One simulated phone from *now* (seconds) on; ``factor`` is how slow it is, 1 for a typical phone.

    ``ambient_c`` is the air around it and may be changed at any time. ``spoilt`` is the truth that no measurement
    sees: which of the runs last made were disturbed or throttled.
    """

    def __init__(self, config: SimulatedPhone, now: float) -> None:
        self.now = self._governed = now
        self.ambient_c = self.temperature_c = self.soc_c = config.ambient_c
        self.battery_percent = config.battery_percent
        self.charging = True
        self.free_mb = FREE_MB
        self.screen_on = True
        self.noise = NOISES[config.noise]
        self._identity = (config.seed, zlib.crc32(config.name.encode()))
        self.factor = float(np.exp(np.random.default_rng(self._identity).normal(0.0, config.factor_sd)))
        self.spoilt: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._tells_clock = config.tells_clock
        self._step, self._cap, self._capped_until = 0, 0, -math.inf
        self._starts: Counter[tuple[str, int]] = Counter()
        self._boots = 0
        self._booted = now

    @property
    def mhz(self) -> float:
        """The clock it runs at."""
        return CLOCKS_MHZ[self._clock_step()]

    def health(self) -> Health:
        """Return how the phone is, rounded as ``dumpsys`` shows it."""
        return Health(
            temperature_c=round(self.temperature_c, 1),
            battery_percent=round(self.battery_percent, 1),
            frequency_mhz=self.mhz if self._tells_clock else None,
            nominal_mhz=CLOCKS_MHZ[0],
            charging=self.charging,
            battery_health="good",
            screen_on=self.screen_on,
            load1=0.3,
            free_mb=self.free_mb,
            uptime_s=round(self.now - self._booted, 2),
            boot_id=f"{self._identity[1]:08x}-{self._boots}",
        )

    def start(self, key: str, threads: int, latency_ms: tuple[float, ...]) -> Process:
        """Start a process that runs the network with the hexadecimal *key*."""
        which = (key, threads)
        rng = np.random.default_rng((*self._identity, int(key[:16], 16), threads, self._starts[which]))
        self._starts[which] += 1
        offset = float(rng.normal(0.0, self.noise.session_sd))
        chance = Chance(rng, self.noise, float(rng.normal(0.0, self.noise.drift_sd)))
        bursts = Bursts.begin(self.noise.burst_every_s, rng, self.now)
        return Process(latency_ms, threads, math.exp(offset) * self._residual(key, threads), chance, bursts)

    def _residual(self, key: str, threads: int) -> float:
        """How this phone's factor differs for this network: the same in every process."""
        rng = np.random.default_rng((*self._identity, int(key[:16], 16), threads))
        return math.exp(float(rng.normal(0.0, self.noise.residual_sd)))

    def run(self, process: Process, runs: int) -> Times:
        """Run *process*'s network *runs* >= 1 times back to back; return how long each took, in ms."""
        base = tuple(process.offset * latency for latency in process.latency_ms)
        times = self._times(process, base, process.threads, runs, warm=False)
        process.chance.runs += runs
        return times

    def reference(self, runs: int, process: Process | None = None) -> Times:
        """Run the reference workload *runs* times, warmed up; return the times in ms.

        Inside *process*, if there is one, it is a small loop of its own that knows no offset; else it is a new process
        with an offset, but without the network's residual: what it measures is the factor.
        """
        if process is not None:
            return self._times(process, REFERENCE_LATENCY, 1, runs, warm=True)
        process = self.start("0", 1, REFERENCE_LATENCY)
        offset = process.offset / self._residual("0", 1)
        base = tuple(offset * latency for latency in REFERENCE_LATENCY)
        return self._times(process, base, 1, runs, warm=True)

    def rest(self, seconds: float) -> None:
        """Be idle for *seconds* >= 0."""
        self._age(seconds, busy=0.0)

    def throttle(self, step: int, seconds: float) -> None:
        """Run no faster than ``CLOCKS_MHZ[step]`` for the next *seconds*, for whatever reason."""
        self._cap, self._capped_until = step, self.now + seconds

    def reboot(self) -> None:
        """Come back from a restart: a new boot id, uptime from here, full clock, free of caps."""
        self._boots += 1
        self._booted = self.now
        self._step, self._capped_until = 0, -math.inf

    def _clock_step(self) -> int:
        return max(self._step, self._cap if self.now < self._capped_until else 0)

    def _times(self, process: Process, base: tuple[float, ...], threads: int, runs: int, *, warm: bool) -> Times:
        """Draw runs in stretches in which neither clock nor background work change: a numpy operation each, not a run.

        A run that begins before such a change keeps the speed it began with.
        """
        busy = BASE_SHARE + (1 - BASE_SHARE) * min(threads, 4) / 4
        stretches: list[Times] = []
        spoilt: list[NDArray[np.bool_]] = []
        done = 0
        while done < runs:
            disturbed, horizon = process.bursts.at(self.now)
            step = self._clock_step()
            horizon = min(horizon, self._clock_changes_in(busy))
            typical = base[step] * self.factor * (BURST if disturbed else 1.0)
            count = min(runs - done, CHUNK, 8 + int(min(1e3 * horizon / typical, CHUNK)))
            times = typical * process.chance.factors(count)
            if not warm and process.chance.runs + done < 40:
                times *= cold(process.chance.runs + done, count)
            seconds = np.cumsum(times) / 1e3
            if seconds[-1] > horizon:  # the run that crosses the border is still of this stretch
                count = min(count, int(np.searchsorted(seconds, horizon)) + 1)
                times = times[:count]
            process.chance.keep(count)
            spoilt.append(np.full(count, disturbed or step > 0))
            self._age(float(seconds[count - 1]), busy)
            stretches.append(times)
            done += count
        self.spoilt = np.concatenate(spoilt)
        return stretches[0] if len(stretches) == 1 else np.concatenate(stretches)

    def _clock_changes_in(self, busy: float) -> float:
        """Return the seconds until the clock may change under the load *busy*, infinite if it cannot."""
        capped = self._capped_until - self.now if self.now < self._capped_until else math.inf
        body = max(self.temperature_c, self.ambient_c + BODY_RISE_C * busy)
        soc = max(self.soc_c, body + SOC_RISE_C * busy)
        if self._step == 0 and body <= TRIP_BODY_C and soc <= TRIP_SOC_C:
            return capped
        return min(capped, GOVERNOR_SECONDS - (self.now - self._governed) % GOVERNOR_SECONDS)

    def _age(self, seconds: float, busy: float) -> None:
        """Move time, temperatures, charge and clock on by *seconds* of the load *busy*."""
        self.now += seconds
        body = self.ambient_c + BODY_RISE_C * busy
        self.temperature_c = body + (self.temperature_c - body) * math.exp(-seconds / BODY_TAU_S)
        soc = self.temperature_c + SOC_RISE_C * busy
        self.soc_c = soc + (self.soc_c - soc) * math.exp(-seconds / SOC_TAU_S)
        if busy or not self.charging:
            self.battery_percent = max(self.battery_percent - DRAIN_PER_S * seconds, 0.0)
        elif self.battery_percent < CHARGE_LIMIT_PERCENT:
            self.battery_percent = min(self.battery_percent + CHARGE_PER_S * seconds, CHARGE_LIMIT_PERCENT)
        decisions = int((self.now - self._governed) / GOVERNOR_SECONDS)
        self._governed += decisions * GOVERNOR_SECONDS
        for _ in range(min(decisions, len(CLOCKS_MHZ))):
            self._govern()

    def _govern(self) -> None:
        """One decision of the thermal governor: a step down above a trip, a step up when both are left behind."""
        if self.soc_c > TRIP_SOC_C or self.temperature_c > TRIP_BODY_C:
            self._step = min(self._step + 1, len(CLOCKS_MHZ) - 1)
        elif self.soc_c < TRIP_SOC_C - HYSTERESIS_C and self.temperature_c < TRIP_BODY_C - HYSTERESIS_C:
            self._step = max(self._step - 1, 0)
