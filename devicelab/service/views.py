"""What people and programs see of the lab: the values that the read routes return and the pages draw."""

from typing import Literal

from devicelab.device import Health, Source, Value
from devicelab.lease import Lease

Mood = Literal["ready", "working", "starting", "resting", "sick", "out"]
"""The states of a phone in six groups, for colours and counts."""

MOODS: dict[str, Mood] = {
    "DISCOVERED": "starting",
    "PREPARING": "starting",
    "CALIBRATING": "starting",
    "READY": "ready",
    "LEASED": "working",
    "MEASURING": "working",
    "CLEANUP": "working",
    "COOLING": "resting",
    "CHARGING": "resting",
    "SUSPECT": "sick",
    "RECOVERING": "sick",
    "QUARANTINED": "out",
    "MAINTENANCE": "out",
    "RETIRED": "out",
}


class PhoneView(Value):
    """One phone: its facts, its state since when and why, how it feels, who uses it, how slow it is.

    ``factor`` is its time over a typical phone's and ``factor_error`` that ratio's relative standard error (None:
    not calibrated yet). ``strikes`` are failures that count against it, ``measured`` the blocks it has read and
    ``used_seconds`` the phone-seconds they took. ``present``: it is part of the lab now. ``draining``: it takes no
    more requests.
    """

    name: str
    product: str
    os_build: str
    runtime: str
    source: Source
    host: str = ""
    room: str = ""
    state: str
    since: float
    cause: str = ""
    present: bool = True
    draining: bool = False
    health: Health | None = None
    lease: Lease | None = None
    duty: str = ""
    factor: float | None = None
    factor_error: float | None = None
    strikes: int = 0
    measured: int = 0
    used_seconds: float = 0.0
    last_error: str = ""

    @property
    def mood(self) -> Mood:
        """The group that the state belongs to."""
        return MOODS.get(self.state, "out")


class QueueView(Value):
    """A question that has no answer yet: who asked first, how many requests share it, since when, on which phone.

    ``blocks`` have been read for it, ``failures`` of its blocks have failed.
    """

    question: str
    search: str
    requests: int = 1
    fingerprint: str
    threads: int
    since: float
    interactive: bool = False
    stage: Literal["waiting", "running"] = "waiting"
    device: str = ""
    blocks: int = 0
    failures: int = 0


class IncidentView(Value):
    """Something that went wrong for several phones at once; open while ``closed_at`` is None."""

    number: int
    place: str
    fault: str
    phones: tuple[str, ...]
    opened_at: float
    closed_at: float | None = None


class Moment(Value):
    """One event of a phone's history, for people."""

    seq: int
    at: float
    kind: str
    device: str = ""
    text: str = ""


class LabView(Value):
    """The whole lab at one moment, ``seq`` being the last event that it contains.

    ``queue`` has the questions that wait (``waiting`` of them) or run, the oldest hundred of all.
    """

    seq: int
    at: float
    phones: tuple[PhoneView, ...]
    queue: tuple[QueueView, ...] = ()
    waiting: int = 0
    running: int = 0
    incidents: tuple[IncidentView, ...] = ()
    measured: int = 0
    answered_from_store: int = 0
    failed: int = 0


class Span(Value):
    """A stretch of time, in seconds since 1970, that a phone spent in one state."""

    state: str
    start: float
    end: float


class FactorPoint(Value):
    """A phone's factor at a moment, with its relative standard error."""

    at: float
    factor: float
    error: float = 0.0


class History(Value):
    """What one phone has been through: its states, its factor, its latest events (newest first)."""

    spans: tuple[Span, ...] = ()
    points: tuple[FactorPoint, ...] = ()
    moments: tuple[Moment, ...] = ()
