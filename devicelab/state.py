"""What the lab knows at one moment: phones, questions, incidents. Records that only ``devicelab.fold`` changes."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from devicelab import events as ev
from devicelab.device import Device, Health, Platform
from devicelab.lease import Lease
from devicelab.machine import State
from devicelab.measurement import Reading, Workload
from devicelab.normalisation import Calibration

BLOCKS_A_MINUTE = 7.5
RATE_MEMORY = 500.0
"""Blocks over which the lab's failure rate is averaged."""


@dataclass(slots=True)
class Phone:
    """A phone. ``used`` are its phone-seconds, ``has`` what was on it lately, ``measured`` since the last reference."""

    device: Device
    host: str
    room: str
    state: State = State.DISCOVERED
    since: float = 0.0
    cause: str = ""
    fault: str = ""
    present: bool = True
    draining: bool = False
    token: int = 0
    lease: Lease | None = None
    duty: ev.Duty = "clean"
    question: str = ""
    rung: int = 0
    strikes: int = 0
    suspicion: float = 0.0
    misses: int = 0
    climbs: int = 0
    health: Health | None = None
    calibration: Calibration | None = None
    free_since: float = 0.0
    worked_at: float = -1e12
    blocks: int = 0
    measured: int = 0
    used: float = 0.0
    charged: float = 0.0
    has: tuple[str, ...] = ()
    last_error: str = ""


@dataclass(slots=True)
class Question:
    """What one or more requests want to know. ``blocks`` are the readings with (phone, token) of each."""

    id: str
    key: str
    workload: Workload
    platform: Platform
    name: str | None
    threshold_ms: float | None
    search: str
    priority: int
    order: int
    since: float
    requests: list[str] = field(default_factory=list)
    device: str = ""
    readings: list[Reading] = field(default_factory=list)
    tokens: list[tuple[str, int]] = field(default_factory=list)
    barred: tuple[str, ...] = ()
    seconds: float = 0.0
    fresh_until: float = 0.0
    prior_ms: float | None = None
    tried: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Incident:
    """Something that is wrong with a place; ``seen_at`` is when a phone last failed that way."""

    number: int
    place: str
    fault: str
    phones: tuple[str, ...]
    opened_at: float
    seen_at: float
    closed_at: float | None = None


@dataclass(slots=True)
class Counts:
    """What has ended since the beginning, and the running failure rate of blocks."""

    measured: int = 0
    store: int = 0
    failed: int = 0
    blocks: float = 0.0
    failures: float = 0.0
    by_fault: dict[str, float] = field(default_factory=dict)

    @property
    def failure_rate(self) -> float:
        """Share of the latest blocks that failed, with a prior of none in 50."""
        return self.failures / (self.blocks + 50.0)

    def count(self, *, failed: bool) -> None:
        """Count one more block."""
        self.blocks, self.failures = self.blocks + 1, self.failures + failed
        if self.blocks > RATE_MEMORY:
            self.blocks, self.failures = self.blocks / 2, self.failures / 2
            self.by_fault = {fault: count / 2 for fault, count in self.by_fault.items()}

    def usual(self, fault: str, recent: int, phones: int) -> float:
        """Return how many failures by *fault* so many *phones* have in a minute of work, the *recent* ones left out."""
        before = max(self.by_fault.get(fault, 0.0) - recent, 0.0)
        return (before + 0.1) / (self.blocks + 50.0) * phones * BLOCKS_A_MINUTE


@dataclass(slots=True)
class LabState:
    """The whole lab after event number ``seq``; time in it is the time of its events."""

    seq: int = 0
    at: float = 0.0
    phones: dict[str, Phone] = field(default_factory=dict)
    questions: dict[str, Question] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    incidents: dict[int, Incident] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    virtual: dict[str, float] = field(default_factory=dict)
    last_interactive: float = -1e12
    recent: deque[tuple[float, str, str]] = field(default_factory=deque)

    def open_incidents(self) -> Iterator[Incident]:
        """Yield the incidents that are not over."""
        return (incident for incident in self.incidents.values() if incident.closed_at is None)


def shared_fault(fault: str) -> str:
    """Return the fault of an incident in which phones fail by *fault*: many hot phones are a hot room."""
    return "F20" if fault == "F19" else fault


def platform_group(platform: Platform) -> str:
    """Return the name of the group of phones that are interchangeable with those of *platform*."""
    return f"{platform.product}|{platform.os_build}|{platform.runtime}|{platform.source}"
