"""Which message of Appium, adb, Selenium or the phone means which fault; what nobody has seen yet stays as it came.

The messages are those of appium 3.8, appium-uiautomator2-driver 8.7 and adb 36, most of them provoked and copied, the
rest from their sources. The first row that matches wins, so that a reason wins over what follows from it (a phone
that does not authorize this computer also has no session).
"""

import re
from dataclasses import dataclass

from devicelab.errors import DeviceError, HostError
from devicelab.faults import FAULTS, UNKNOWN, Fault

LONGEST = 2000
"""Characters of a message that are kept; stack traces are cut off before that."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A row of the table: if *pattern* is found in the message, it is the fault *fault*."""

    fault: str
    pattern: re.Pattern[str]


def _signs(fault: str, *patterns: str) -> tuple[Sign, ...]:
    return tuple(Sign(fault, re.compile(pattern)) for pattern in patterns)


SIGNS: tuple[Sign, ...] = (
    *_signs("F10", r"device unauthorized", r"ADB_VENDOR_KEYS is not set"),
    *_signs("F13", r"more than one device/emulator"),
    *_signs("F14", r"\?{6,}"),
    *_signs("F23", r"database is locked", r"disk I/O error", r"ENOSPC"),
    *_signs("F17", r"\[INSTALL[A-Z_]*FAILED[A-Z_]*\]", r"No space left on device"),
    *_signs(
        "F16",
        r"Could not access the Package Manager\. Is the system running\?",
        r"The device is not ready after \d+s",
        r"Reboot is not completed after \d+ms",
    ),
    *_signs("F6", r"is starting on udid '.*', which is already in use by another session"),
    *_signs("F5", r"the local port #\d+ is busy", r"Cannot find any free port in range", r"EADDRINUSE"),
    *_signs(
        "F12",
        r"daemon not running; starting now",
        r"cannot connect to daemon",
        r"adb server version \(\d+\) doesn't match this client",
    ),
    *_signs("F11", r"protocol fault"),
    *_signs(
        "F8",
        r"device '.*' not found",
        r"no devices/emulators found",
        r"Could not find a connected Android device in \d+ms",
        r"was not in the list of connected devices",
        r"failed to connect to ",
    ),
    *_signs(
        "F9",
        r"device offline",
        r"error: closed",
        r"failed to (?:read copy response|copy|stat remote object)",
        r"device still connecting",
        r"timeout expired",
        r"adb: error: (?:failed to (?:copy|read copy response)|connect failed)",
        r"shell command\. Original error: .* exited with code 255\. StdOut: ",
        r"the answer was cut off: no exit status",
    ),
    *_signs("F4", r"New Command Timeout of [\d.]+ seconds expired"),
    *_signs(
        "F7",
        r"Unable to find instrumentation target",
        r"instrumentation target is not listed by Package Manager",
        r"UiAutomation not connected!",
        r"INSTRUMENTATION_RESULT: shortMsg=Process crashed\.",
    ),
    *_signs("F1", r"The instrumentation process cannot be initialized"),
    *_signs(
        "F2",
        r"cannot be proxied to UiAutomator2 server because the instrumentation process is not running",
        r"Could not proxy command to the remote server",
        r"socket hang up",
    ),
    *_signs("F18", r"Input dispatching timed out", r"lowmemorykiller", r"SIGABRT", r"Fatal signal \d+"),
    *_signs("F22", r"mDreamingLockscreen=true", r"isStatusBarKeyguard=true"),
    *_signs(
        "F15",
        r"Try to increase the \d+ms adb execution timeout",
        r"timed out after \d+ms",
        r"timeout of \d+ms exceeded",
        r"ADB ping failed",
        r"Cannot reconnect adb",
    ),
    *_signs("F3", r"A session is either terminated or not started", r"invalid session id"),
)

TYPES = (
    ("F3", {"InvalidSessionIdException", "NoSuchDriverException"}),
    (
        "F23",
        {"MaxRetryError", "NewConnectionError", "ProtocolError", "RemoteDisconnected", "JSONDecodeError"}
        | {"ConnectionRefusedError", "ConnectionResetError", "BrokenPipeError"},
    ),
    ("F15", {"ReadTimeoutError", "TimeoutExpired", "TimeoutError", "TimeoutException"}),
)
"""What the exception's type says where its message says nothing: it is Appium that is gone."""


def recognise(error: BaseException) -> Fault:
    """Return the fault that *error* is a sign of, ``UNKNOWN`` if it is none of those in the table."""
    text = message_of(error)
    for sign in SIGNS:
        if sign.pattern.search(text):
            return FAULTS[sign.fault]
    names = {cls.__name__ for cls in type(error).__mro__}
    for fault, types in TYPES:
        if names & types:
            return FAULTS[fault]
    return UNKNOWN


def failure(error: BaseException, device: str, doing: str) -> DeviceError | HostError:
    """Return what to raise instead of *error*, which came while *doing* something on *device*; its words are kept."""
    fault = recognise(error)
    text = f"{device}: {doing}: {type(error).__name__}: {message_of(error)}"
    return HostError(text, fault) if fault.blame == "host" else DeviceError(text, fault)


def message_of(error: BaseException) -> str:
    """Return the words of *error* without the server's stack trace, in one line."""
    text = str(getattr(error, "msg", None) or error)
    words = text.partition("Stacktrace:")[0]
    return " ".join(words.split())[:LONGEST]
