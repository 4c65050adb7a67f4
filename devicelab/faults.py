"""What can go wrong in a lab of phones, as a table: whose fault it is, and where recovery starts.

F1 to F26 were collected from the issue trackers of other labs and of Appium, adb and Android; which message
means which fault is the business of the driver that reads it. ``UNKNOWN`` is for everything nobody has
seen yet: the phone is under suspicion until it has shown that it measures right again.
"""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Literal

Blame = Literal["candidate", "phone", "host", "operator", "ours"]
"""Who has to change for it to end.

``candidate`` the network that was measured (after a second phone said the same), ``phone`` this one phone
(a strike), ``host`` the computer, hub or room that its phones share (one incident, no strikes),
``operator`` a hand has to touch the phone, ``ours`` this program or its configuration.
"""


class Rung(IntEnum):
    """The recovery ladder, from the mildest step up; a step that does not help is followed by the next.

    ``RETRY`` a new session or process on the same phone, ``RECONNECT`` the transport (``adb reconnect``),
    ``REINSTALL`` what the lab installs on the phone, ``PORT_CYCLE`` power off and on at its USB port,
    ``REBOOT`` the phone, ``HUB_POWER`` the whole hub, which needs its other phones idle.
    """

    RETRY = 1
    RECONNECT = 2
    REINSTALL = 3
    PORT_CYCLE = 4
    REBOOT = 5
    HUB_POWER = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail.

    ``recoverable`` says whether software alone can end it. ``rung`` is where recovery starts; ``None`` if
    climbing does not help: what is recoverable then passes by waiting (a hot phone, an empty battery, a dead host).
    """

    id: str
    title: str
    blame: Blame
    recoverable: bool = True
    rung: Rung | None = Rung.RETRY


UNKNOWN = Fault("F0", "unknown: the message is kept as it came", "phone")

_TABLE = (
    UNKNOWN,
    Fault("F1", "UiAutomator2's instrumentation does not start", "phone", rung=Rung.REINSTALL),
    Fault("F2", "UiAutomator2 died in the middle of a session", "phone"),
    Fault("F3", "the session is gone", "phone"),
    Fault("F4", "Appium reaped an idle session", "ours"),
    Fault("F5", "a port of the host is taken", "host"),
    Fault("F6", "the phone was claimed twice", "ours"),
    Fault("F7", "instrumentation target missing or crashed", "phone", rung=Rung.REINSTALL),
    Fault("F8", "adb does not see the phone", "phone", rung=Rung.RECONNECT),
    Fault("F9", "adb says offline", "phone", rung=Rung.RECONNECT),
    Fault("F10", "the phone does not authorize this computer", "operator", recoverable=False, rung=None),
    Fault("F11", "protocol fault between adb and the phone", "phone"),
    Fault("F12", "adb's server died or was restarted: all phones of the host drop together", "host"),
    Fault("F13", "a command did not say which phone", "ours", recoverable=False, rung=None),
    Fault("F14", "unreadable serial number: USB power or cable", "operator", recoverable=False, rung=None),
    Fault("F15", "adb does not answer in time", "phone", rung=Rung.RECONNECT),
    Fault("F16", "the phone restarted by itself", "phone"),
    Fault("F17", "storage full, or an app could not be installed", "phone", rung=Rung.REINSTALL),
    Fault("F18", "the benchmark hangs, crashes or is killed", "candidate"),
    Fault("F19", "the phone is hot or throttled", "phone", rung=None),
    Fault("F20", "the room is hot", "host", rung=None),
    Fault("F21", "the battery is low or does not charge", "phone", rung=None),
    Fault("F21H", "the battery is not healthy", "operator", recoverable=False, rung=None),
    Fault("F22", "a pop-up, the lock screen or an update is in the way", "phone"),
    Fault("F23", "the service, an agent or the host died, or its disk is full", "host", rung=None),
    Fault("F24", "a result came late, twice or from an old lease", "ours", rung=None),
    Fault("F25", "output cut off, not a number, or not as many runs as asked", "phone"),
    Fault("F26", "two phones with one serial number, or USB debugging was switched off", "operator", False, None),
    Fault("F27", "background work keeps disturbing the phone", "phone", rung=Rung.REBOOT),
    Fault("F28", "the process that speaks to the phone died, or did not get its work", "ours"),
)

FAULTS: MappingProxyType[str, Fault] = MappingProxyType({fault.id: fault for fault in _TABLE})
"""All faults by their id, ``"F0"`` (unknown) to ``"F28"``."""
