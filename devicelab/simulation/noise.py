"""How a phone's runs scatter: classes of restlessness, and many runs drawn at once.

The defaults are assumptions to be replaced by an hour on a real phone; published spreads of single runs on
phones are 0.4-2.8 % (TensorFlow Lite's own table, pinned) to 8 % and more with background work.
"""

import math
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from devicelab.config import NoiseName

Times = NDArray[np.float64]

DRIFT_PHI, DRIFT_SD = 0.9, 0.004
"""Slow drift of successive runs: AR(1) with this correlation and standard deviation."""
COLD_EXTRA, COLD_RUNS = 0.9, 1.5
"""The first run takes 1.9 times as long; the excess decays with this many runs."""
BURST, BURST_SECONDS = 1.3, (1.0, 4.0)
"""Background work makes runs this many times as long, for a time drawn evenly from this range."""
CHUNK = 512
_POWERS = DRIFT_PHI ** np.arange(CHUNK + 1)


@dataclass(frozen=True, slots=True)
class Noise:
    """How restless a phone is: relative standard deviations of runs and process starts, spikes, bursts.

    A spike makes one run longer by the fraction Exp(``spike_mean``) with probability
    ``spike_chance``; a burst of background work slows all runs by ``BURST``,
    every ``burst_every_s`` seconds on average. ``residual_sd`` is how differently phones feel one network
    after their common factor: not every network is slow on a slow phone by the same amount.
    """

    run_sd: float
    session_sd: float
    spike_chance: float
    burst_every_s: float = math.inf
    drift_sd: float = DRIFT_SD
    spike_mean: float = 0.25
    residual_sd: float = 0.003


NOISES: MappingProxyType[NoiseName, Noise] = MappingProxyType(
    {
        "silent": Noise(0.0, 0.0, 0.0, drift_sd=0.0, residual_sd=0.0),
        "quiet": Noise(0.012, 0.008, 0.03),
        "noisy": Noise(0.03, 0.012, 0.08, burst_every_s=40.0),
        "bad": Noise(0.06, 0.015, 0.10, burst_every_s=15.0),
    }
)


@dataclass(slots=True)
class Bursts:
    """When background work disturbs one process: a renewal process, in its steady state from the start."""

    every_s: float
    rng: np.random.Generator
    starts: float
    ends: float

    @classmethod
    def begin(cls, every_s: float, rng: np.random.Generator, now: float) -> "Bursts":
        """Return the bursts from *now* on; with the chance of the steady state one is under way."""
        if not math.isfinite(every_s):
            return cls(every_s, rng, math.inf, -math.inf)
        mean = sum(BURST_SECONDS) / 2
        ends = now + rng.uniform(0, BURST_SECONDS[1]) if rng.random() < mean / (mean + every_s) else -math.inf
        return cls(every_s, rng, max(now, ends) + float(rng.exponential(every_s)), ends)

    def at(self, now: float) -> tuple[bool, float]:
        """Return whether a burst is on at *now*, and the seconds until that changes. *now* never goes back."""
        while now >= self.starts:
            self.ends = self.starts + float(self.rng.uniform(*BURST_SECONDS))
            self.starts = self.ends + float(self.rng.exponential(self.every_s))
        return (True, self.ends - now) if now < self.ends else (False, self.starts - now)


@dataclass(slots=True)
class Chance:
    """The state of one process's noise."""

    rng: np.random.Generator
    noise: Noise
    drift: float
    runs: int = 0

    def factors(self, count: int) -> Times:
        """Return what chance multiplies each of the next *count* <= ``CHUNK`` runs with; ``keep`` says how many were.

        Nothing of the state changes but the generator's.
        """
        rng, noise = self.rng, self.noise
        scatter = rng.standard_normal((2, count))
        drift = self._drifts(scatter[0])
        factors: Times = np.exp(drift + noise.run_sd * scatter[1])
        if noise.spike_chance:
            spiked = np.flatnonzero(rng.random(count) < noise.spike_chance)
            if spiked.size:
                factors[spiked] *= 1 + rng.exponential(noise.spike_mean, spiked.size)
        self._latest = drift
        return factors

    _latest: Times | None = None

    def keep(self, count: int) -> None:
        """Let *count* of the runs last drawn have happened."""
        if self._latest is not None and count:
            self.drift = float(self._latest[count - 1])

    def _drifts(self, normal: Times) -> Times:
        """The AR(1) recursion d = phi d + e of all runs at once: a cumulative sum of e / phi^k, times phi^k."""
        powers = _POWERS[1 : len(normal) + 1]
        innovation = self.noise.drift_sd * math.sqrt(1 - DRIFT_PHI**2)
        drifts: Times = powers * (self.drift + np.cumsum(innovation * normal / powers))
        return drifts


def cold(first: int, count: int) -> Times:
    """Return the factors of a process's runs number *first* (0-based) and the *count* - 1 after it, for being cold."""
    excess: Times = 1 + COLD_EXTRA * np.exp(-np.arange(first, first + count) / COLD_RUNS)
    return excess
