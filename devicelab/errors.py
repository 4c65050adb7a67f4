"""The errors of the phones room, split by whose fault they are.

    DeviceLabError          base of everything this room raises on purpose (exit code 1)
    ├── ConfigError         the operator's: a lab.toml or a selector that cannot be right (exit code 2)
    ├── StoreError          the lab's record: busy, unreadable, not writable (exit code 1)
    ├── WorkloadError       the candidate's: a .tflite that cannot be read or cannot run; never retried
    ├── DeviceError         the phone's: hot, gone, disagreeing with itself; tried again on another phone
    └── NoDeviceError       nobody's: no phone matches, or none is free (exit code 3)

A message says what is wrong, where, and what to do next.
"""


class DeviceLabError(Exception):
    """Base of every error that ``devicelab`` raises on purpose. ``exit_code`` is for the command line."""

    exit_code = 1


class ConfigError(DeviceLabError):
    """A lab.toml or a selector that cannot be right; the message names file and key."""

    exit_code = 2


class StoreError(DeviceLabError):
    """The lab's store is written by another process, or cannot be read or written."""


class WorkloadError(DeviceLabError):
    """The candidate's fault: a file that is no readable .tflite, or that no phone here can run."""


class DeviceError(DeviceLabError):
    """The phone's fault: it was hot, slow, gone, or its blocks disagree. Retried on another phone."""


class NoDeviceError(DeviceLabError):
    """No phone of this lab matches the selector, or none of those that match is free."""

    exit_code = 3
