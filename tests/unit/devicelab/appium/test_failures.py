"""Every message of research B2 and of the provoked faults, word for word, and what it is taken for."""

import json
import subprocess

import pytest
from selenium.common.exceptions import (
    InvalidSessionIdException,
    NoSuchDriverException,
    SessionNotCreatedException,
    TimeoutException,
    WebDriverException,
)
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError

from devicelab.drivers.appium.adb import AdbError
from devicelab.drivers.appium.failures import SIGNS, TYPES, failure, recognise
from devicelab.errors import DeviceError, HostError
from devicelab.faults import FAULTS, UNKNOWN

PREFIX = "An unknown server-side error occurred while processing the command. Original error: "
GONE = "'GET /appium/device/battery_info' cannot be proxied to UiAutomator2 server because the instrumentation process"
MESSAGES = {
    "F1": [
        (
            "The instrumentation process cannot be initialized within 30000ms timeout. Make sure the application under"
            " test does not crash and investigate the logcat output."
        ),
        "The instrumentation process cannot be initialized. Make sure the application under test does not crash",
    ],
    "F2": [
        f"{GONE} is not running (probably crashed). Check the server log and/or the logcat output for more details",
        "Could not proxy command to the remote server. Original error: socket hang up",
        "Could not proxy command to the remote server. Original error: connect ECONNREFUSED 127.0.0.1:8201",
        "Could not proxy command to the remote server. Original error: read ECONNRESET",
    ],
    "F3": ["A session is either terminated or not started", "invalid session id"],
    "F4": ["New Command Timeout of 300 seconds expired. Try customizing the timeout using the 'newCommandTimeout'"],
    "F5": [
        "UiAutomator2 Server cannot start because the local port #8201 is busy. Make sure the port you provide via",
        "Cannot find any free port in range 8200..8299}. Please set the available port number by providing",
        "listen EADDRINUSE: address already in use 127.0.0.1:4723",
    ],
    "F6": ["A new session is starting on udid 'ZY3224AAAA', which is already in use by another session"],
    "F7": [
        "Unable to find instrumentation target package: io.appium.uiautomator2.server",
        "The instrumentation target is not listed by Package Manager",
        "java.lang.IllegalStateException: UiAutomation not connected!",
        "INSTRUMENTATION_RESULT: shortMsg=Process crashed.",
    ],
    "F8": [
        "adb: device '127.0.0.1:15555' not found",
        "error: device 'ZY3224AAAA' not found",
        "error: no devices/emulators found",
        "Could not find a connected Android device in 20000ms",
        "Device 127.0.0.1:19999 was not in the list of connected devices",
        "adb connect 127.0.0.1:15555: failed to connect to '127.0.0.1:15555': Connection refused",
    ],
    "F9": [
        (
            "Cannot execute the 'sleep' shell command. Original error: Command '/sdk/platform-tools/adb -P 5137 -s"
            " 127.0.0.1\\:15555 shell sleep 6' exited with code 255. StdOut: . StdErr: "
        ),
        "Command '...' exited with code 1. StdOut: . StdErr: adb: device offline",
        "Error executing adbExec. Original error: '... exited with code 1'; Command output: adb: device offline",
        "error: closed",
        "adb -s h:1 push m /data/local/tmp/m: 1 file pushed, 0 skipped. adb: error: failed to read copy response: EOF",
        "adb: error: connect failed: closed",
        "error: device still connecting",
        "failed to authenticate to 127.0.0.1:15555: timeout expired",
        "p1: running 'ls': the answer was cut off: no exit status: ''",
    ],
    "F10": [
        (
            "Error getting device API level. Original error: Error executing adbExec. Command output: adb: device"
            " unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set"
        ),
        "error: device unauthorized.",
        "This adb server's $ADB_VENDOR_KEYS is not set\nTry 'adb kill-server' if that seems wrong.",
    ],
    "F11": [
        "error: protocol fault (couldn't read status): Connection reset by peer",
        "error: protocol fault (no status)",
    ],
    "F12": [
        "* daemon not running; starting now at tcp:5037",
        "error: cannot connect to daemon at tcp:5037: Connection refused",
        "adb server version (40) doesn't match this client (41); killing...",
    ],
    "F13": ["error: more than one device/emulator"],
    "F14": ["??????????\tdevice"],
    "F15": [
        (
            "Error executing adbExec. Original error: 'Command timed out'. Try to increase the 20000ms adb execution"
            " timeout represented by 'adbExecTimeout' capability"
        ),
        "Cannot execute the 'sleep' shell command. Original error: Command '...' timed out after 15000ms. StdOut: ",
        "Could not proxy command. timeout of 8000ms exceeded",
        "ADB ping failed, returned ",
        "Cannot reconnect adb. Original error: ",
    ],
    "F16": [
        "Could not access the Package Manager. Is the system running?",
        "The device is not ready after 30s.",
        "Reboot is not completed after 90000ms",
    ],
    "F17": [
        "adb: failed to install app.apk: Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE]",
        "Failure [INSTALL_FAILED_UPDATE_INCOMPATIBLE: signatures do not match]".replace(": sig", "] ("),
        "Failure [INSTALL_PARSE_FAILED_NO_CERTIFICATES]",
        "adb: error: failed to copy 'm' to '/data/local/tmp/m': remote couldn't write: No space left on device",
    ],
    "F18": [
        "ANR in org.tensorflow.lite.benchmark: Input dispatching timed out",
        "lowmemorykiller: Killing 'org.tensorflow.lite.benchmark'",
        "Fatal signal 11 (SIGSEGV), code 1",
        "Abort message: SIGABRT",
    ],
    "F22": ["mDreamingLockscreen=true", "isStatusBarKeyguard=true"],
    "F23": ["sqlite3.OperationalError: database is locked", "disk I/O error", "ENOSPC: no space left on device, write"],
}


