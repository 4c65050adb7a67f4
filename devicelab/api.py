"""What is said between the lab's service and those who use it: values, and how an error crosses the wire.

A request is named by its asker: ``PUT /api/v1/requests/{key}`` may be sent any number of times, before and after
a restart of the service, and is one request. Names that reach the service are checked here, at the edge: letters,
digits and ``. _ : -`` only, so no name can be a path or mean anything to a shell.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from devicelab import errors
from devicelab.device import Selector, Value
from devicelab.errors import DeviceLabError, ServiceError
from devicelab.measurement import Measurement

ROOT = "/api/v1"
NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
"""The name of a phone, a search, a host or a request."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]
"""Why an operator did something; kept in the lab's event log."""
Action = Literal["drain", "undrain", "quarantine", "recalibrate", "retire", "release"]
"""What an operator can do to a phone; see ``docs/lab.md``."""

STATUSES: dict[str, int] = {
    "ConfigError": 422,
    "UploadError": 422,
    "WorkloadError": 422,
    "AccessError": 403,
    "NoDeviceError": 404,
    "LeaseError": 409,
    "StoreError": 503,
}
"""HTTP status of an error by its class; the others are 500, those that a measurement ends in arrive in a ticket."""


class Problem(Value):
    """An error on the wire: the name of its class in ``devicelab.errors`` and its message."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: Exception) -> "Problem":
        """Return *error* as a value; one that is not this room's becomes a ``ServiceError``."""
        kind = type(error)
        while not hasattr(errors, kind.__name__):
            kind = kind.__bases__[0] if kind is not object else ServiceError
        name = kind.__name__ if issubclass(kind, DeviceLabError) else ServiceError.__name__
        return cls(kind=name, message=str(error) or type(error).__name__)

    def error(self) -> DeviceLabError:
        """Return the error that this was made from; a ``ServiceError`` if its class is not known here."""
        kind = getattr(errors, self.kind, None)
        if isinstance(kind, type) and issubclass(kind, DeviceLabError):
            return kind(self.message)
        return ServiceError(f"{self.kind}: {self.message}")


class Submission(Value):
    """A request for a measurement of the graph with *fingerprint*, which is in the file with this *sha256*.

    ``search`` is who shares the phones with others (the owner of the token, if it is left out).
    ``threshold_ms``: a search that only asks whether the latency is above it is answered as soon as that is clear.
    ``interactive`` goes before other requests, ``background`` behind them.
    """

    sha256: Sha256
    fingerprint: Sha256
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    selector: Selector = Selector()
    threshold_ms: Annotated[float, Field(gt=0)] | None = None
    search: Name | None = None
    interactive: bool = False
    background: bool = False


class Ticket(Value):
    """How a request stands: the measurement or problem that it ended in, or neither while it is under way.

    ``upload`` says that the service does not have the file: send it, then ask again. ``stage`` is for people.
    """

    key: str
    stage: str
    upload: bool = False
    measurement: Measurement | None = None
    problem: Problem | None = None


class Order(Value):
    """What an operator wants done to a phone, and why."""

    why: Reason
