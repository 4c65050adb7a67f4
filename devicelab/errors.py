"""The errors of the phones room, split by whose fault they are.

    DeviceLabError          base of everything this room raises on purpose (exit code 1)
    ├── ConfigError         the operator's: a lab.toml or a selector that cannot be right (exit code 2)
    ├── StoreError          the lab's record: busy, unreadable, not writable (exit code 1)
    ├── AccessError         the operator's: no token, or one that may not do this (exit code 2)
    ├── ServiceError        nobody's yet: the lab's service does not answer, or not in words we know (exit code 1)
    ├── WorkloadError       the candidate's: a .tflite that cannot be read or cannot run; never retried
    │   └── UploadError     a file that the lab's service does not take: too large, or no .tflite
    ├── DeviceError         the phone's: hot, gone, disagreeing with itself; tried again on another phone
    │   └── RefusedError    what it answered is not believed; ``reason`` says why
    ├── HostError           the computer's, hub's or room's that phones share; no phone is blamed for it
    ├── LeaseError          nobody's: a lease that no longer holds spoke; its holder stops
    └── NoDeviceError       nobody's: no phone matches, or none is free (exit code 3)

A message says what is wrong, where, and what to do next. ``DeviceError`` and ``HostError`` also carry the
``fault`` of ``devicelab.faults`` that was recognised, ``UNKNOWN`` if none was.
"""

from typing import Literal

from devicelab.faults import FAULTS, UNKNOWN, Fault


class DeviceLabError(Exception):
    """Base of every error that ``devicelab`` raises on purpose. ``exit_code`` is for the command line."""

    exit_code = 1


class ConfigError(DeviceLabError):
    """A lab.toml or a selector that cannot be right; the message names file and key."""

    exit_code = 2


class StoreError(DeviceLabError):
    """The lab's store is written by another process, or cannot be read or written."""


class AccessError(DeviceLabError):
    """No token, one that is not known, or one whose role may not do this."""

    exit_code = 2


class ServiceError(DeviceLabError):
    """The lab's service does not answer, or answers what cannot be understood."""


class WorkloadError(DeviceLabError):
    """The candidate's fault: a file that is no readable .tflite, or that no phone here can run."""


class UploadError(WorkloadError):
    """A file that the lab's service does not take: too large, no .tflite, or not the file that was announced."""


class DeviceError(DeviceLabError):
    """The phone's fault: it was hot, slow, gone, or its blocks disagree. Retried on another phone.

    ``fault`` says which; a phone with an ``UNKNOWN`` one is suspect until a golden check cleared it.
    """

    def __init__(self, message: str, fault: Fault = UNKNOWN) -> None:
        super().__init__(message)
        self.fault = fault


Reason = Literal[
    "hot",
    "battery",
    "throttled",
    "screen",
    "busy",
    "storage",
    "canary",
    "disturbed",
    "restless",
    "restarted",
    "garbled",
    "disagreement",
    "implausible",
    "failures",
]
"""Why a number was refused instead of reported.

Of a phone that may not be measured: ``hot``, ``battery``, ``throttled``, ``screen``, ``busy``, ``storage``. Of a block
that is not believed: ``canary`` (the reference workload was slow or moved), ``disturbed`` (a stretch of runs apart
from the rest), ``restless`` (runs scatter too much), ``restarted``, ``garbled``. Of a measurement: ``disagreement`` of
its blocks, ``implausible`` beside its prediction and no second phone to confirm it, too many ``failures``.
"""


class RefusedError(DeviceError):
    """The protocol refuses to report a number; ``reason`` is the kind, the message the circumstances."""

    def __init__(self, message: str, reason: Reason, fault: Fault = UNKNOWN) -> None:
        super().__init__(message, fault)
        self.reason = reason

    def __reduce__(self) -> tuple[type["RefusedError"], tuple[str, Reason, Fault]]:
        return RefusedError, (str(self), self.reason, self.fault)


class HostError(DeviceLabError):
    """The fault of what phones share: adb's server, the hub, the host, the room. No phone gets a strike for it."""

    def __init__(self, message: str, fault: Fault = FAULTS["F12"]) -> None:
        super().__init__(message)
        self.fault = fault


class LeaseError(DeviceLabError):
    """A command spoke for a lease that no longer holds. Whoever gets this stops the work done under it."""


class NoDeviceError(DeviceLabError):
    """No phone of this lab matches the selector, or none of those that match is free."""

    exit_code = 3
