"""A whole lab in virtual time: simulated phones, a stream of requests, faults, and the real coordinator and workers.

``fer-lab simulate`` and the chaos benchmark run it. Its networks are made up: only their latencies exist, so that
10,000 different ones cost nothing. Everything it measures is ``simulated``.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from devicelab.commands import Answer, Command, Enrolled, Heartbeat, Open, Read, Submit
from devicelab.config import NoiseName, SimulatedPhone
from devicelab.coordinator import Coordinator
from devicelab.drivers.simulator import START_SECONDS, SimulatedDriver
from devicelab.engine import Engine
from devicelab.errors import WorkloadError
from devicelab.events import NORMAL
from devicelab.measurement import Workload
from devicelab.policy import Policy
from devicelab.protocols import VirtualClock
from devicelab.simulation.body import CLOCKS_MHZ
from devicelab.simulation.injector import Injector, Surroundings
from devicelab.store import Store

START = 1.75e9
"""When every simulation starts (seconds since 1970)."""
FILE_BYTES = 4_000_000
PHONES_PER_HOST = 8
LATE_SECONDS = 45.0
"""How late a late result is: later than a lease lives."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A simulation: phones, and what befalls them. The same plan always runs the same way.

    ``fault_rate`` is the chance that one call to a phone fails, ``mischief`` that what a worker tells comes twice, too
    late, or never because the worker died. ``hopeless`` names phones with the fault that only a hand can end.
    """

    devices: int = 64
    seed: int = 0
    noise: NoiseName = "quiet"
    fault_rate: float = 0.0
    mischief: float = 0.0
    hopeless: Mapping[int, str] = field(default_factory=dict)
    policy: Policy = field(default_factory=lambda: Policy(patience_seconds=1e9, wait_for_operator=True))


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that arrives at *at* (seconds from the start) for a network of *ms* on a typical phone."""

    name: str
    ms: float
    at: float = 0.0
    search: str = "default"
    priority: int = NORMAL

    @property
    def workload(self) -> Workload:
        """The made-up network: its fingerprint is that of its latency."""
        digest = hashlib.sha256(f"made up: {self.ms!r} ms".encode()).hexdigest()
        return Workload(path=Path("made-up.tflite"), fingerprint=digest, threads=1)


class MadeUpDriver(SimulatedDriver):
    """A simulated phone that runs made-up networks, whose latencies it finds by their fingerprints."""

    def __init__(
        self, config: SimulatedPhone, clock: VirtualClock, around: Surroundings, latencies: Mapping[str, float]
    ) -> None:
        super().__init__(config, clock, around)
        self._latencies = latencies

    def load(self, workload: Workload) -> None:
        """Start a process for a made-up network."""
        self._process = None
        milliseconds = self._latencies.get(workload.fingerprint)
        if milliseconds is None:
            raise WorkloadError(f"{workload.fingerprint[:12]}: nobody has made this network up")
        self._begin("load")
        self._push(workload.fingerprint, FILE_BYTES)
        self._wait(START_SECONDS)
        latency = tuple(milliseconds * CLOCKS_MHZ[0] / mhz for mhz in CLOCKS_MHZ)
        self._process = self.body.start(workload.fingerprint, workload.threads, latency)


class Mischief:
    """Delivers what workers tell as ``Injector.delivery`` says: once, twice, too late, or never (the worker died)."""

    def __init__(self, rng: np.random.Generator, rate: float) -> None:
        self._injector = Injector(rng, rate, {})
        self.done: list[str] = []

    def deliver(self, command: Command, _now: float) -> tuple[float, ...] | None:
        """See ``engine.Weather``."""
        kind = self._injector.delivery() if not isinstance(command, Heartbeat) else "once"
        if kind == "once" or (kind == "late" and not isinstance(command, Read)):
            return (0.0,)
        self.done.append(kind)
        return {"twice": (0.0, 0.5), "late": (LATE_SECONDS,), "never": None}[kind]


class Fleet:
    """The lab of *plan* with its store at *path*; ``run`` it, then look at ``store`` and ``answers``."""

    def __init__(self, plan: Plan, path: Path, asks: Sequence[Ask]) -> None:
        self.plan = plan
        self.store = Store(path, durable=False)
        self.latencies = {ask.workload.fingerprint: ask.ms for ask in asks}
        names = [f"p{number:03d}" for number in range(plan.devices)]
        self.hosts = {name: f"h{number // PHONES_PER_HOST}" for number, name in enumerate(names)}
        self.around = {host: Surroundings() for host in dict.fromkeys(self.hosts.values())}
        clocks = {name: VirtualClock(START) for name in names}
        self.drivers = {
            name: MadeUpDriver(
                SimulatedPhone(name=name, seed=plan.seed, noise=plan.noise, fault_rate=plan.fault_rate),
                clocks[name],
                self.around[self.hosts[name]],
                self.latencies,
            )
            for name in names
        }
        for number, fault in plan.hopeless.items():
            self.drivers[names[number]].injector.inflict(fault)
        self.mischief = Mischief(np.random.default_rng((plan.seed, 7)), plan.mischief)
        self.engine = Engine(Coordinator(self.store, plan.policy), self.drivers, clocks, START, self.mischief)
        enrolled = [Enrolled(driver.device, self.hosts[name], "room") for name, driver in self.drivers.items()]
        self.engine.tell(Open(tuple(enrolled)))
        for ask in asks:
            self.engine.at(START + ask.at, lambda ask=ask: self._submit(ask))  # type: ignore[misc]
        self._asked = len(asks)

    def _submit(self, ask: Ask) -> None:
        self.engine.tell(Submit(ask.name, ask.workload, ask.search, priority=ask.priority, prior_ms=ask.ms))

    @property
    def answers(self) -> dict[str, Answer]:
        """How requests ended, by their names."""
        return self.engine.answers

    def run(self, longest_seconds: float = 30 * 86400.0) -> float:
        """Let time pass until every request has ended, *longest_seconds* at most; return how much has passed."""
        end = START + longest_seconds
        self.engine.run_until(lambda: len(self.answers) >= self._asked or self.engine.now >= end)
        return self.engine.now - START

    def run_for(self, seconds: float) -> None:
        """Let *seconds* pass."""
        end = self.engine.now + seconds
        self.engine.run_until(lambda: self.engine.now >= end)

    def close(self) -> None:
        """Close the store."""
        self.store.close()
