"""The two routes to a latency: the official benchmark app, and the official native binary in the shell.

The app is what a user's phone does: it has a foreground app's priority, and its results come by the log. The native
binary can be pinned to a cluster of cores with ``taskset``; its results are the output of one shell command. They
differ, so the route is part of the platform that a latency belongs to.
"""

from devicelab.android import BEAT_TAG, BENCHMARK_ACTIVITY, BENCHMARK_ECHO, BENCHMARK_PACKAGE, LOG_TAG, NATIVE_BENCHMARK
from devicelab.benchmark_output import Invocation, is_over
from devicelab.drivers.appium.session import AppiumSession, LogLine
from devicelab.errors import DeviceError
from devicelab.faults import FAULTS
from devicelab.protocols import Clock

START_SECONDS = 30.0
"""How long an app may take to log its first line; two seconds are usual."""
POLL_SHARE, POLL_FLOOR, POLL_CEILING = 1 / 16, 0.02, 0.25
"""The log is read every so many of the seconds that a run has taken already, within limits: a short run is seen to end
soon, and a long one does not keep the host busy. It is Appium that is asked; the phone does not notice."""
HEARTBEAT_SECONDS = 1.0
HEARTBEAT = f"cat /proc/uptime; pidof {BENCHMARK_PACKAGE}; true"
FINISH_SECONDS = 10.0
"""How long the final line may come after the figures of the timed runs; the tool writes both at once."""
FIGURES = "count="
DEAF_BEATS = 3
"""So many heartbeats that do not arrive in the log are a log that nobody reads any more."""


def run_app(session: AppiumSession, asked: Invocation, clock: Clock, seconds: float) -> list[str]:
    """Run the benchmark app as *asked* and return its lines of the log, the final one included.

    The log alone would not do: after the loss of a phone it stays silent without an error, even when the phone is back.
    So a command is run on the phone beside it every second, which leaves a line in the log that must arrive; it
    also tells whether the phone restarted and whether the app still lives.

    Raises:
        DeviceError, HostError: the connection failed, the phone restarted, the app did not start, started with other
            arguments, died, did not end within *seconds*, or the end of its output is missing.
    """
    return _AppRun(session, asked, clock).lines(clock.now() + seconds)


def run_native(session: AppiumSession, asked: Invocation, cpus: str, seconds: float) -> list[str]:
    """Run the native binary as *asked* on the cores *cpus* (a hex mask, "f0") and return the lines of its output.

    Raises:
        DeviceError, HostError: the connection failed, or it did not end within *seconds*.
    """
    pinned = f"taskset {cpus} " if cpus else ""
    _, output = session.try_shell(f"{pinned}{NATIVE_BENCHMARK} {asked.arguments()}", seconds)
    return output.splitlines()


class _AppRun:
    """One run of the app, from its start to its final line."""

    def __init__(self, session: AppiumSession, asked: Invocation, clock: Clock) -> None:
        self._session = session
        self._asked = asked
        self._clock = clock
        self._before: set[int] = set()
        self._mine: list[LogLine] = []
        self._others: list[LogLine] = []
        self._pid = 0
        self._uptime = 0.0
        self._absences = 0
        self._beats = self._heard = 0

    def lines(self, deadline: float) -> list[str]:
        self._beat()
        self._before = {line.pid for line in self._session.log()}
        self._session.start_activity(BENCHMARK_ACTIVITY, self._asked.arguments())
        begun = self._clock.now()
        start_by, beat_at = begun + START_SECONDS, begun + HEARTBEAT_SECONDS
        while not self._is_over():
            now = self._clock.now()
            if self._has_measured():
                deadline = min(deadline, now + FINISH_SECONDS)
            if now >= deadline or (not self._pid and now >= start_by):
                raise self._late()
            if now >= beat_at:
                beat_at = now + HEARTBEAT_SECONDS
                self._beat()
            self._clock.sleep(min(max((now - begun) * POLL_SHARE, POLL_FLOOR), POLL_CEILING))
            self._read()
        return [line.text for line in self._mine if line.tag == LOG_TAG]

    def _read(self) -> None:
        for line in self._session.log():
            if line.tag == BEAT_TAG and line.text.isdigit():
                self._heard = int(line.text)
                continue
            if not self._pid and line.pid not in self._before and line.text.startswith(BENCHMARK_ECHO):
                self._pid = line.pid
                self._check_echo(line.text.removeprefix(BENCHMARK_ECHO))
            (self._mine if line.pid == self._pid else self._others).append(line)

    def _check_echo(self, arrived: str) -> None:
        if arrived.split() != self._asked.arguments().split():
            sent = self._asked.arguments()
            raise DeviceError(f"the app was started with {arrived.strip()!r} instead of {sent!r}", FAULTS["F25"])

    def _beat(self) -> None:
        """Ask the phone whether it is there, is the same as before, and still runs the app."""
        self._beats += 1
        uptime, *pids = self._session.shell(f"log -t {BEAT_TAG} {self._beats}; {HEARTBEAT}").split("\n", 1)
        seconds = float(uptime.split()[0])
        if seconds < self._uptime:
            raise DeviceError(f"the phone restarted: up for {seconds:.0f} s after {self._uptime:.0f} s", FAULTS["F16"])
        self._uptime = seconds
        if self._beats - self._heard > DEAF_BEATS:
            raise DeviceError("the phone's log fell silent: the connection was lost meanwhile", FAULTS["F9"])
        running = "".join(pids).split()
        self._absences = self._absences + 1 if self._pid and str(self._pid) not in running else 0
        if self._absences > 1:  # once is the moment between its last line and our reading of it
            self._read()
            if not self._is_over():
                raise self._failed("died")

    def _is_over(self) -> bool:
        return any(line.tag == LOG_TAG and is_over(line.text) for line in self._mine)

    def _has_measured(self) -> bool:
        """Whether the figures of the timed runs, which come after those of warm-up, have begun to arrive."""
        return sum(line.tag == LOG_TAG and line.text.startswith(FIGURES) for line in self._mine) > 1

    def _late(self) -> DeviceError:
        """Return what it is that has not come in time: an app that has measured did not hang, its output was cut."""
        if self._has_measured():
            return self._failed("has measured, but the end of its output is missing", "F25")
        return self._failed("did not end in time" if self._pid else "did not start")

    def _failed(self, how: str, fault: str = "F18") -> DeviceError:
        last = [f"{line.tag}: {line.text}" for line in (self._mine or self._others)[-8:]]
        return DeviceError(f"the benchmark app {how}; its last lines: {' | '.join(last) or 'none'}", FAULTS[fault])
