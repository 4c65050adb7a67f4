"""A phone through Appium; see ``devicelab.protocols.Driver`` for the verbs.

A session is opened at the first need, used for all blocks of a lease, and thrown away when anything fails: after the
loss of a phone's connection an Appium session never comes back. A model is pushed once per content and verified
at every load. Each ``run`` is a process of its own on the phone, so each tells its cold first inference.
"""

import contextlib
import hashlib
import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from devicelab.android import BENCHMARK_PACKAGE, MODELS, NATIVE_BENCHMARK, UIA2_PACKAGES
from devicelab.benchmark_output import Invocation, Output, OutputRefused, parse
from devicelab.config import AppiumPhone
from devicelab.device import Device, Health, Platform
from devicelab.drivers.appium import reference
from devicelab.drivers.appium.adb import AdbError
from devicelab.drivers.appium.benchmark import run_app, run_native
from devicelab.drivers.appium.condition import COMMAND, read_health, read_serial
from devicelab.drivers.appium.ending import Ending
from devicelab.drivers.appium.failures import failure
from devicelab.drivers.appium.identity import read_platform
from devicelab.drivers.appium.server import Host
from devicelab.drivers.appium.session import AppiumSession, capabilities
from devicelab.errors import DeviceError, HostError, WorkloadError
from devicelab.faults import FAULTS, Rung
from devicelab.graph import read_graph
from devicelab.measurement import Burst, Workload
from devicelab.operators import Graph
from devicelab.protocols import Clock
from devicelab.roofline import latency_ms

logger = logging.getLogger(__name__)

