"""What can be told to the coordinator, and what it tells back. Values only; ``devicelab.decisions`` acts on them."""

from dataclasses import dataclass, field
from typing import Literal

from devicelab.device import Device, Health, Selector, Value
from devicelab.events import NORMAL, Duty, Ending
from devicelab.lease import Lease
from devicelab.measurement import Measurement, Reading, Workload
from devicelab.normalisation import Calibration

Action = Literal["drain", "undrain", "quarantine", "recalibrate", "retire", "release"]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A phone as the lab's configuration or its agent has it. *fresh*: whoever held its lease before is gone."""

    device: Device
    host: str = "local"
    room: str = "local"
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Open:
    """The lab opens with these phones; leases of fresh ones ended with the process that held them."""

    devices: tuple[Enrolled, ...]
    version: str = ""


@dataclass(frozen=True, slots=True)
class Submit:
    """Somebody asks for a latency. *request* is the asker's name for it: the same one again is the same request.

    *prior_ms* is what is predicted from the graph, if that is known: what is implausible beside it is confirmed.
    """

    request: str
    workload: Workload
    search: str = "default"
    selector: Selector = field(default_factory=Selector)
    priority: int = NORMAL
    threshold_ms: float | None = None
    prior_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The holder of a lease has begun."""

    device: str
    token: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The holder of a lease lives."""

    device: str
    token: int


@dataclass(frozen=True, slots=True)
class Read:
    """A block was read (duty ``measure``); the raw *times* are in milliseconds. Clean-up follows, then ``Done``."""

    device: str
    token: int
    reading: Reading
    times: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The duty could not be done. *workload*: it is the network's fault; else *fault* is an id of the table.

    *reason* is that of a ``RefusedError``, or "".
    """

    device: str
    token: int
    message: str
    fault: str = "F0"
    workload: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The duty is done and the phone is clean: nothing of ours runs on it. The lease ends.

    For ``calibrate`` with the reference's *factor* and its relative standard *error*.
    """

    device: str
    token: int
    health: Health
    factor: float | None = None
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class Lost:
    """A phone left the bus, or its agent left the lab."""

    device: str
    fault: str = "F8"
    message: str = "the phone is gone"


@dataclass(frozen=True, slots=True)
class Operate:
    """A person acts on a phone."""

    device: str
    action: Action
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: expire leases, leave states that have lasted too long, grant what can be granted."""


type Command = Open | Submit | Started | Heartbeat | Read | Failed | Done | Lost | Operate | Tick


class Order(Value):
    """What a phone's worker is to do, under which lease. ``calibration`` is the phone's (None: not known yet)."""

    lease: Lease
    duty: Duty
    workload: Workload | None = None
    threshold_ms: float | None = None
    rung: int = 0
    calibration: Calibration | None = None


class Answer(Value):
    """How a request ended; without a measurement *error* names the class in ``devicelab.errors``."""

    request: str
    ending: Ending
    measurement: Measurement | None = None
    error: str = ""
    message: str = ""
    reason: str = ""


class Outcome(Value):
    """What followed from one command: orders to hand to workers, answers to hand to askers, the last event's number."""

    seq: int
    orders: tuple[Order, ...] = ()
    answers: tuple[Answer, ...] = ()
