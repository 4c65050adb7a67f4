"""One Appium session on one phone: shell commands that tell cut answers from whole ones, apps, the log.

A session does not survive the loss of its phone's connection, nor of Appium: whatever fails here, the driver throws the
session away and opens another. Every request has a time limit. What fails is raised as ``failures`` reads it.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from devicelab.android import BEAT_TAG
from devicelab.drivers.appium.ending import Ending
from devicelab.drivers.appium.failures import failure
from devicelab.errors import DeviceError
from devicelab.faults import FAULTS

SENTINEL = re.compile(r"(?P<output>.*?)__RC=(?P<status>\d+)\s*", re.DOTALL)
SHELL_SECONDS = 20.0
REQUEST_SECONDS = 120.0
"""The longest that the client waits for one answer: the first session on a phone installs three apps."""
IDLE_SECONDS = 600
FILTER = [
    "tflite:V",
    "tflite_BenchmarkModelActivity:V",
    f"{BEAT_TAG}:V",
    "AndroidRuntime:E",
    "libc:F",
    "DEBUG:F",
    "*:S",
]
"""What is kept of the phone's log: the benchmark's lines, and how an app died. Appium keeps 10,000 lines, not more."""
LINE = re.compile(
    r"\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+(?P<pid>\d+)\s+\d+ (?P<level>[VDIWEF]) (?P<tag>.*?)\s*: (?P<text>.*)"
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the phone's log, as ``logcat -v threadtime`` prints it."""

    pid: int
    level: str
    tag: str
    text: str


def capabilities(udid: str, *, adb_port: int, system_port: int, installed: bool) -> dict[str, Any]:
    """Return what a session is asked for; all of it was proven on appium-uiautomator2-driver 8.7.

    ``adbPort`` must be that of adb's server (Appium would start another on 5037), ``systemPort`` is the phone's
    own, ``suppressKillServer`` keeps Appium from ending the server under all other phones. *installed*: Appium's
    own apps are on the phone since an earlier session, which saves two seconds.
    """
    return {
        "platformName": "Android",
        "appium:automationName": "UiAutomator2",
        "appium:udid": udid,
        "appium:adbPort": adb_port,
        "appium:systemPort": system_port,
        "appium:suppressKillServer": True,
        "appium:noReset": True,
        "appium:newCommandTimeout": IDLE_SECONDS,
        "appium:adbExecTimeout": 30_000,
        "appium:uiautomator2ServerLaunchTimeout": 30_000,
        "appium:uiautomator2ServerInstallTimeout": 90_000,
        "appium:uiautomator2ServerReadTimeout": 8_000,
        "appium:androidInstallTimeout": 90_000,
        "appium:clearDeviceLogsOnStart": True,
        "appium:logcatFormat": "threadtime",
        "appium:logcatFilterSpecs": FILTER,
        "appium:skipServerInstallation": installed,
        "appium:skipDeviceInitialization": installed,
        "appium:ignoreHiddenApiPolicyError": True,
        "appium:disableWindowAnimation": True,
    }


class AppiumSession:
    """An open session; *device* is the phone's name in messages."""

    def __init__(self, url: str, wanted: dict[str, Any], device: str) -> None:
        """Open it, within ``REQUEST_SECONDS``.

        Raises:
            DeviceError, HostError: it cannot be opened; with the fault that the message tells.
        """
        from appium import webdriver  # 0.4 s that a lab of simulated phones need not wait
        from appium.options.android import UiAutomator2Options
        from appium.webdriver.client_config import AppiumClientConfig

        self._device = device
        self._url = url
        config = AppiumClientConfig(remote_server_addr=url, timeout=int(REQUEST_SECONDS))
        options = UiAutomator2Options().load_capabilities(wanted)
        opening = partial(webdriver.Remote, options=options, client_config=config)
        self._remote: Any = self._guarded("opening a session", opening)

    def shell(self, command: str, seconds: float = SHELL_SECONDS) -> str:
        """Return what *command* prints on the phone.

        Raises:
            DeviceError, HostError: it ended with another exit status than 0, not in time, or its answer is cut off.
        """
        status, output = self.try_shell(command, seconds)
        if status != 0:
            raise DeviceError(f"{self._device}: {command!r} ended with {status}: {output.strip()[-500:]}")
        return output

    def try_shell(self, command: str, seconds: float = SHELL_SECONDS) -> tuple[int, str]:
        """Return exit status and output of *command*, errors of its last part included; raises as :meth:`shell`."""
        asked = {"command": f"{command} 2>&1; echo __RC=$?", "timeout": int(seconds * 1000)}
        doing = f"running {command!r}"
        answer = str(self._guarded(doing, partial(self._remote.execute_script, "mobile: shell", asked)))
        whole = SENTINEL.fullmatch(answer)
        if whole is None:
            raise DeviceError(
                f"{self._device}: {doing}: the answer was cut off: no exit status: {answer!r:.500}", FAULTS["F9"]
            )
        return int(whole["status"]), whole["output"]

    def start_activity(self, component: str, arguments: str) -> None:
        """Start the activity *component* in a new process, with the string extra ``args``.

        Appium hands extras to the phone's shell unquoted; without the quotes here only the first word would arrive.

        Raises:
            DeviceError, HostError: it is not started. Old Androids say so with exit status 0, so the text is read.
        """
        if "'" in arguments:
            raise ValueError(f"a quote in {arguments!r}")
        asked = {"component": component, "stop": True, "extras": [["s", "args", f"'{arguments}'"]]}
        said = str(
            self._guarded(f"starting {component}", partial(self._remote.execute_script, "mobile: startActivity", asked))
        )
        if "Error" in said:
            raise DeviceError(f"{self._device}: starting {component}: {' '.join(said.split())}", FAULTS["F17"])

    def log(self) -> list[LogLine]:
        """Return the lines of the phone's log since the last call.

        After the loss of the phone this is an empty list for ever, and no error: pair it with :meth:`shell`.
        """
        entries: Sequence[dict[str, Any]] = self._guarded("reading the log", partial(self._remote.get_log, "logcat"))
        return [line for entry in entries if (line := parse_line(str(entry["message"])))]

    def end(self) -> Ending:
        """Have Appium end it, and return what can be waited for: no other session on this phone before that is over.

        Never raises: a session whose phone or server is gone is gone as well.
        """
        ending = Ending(self._url, str(self._remote.session_id))
        with suppress(Exception):  # selenium, urllib3 and sockets each have their own
            self._remote.command_executor.close()
        return ending

    def _guarded(self, doing: str, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - the client is untyped
        try:
            return act()
        except Exception as error:
            raise failure(error, self._device, doing) from error


def parse_line(text: str) -> LogLine | None:
    """Return the log line that *text* is, or None for lines of logcat's own."""
    found = LINE.fullmatch(text.rstrip("\r\n"))
    return LogLine(int(found["pid"]), found["level"], found["tag"], found["text"]) if found else None