WARMUP_RUNS = 8
"""Untimed runs of each process: the excess of a cold start has fallen to half a percent after them (simulated)."""
RUN_SECONDS, SLOWEST = 30.0, 10.0
"""A run may take so many seconds, and so many times as long as predicted: the lowest clock makes it 2.8 times."""
LONGEST_RUN_SECONDS = 300.0
RECONNECT_SECONDS = 30.0
END_SECONDS, CLOSE_SECONDS = 30.0, 10.0
"""How long the next session, and whoever lets go of the phone, waits for the end of one: half a second is usual."""
CORES = 8
UNCOVER = "input keyevent KEYCODE_WAKEUP; wm dismiss-keyguard; input keyevent KEYCODE_HOME; true"
"""Ends what lies over the apps, as far as a key can: a lock screen without a secret, a notice, most pop-ups."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Model:
    """A network on the phone: where, how long one run should take (ms), and on how many threads."""

    path: str
    predicted_ms: float
    threads: int


class AppiumDriver:
    """The phone of *phone*, used through *server*.

    Raises:
        DeviceError, HostError: it is not there, or lacks the benchmark of its route.
    """

    def __init__(self, phone: AppiumPhone, server: Host, clock: Clock) -> None:
        self._phone = phone
        self._server = server
        self._clock = clock
        self._adb = server.adb(phone.adb_port)
        self._session: AppiumSession | None = None
        self._ending: Ending | None = None
        self._installed = False
        self._loaded: _Model | None = None
        self._canary: _Model | None = None
        self._serial = ""
        server.acquire()
        try:
            self.device = Device(name=phone.name, platform=self._host("asking who it is", self._identify))
        except Exception:
            server.release()
            raise
        predicted = latency_ms(read_graph(server.reference).operators, threads=reference.THREADS)
        self.reference_ms = phone.reference_ms or predicted
        self._closed = False

    def health(self) -> Health:
        """Return how the phone is now; see ``Driver.health``."""
        answer = self._on(lambda session: session.shell(COMMAND))
        self._check_serial(read_serial(answer))
        try:
            return read_health(answer)
        except ValueError as error:
            raise DeviceError(f"{self.device.name}: {error}", FAULTS["F25"]) from None

    def load(self, workload: Workload) -> None:
        """Push the file if the phone does not have it, and compare what it has; see ``Driver.load``."""
        self.unload()
        if workload.threads > CORES:
            raise WorkloadError(f"{workload.threads} threads on a phone with {CORES} cores; use 1, 2, 4 or 8")
        graph = read_graph(workload.path)
        if graph.fingerprint != workload.fingerprint:
            raise WorkloadError(f"{workload.path}: was changed since it was read; measure it again")
        self._loaded = self._bring(workload.path, graph, workload.threads)

    def reference(self, runs: int) -> Burst:
        """Run the reference network, which is looked for on the phone once a session; see ``Driver.reference``."""
        if self._canary is None:
            path = self._server.reference
            self._canary = self._bring(path, read_graph(path), reference.THREADS)
        return self._burst(self._canary, runs)

    def run(self, runs: int) -> Burst:
        """Run the loaded workload in a new process, warmed up; see ``Driver.run``."""
        if self._loaded is None:
            raise DeviceError(f"{self.device.name}: nothing is loaded")
        return self._burst(self._loaded, runs)

    def unload(self) -> None:
        """End the benchmark and see that it has ended; the file stays for the next time. See ``Driver.unload``."""
        if self._loaded is None:
            return
        if self._session is not None:
            self._on(lambda session: self._end_benchmark(session.shell))
        else:  # after a failure; opening a session on a phone in trouble could take minutes
            self._host("ending the benchmark", lambda: self._end_benchmark(self._adb_shell))
        self._loaded = None

    def recover(self, rung: Rung) -> None:
        """Climb to *rung*: new session, connection, Appium's apps, or the whole phone; see ``Driver.recover``.

        On every rung the benchmark is ended and what lies over the apps is dismissed.
        """
        self._loaded = None
        self._drop_session()
        steps: dict[Rung, Callable[[], None]] = {
            Rung.RETRY: lambda: None,
            Rung.RECONNECT: self._reconnect,
            Rung.REINSTALL: self._uninstall,
            Rung.REBOOT: self._reboot,
        }
        if rung not in steps:
            raise DeviceError(f"{self.device.name}: this host cannot switch the power of its ports", FAULTS["F8"])
        self._host(f"climbing to {rung.name}", steps[rung])
        self._on(lambda session: self._end_benchmark(session.shell))
        self._on(lambda session: session.shell(UNCOVER))
        self.health()

    def close(self) -> None:
        """Let go of session, port and, with the last phone, the server."""
        if self._closed:
            return
        self._closed = True
        self._drop_session()
        if self._ending is not None:
            self._ending.wait(CLOSE_SECONDS)
        self._server.release()

    def _check_serial(self, told: str) -> None:
        """See that it is still the phone that answered first: no sign of adb tells two with one serial number apart."""
        self._serial = self._serial or told
        if told and told != self._serial:
            text = f"{self.device.name}: says that it is {told}, not {self._serial}: two phones with one serial number?"
            raise DeviceError(text, FAULTS["F26"])

    def _identify(self) -> Platform:
        self._adb.start_server()
        self._adb.connect(self._phone.udid)
        return read_platform(self._adb, self._phone)

    def _bring(self, path: Path, graph: Graph, threads: int) -> _Model:
        """Make sure that the phone has the file at *path*, which holds *graph*, under the name of its content."""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        target = f"{MODELS}/{digest}.tflite"
        if not self._has(target, digest):
            doing = f"pushing {path.name}"
            self._host(doing, lambda: self._adb.on(self._phone.udid, "shell", "mkdir", "-p", MODELS))
            self._host(doing, lambda: self._adb.push(self._phone.udid, path, target))
            if not self._has(target, digest):
                raise DeviceError(f"{self.device.name}: {path.name} arrived with another content", FAULTS["F25"])
        return _Model(target, latency_ms(graph.operators, threads=threads), threads)

    def _has(self, target: str, digest: str) -> bool:
        status, answer = self._on(lambda session: session.try_shell(f"sha256sum {target}"))
        return status == 0 and answer.split()[:1] == [digest]

    def _burst(self, model: _Model, runs: int) -> Burst:
        asked = Invocation(model.path, model.threads, runs, WARMUP_RUNS)
        predicted = (runs + WARMUP_RUNS) * model.predicted_ms / 1e3
        seconds = min(RUN_SECONDS + SLOWEST * predicted, LONGEST_RUN_SECONDS)
        if self._phone.route == "native":
            lines = self._on(lambda session: run_native(session, asked, self._phone.cpus, seconds))
        else:
            lines = self._on(lambda session: run_app(session, asked, self._clock, seconds))
        try:
            return burst_of(parse(lines, asked))
        except OutputRefused as refused:
            text = f"{self.device.name}: {refused}"
            raise (WorkloadError(text) if refused.refusal.of_candidate else DeviceError(text, FAULTS["F25"])) from None

    def _adb_shell(self, command: str) -> str:
        return self._adb.on(self._phone.udid, "shell", command)

    def _end_benchmark(self, shell: Callable[[str], str]) -> None:
        """End what may still run on the phone, and see that it has ended; one round trip if nothing runs."""
        look = f"pidof {BENCHMARK_PACKAGE}; pidof {Path(NATIVE_BENCHMARK).name}; true"
        left = shell(f"am force-stop {BENCHMARK_PACKAGE}; {look}").split()
        if left:
            shell(f"kill -9 {' '.join(left)}; true")
            left = shell(look).split()
        if left:
            raise DeviceError(f"{self.device.name}: the benchmark does not end: {' '.join(left)}", FAULTS["F18"])

    def _reconnect(self) -> None:
        self._adb.start_server()
        with contextlib.suppress(AdbError):  # one that is away may be back before the wait is over
            self._adb.reconnect(self._phone.udid)
        self._adb.wait(self._phone.udid, self._clock, RECONNECT_SECONDS)

    def _uninstall(self) -> None:
        """Remove Appium's apps, which the next session installs anew, and all models; what is not there is no failure.

        It is also what a full phone needs: every network that was ever measured is still there.
        """
        self._installed = False
        self._adb_shell(f"rm -rf {MODELS}")
        for package in UIA2_PACKAGES:
            with contextlib.suppress(AdbError):
                self._adb.on(self._phone.udid, "uninstall", package, seconds=60)

    def _reboot(self) -> None:
        self._installed = False
        self._adb.reboot(self._phone.udid, self._clock)
        self._clock.sleep(self._phone.settle_seconds)

    def _on(self, act: Callable[[AppiumSession], T]) -> T:
        """Return what *act* returns with the open session, which is opened first and dropped if *act* fails."""
        if self._session is None:
            self._session = self._open()
        try:
            return act(self._session)
        except (DeviceError, HostError):
            self._drop_session()
            raise

    def _open(self) -> AppiumSession:
        url = self._server.url()
        self._host("connecting", self._connect)
        self._await_end()
        wanted = capabilities(
            self._phone.udid,
            adb_port=self._phone.adb_port,
            system_port=self._phone.system_port,
            installed=self._installed,
        )
        try:
            session = AppiumSession(url, wanted, self.device.name)
        except (DeviceError, HostError):
            self._installed = False
            raise
        self._installed = True
        return session

    def _connect(self) -> None:
        self._adb.start_server()
        self._adb.connect(self._phone.udid)

    def _await_end(self) -> None:
        """Wait until Appium has ended the session before; with the phone connected again it soon has."""
        if self._ending is not None:
            if not self._ending.wait(END_SECONDS):
                raise DeviceError(f"{self.device.name}: Appium does not end the session before", FAULTS["F15"])
            self._ending = None
            self._host("connecting", self._connect)  # looking for the phone, Appium can make adb forget it
        self._host("freeing its port", lambda: self._adb.release_port(self._phone.udid, self._phone.system_port))

    def _drop_session(self) -> None:
        session, self._session, self._canary = self._session, None, None
        if session is not None:
            self._ending = session.end()

    def _host(self, doing: str, act: Callable[[], T]) -> T:
        """Return what *act* returns; what adb fails at is raised as ``failures`` reads it."""
        try:
            return act()
        except (AdbError, subprocess.TimeoutExpired, OSError) as error:
            raise failure(error, self._phone.name, doing) from error


def burst_of(output: Output) -> Burst:
    """Return *output*, in microseconds, as a burst in milliseconds."""
    return Burst(
        runs=output.runs,
        mean_ms=output.mean_us / 1e3,
        sd_ms=output.sd_us / 1e3,
        min_ms=output.min_us / 1e3,
        max_ms=output.max_us / 1e3,
        median_ms=None if output.median_us is None else output.median_us / 1e3,
        p95_ms=None if output.p95_us is None else output.p95_us / 1e3,
        first_ms=output.first_us / 1e3,
    )