@pytest.mark.parametrize(("fault", "message"), [(fault, text) for fault, texts in MESSAGES.items() for text in texts])
def test_every_message_is_recognised(fault, message):
    assert recognise(WebDriverException(PREFIX + message)).id == fault
    assert recognise(AdbError(message)).id == fault


def test_every_row_of_the_table_has_a_message_that_reaches_it():
    texts = [text for texts in MESSAGES.values() for text in texts]
    idle = [sign for sign in SIGNS if not any(sign.pattern.search(text) for text in texts)]
    assert idle == []


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (InvalidSessionIdException("whatever"), "F3"),
        (NoSuchDriverException("whatever"), "F3"),
        (TimeoutException("whatever"), "F15"),
        (ReadTimeoutError(None, "/session", "Read timed out."), "F15"),
        (subprocess.TimeoutExpired("adb", 20), "F15"),
        (TimeoutError("whatever"), "F15"),
        (MaxRetryError(None, "/session", None), "F23"),
        (NewConnectionError(None, "Failed to establish a new connection"), "F23"),
        (ProtocolError("Connection aborted."), "F23"),
        (ConnectionRefusedError(111, "Connection refused"), "F23"),
        (ConnectionResetError(104, "Connection reset by peer"), "F23"),
        (BrokenPipeError(32, "Broken pipe"), "F23"),
        (json.JSONDecodeError("Expecting value", "", 0), "F23"),
    ],
)
def test_types_speak_where_messages_are_silent(error, fault):
    assert recognise(error).id == fault


def test_a_reason_wins_over_what_follows_from_it():
    both = SessionNotCreatedException("A session is either terminated or not started: adb: device unauthorized.")
    assert recognise(both).id == "F10"


@pytest.mark.parametrize(
    "error",
    [
        WebDriverException("Something nobody has seen"),
        SessionNotCreatedException("odd"),
        ValueError("x"),
        AdbError("?"),
    ],
)
def test_the_unknown_is_suspect_and_kept_word_for_word(error):
    assert recognise(error) is UNKNOWN
    raised = failure(error, "moto-1", "running a burst")
    assert isinstance(raised, DeviceError)
    assert raised.fault is UNKNOWN
    assert str(getattr(error, "msg", None) or error) in str(raised)
    assert str(raised).startswith("moto-1: running a burst: ")


def test_the_hosts_fault_is_no_phones():
    raised = failure(MaxRetryError(None, "/session", None), "moto-1", "reading the log")
    assert isinstance(raised, HostError)
    assert raised.fault is FAULTS["F23"]


def test_the_servers_stack_trace_is_cut_off():
    error = WebDriverException("device offline\nStacktrace:\n" + "at Foo.bar\n" * 500)
    assert str(failure(error, "p", "x")) == "p: x: WebDriverException: device offline"


def test_all_faults_of_the_table_exist():
    assert {sign.fault for sign in SIGNS} | {fault for fault, _ in TYPES} <= set(FAULTS)
