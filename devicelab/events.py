"""What happens in a lab, as values: the only truth. The state of the lab is the fold of these (``devicelab.fold``).

An event is written once, as the JSON of its fields in their order, and never changed. Each row of the log carries
the hash of the row before it, so that a changed, removed or moved row shows (``chained``).
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from devicelab.device import Device, Health, Platform, Value
from devicelab.machine import State
from devicelab.measurement import Measurement, Reading, Workload

Duty = Literal["prepare", "calibrate", "measure", "clean", "watch", "recover"]
"""What a lease is for. ``measure`` serves a request; the others are the lab's own upkeep, under leases all the same."""
Ending = Literal["measured", "store", "failed", "refused"]
"""How a request ends: by a measurement made for it (or for somebody who asked the same), by one that was known, by
the network's fault or too many failures, or because no two blocks agreed."""
INTERACTIVE, NORMAL, BACKGROUND = 2, 1, 0
"""Priority classes; a higher one goes first."""


class LabStarted(Value):
    """A writer opened the lab. *weights* are the shares of searches, *version* that of this program."""

    kind: Literal["lab_started"] = "lab_started"
    version: str
    devices: tuple[str, ...]


class PhoneSeen(Value):
    """A phone belongs to the lab, on this host (a computer with its hub) and in this room."""

    kind: Literal["phone_seen"] = "phone_seen"
    device: Device
    host: str = ""
    room: str = ""


class PhoneMoved(Value):
    """A phone went from one state to the next because of *cause*; *fault* is an id of ``devicelab.faults``, or ""."""

    kind: Literal["phone_moved"] = "phone_moved"
    device: str
    source: State
    target: State
    cause: str
    evidence: str = ""
    fault: str = ""
    rung: int = 0


class PhoneJudged(Value):
    """The evidence against a phone changed: *strikes* failures in a row, *suspicion* in nats (``machine.weigh``)."""

    kind: Literal["phone_judged"] = "phone_judged"
    device: str
    failed: bool
    strikes: int
    suspicion: float
    fault: str = ""
    excused: bool = False


class LeaseGranted(Value):
    """A phone is somebody's until *expires_at*. *token* grows with every lease of the phone: the fencing token."""

    kind: Literal["lease_granted"] = "lease_granted"
    device: str
    token: int
    holder: str
    duty: Duty
    expires_at: float
    question: str = ""
    attempt: int = 0
    rung: int = 0


class LeaseRenewed(Value):
    """The holder is alive."""

    kind: Literal["lease_renewed"] = "lease_renewed"
    device: str
    token: int
    expires_at: float


class LeaseEnded(Value):
    """The lease is over: nothing reported under its token counts any more. *seconds* is how long it was held."""

    kind: Literal["lease_ended"] = "lease_ended"
    device: str
    token: int
    why: str
    seconds: float
    health: Health | None = None


class RequestSubmitted(Value):
    """Somebody asks. Requests with one *question* share its answer; *key* is what the store knows answers by."""

    kind: Literal["request_submitted"] = "request_submitted"
    request: str
    question: str
    key: str
    search: str
    priority: int
    workload: Workload
    platform: Platform
    name: str | None = None
    threshold_ms: float | None = None
    prior_ms: float | None = None


class RequestEnded(Value):
    """The request has its answer: the measurement under *key*, or an error by its class and message."""

    kind: Literal["request_ended"] = "request_ended"
    request: str
    question: str
    ending: Ending
    key: str = ""
    error: str = ""
    message: str = ""
    reason: str = ""


class BlockRecorded(Value):
    """A block of a question was read under *token*. *samples* is the sha256 of its raw times in the store.

    The question must be confirmed on a phone that is not *barred*.
    """

    kind: Literal["block_recorded"] = "block_recorded"
    device: str
    token: int
    question: str
    reading: Reading
    samples: str
    barred: tuple[str, ...] = ()


class BlockFailed(Value):
    """A block of a question failed under *token*."""

    kind: Literal["block_failed"] = "block_failed"
    device: str
    token: int
    question: str
    fault: str
    message: str
    reason: str = ""


class MeasurementCommitted(Value):
    """A question is answered, once and for all, from the blocks read under these *tokens* (phone, token)."""

    kind: Literal["measurement_committed"] = "measurement_committed"
    question: str
    key: str
    measurement: Measurement
    tokens: tuple[tuple[str, int], ...]


class Calibrated(Value):
    """The reference took *factor* of a typical phone's time (relative standard error *error*); golden or not.

    *drift*: the phone has changed since it was calibrated (CUSUM); its calibration begins anew.
    """

    kind: Literal["calibrated"] = "calibrated"
    device: str
    token: int
    factor: float
    error: float
    golden: bool
    drift: bool = False


class IncidentOpened(Value):
    """Many phones of a *place* (``host:...`` or ``room:...``) fail the same way; none of *phones* is blamed."""

    kind: Literal["incident_opened"] = "incident_opened"
    number: int
    place: str
    fault: str
    phones: tuple[str, ...]


class IncidentClosed(Value):
    """The place is well again."""

    kind: Literal["incident_closed"] = "incident_closed"
    number: int


class OperatorActed(Value):
    """A person did something to a phone, and why."""

    kind: Literal["operator_acted"] = "operator_acted"
    device: str
    action: Literal["drain", "undrain", "quarantine", "recalibrate", "retire", "release"]
    who: str
    why: str


class SamplesPruned(Value):
    """Raw times from before *before* (seconds since 1970) were let go."""

    kind: Literal["samples_pruned"] = "samples_pruned"
    before: float
    count: int


type Event = (
    LabStarted
    | PhoneSeen
    | PhoneMoved
    | PhoneJudged
    | LeaseGranted
    | LeaseRenewed
    | LeaseEnded
    | RequestSubmitted
    | RequestEnded
    | BlockRecorded
    | BlockFailed
    | MeasurementCommitted
    | Calibrated
    | IncidentOpened
    | IncidentClosed
    | OperatorActed
    | SamplesPruned
)


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw times of one block, compressed: what the digest in its event is of."""

    device: str
    token: int
    digest: str
    content: bytes


_READER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
GENESIS = bytes(32)
"""What the first row is chained to."""


def encode(event: Event) -> str:
    """Return *event* as the JSON that is kept: fields in the order of the class, no spaces."""
    return event.model_dump_json()


def decode(body: str | bytes) -> Event:
    """Return the event that :func:`encode` wrote.

    Raises:
        ValueError: *body* is no event.
    """
    return _READER.validate_json(body)


def chained(previous: bytes, seq: int, at: float, body: str) -> bytes:
    """Return the hash of a row: SHA-256 over the hash of the row before, its number, its time and its body."""
    return hashlib.sha256(previous + struct.pack(">qd", seq, at) + body.encode()).digest()


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the log: an event as it was written, with its number, its time and its place in the chain."""

    seq: int
    at: float
    body: str
    previous: bytes
    hash: bytes


def device_of(event: Event) -> str:
    """Return the name of the phone that *event* is about, or ""."""
    device = getattr(event, "device", "")
    return device.name if isinstance(device, Device) else device
