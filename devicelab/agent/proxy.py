"""A driver that lives in a process of its own, so that a phone which hangs or crashes it takes nobody along.

Every call has a time limit, after which the process is killed. A process that died is replaced at the next call, which
first makes sure that what the dead one started on the phone has ended.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing import Pipe
from types import MappingProxyType
from typing import Any

from devicelab.agent.hand import Opening
from devicelab.device import Device, Health
from devicelab.drivers.appium.processes import MARK, WORKER
from devicelab.errors import DeviceError
from devicelab.faults import FAULTS, Rung
from devicelab.measurement import Burst, Workload

logger = logging.getLogger(__name__)

OPEN_SECONDS = 120.0
CLOSE_SECONDS = 15.0
LIMITS: Mapping[str, float] = MappingProxyType(
    {"health": 300.0, "load": 600.0, "reference": 600.0, "run": 600.0, "unload": 300.0, "recover": 1200.0}
)
"""Seconds for each verb: the sum of the driver's own limits (a session 200, a run 300, a restart 840), rounded up. Only
a process that hangs outside of them gets there."""


class ProcessDriver:
    """The driver of the phone of *opening*, in a process that has *environment* besides ours; see ``Driver``.

    Raises:
        DeviceError, HostError, ConfigError: the phone cannot be opened; nothing is left running.
    """

    def __init__(self, opening: Opening, environment: Mapping[str, str]) -> None:
        self._opening = opening
        self._environment = environment
        self._door = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        self.device: Device
        self.reference_ms: float
        self.device, self.reference_ms = self._spawn()

    @property
    def pid(self) -> int:
        """The number of the process, 0 if there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def health(self) -> Health:
        """See ``Driver.health``."""
        found: Health = self._call("health")
        return found

    def load(self, workload: Workload) -> None:
        """See ``Driver.load``."""
        self._call("load", workload)

    def reference(self, runs: int) -> Burst:
        """See ``Driver.reference``."""
        found: Burst = self._call("reference", runs)
        return found

    def run(self, runs: int) -> Burst:
        """See ``Driver.run``."""
        found: Burst = self._call("run", runs)
        return found

    def unload(self) -> None:
        """See ``Driver.unload``."""
        self._call("unload")

    def recover(self, rung: Rung) -> None:
        """See ``Driver.recover``."""
        self._call("recover", rung)

    def close(self) -> None:
        """Let the process close its driver and end; one that does not is killed."""
        self._ended = True
        process = self._process
        if process is None:
            return
        self._calls.close()
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("%s: its process does not end; killed", self._opening.phone.name)
        self._reap()

    def abandon(self) -> None:
        """End the process at once, from any thread: the call under way fails, and no other follows."""
        with self._door:
            self._ended = True
            if self._process is not None:
                self._process.kill()

    def _call(self, verb: str, *arguments: object) -> Any:  # noqa: ANN401 - what the verb returns
        self._revive()
        return self._exchange((verb, arguments), verb, LIMITS[verb])

    def _revive(self) -> None:
        """Make sure that there is a process; a new one ends what an earlier one left on the phone."""
        if self._process is not None and self._process.poll() is None:
            return
        logger.warning("%s: its process is gone; starting another", self._opening.phone.name)
        self._reap()
        self._spawn()
        self._exchange(("recover", (Rung.RETRY,)), "recover", LIMITS["recover"])

    def _spawn(self) -> tuple[Device, float]:
        with self._door:
            if self._ended:
                raise self._gone("is closed")
            self._calls, theirs = Pipe()
            life, self._life = os.pipe()
            inherited = [theirs.fileno(), life]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "devicelab.agent.hand", *map(str, inherited)],
                stdin=subprocess.DEVNULL,
                pass_fds=inherited,
                env={**os.environ, **self._environment, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                start_new_session=True,  # Ctrl-C is the agent's, which then ends it
            )
        theirs.close()
        os.close(life)
        try:
            found: tuple[Device, float] = self._exchange(self._opening, "open", OPEN_SECONDS)
        except BaseException:
            self._reap()
            raise
        return found

    def _exchange(self, message: object, doing: str, seconds: float) -> Any:  # noqa: ANN401
        """Send *message* and return the answer.

        Raises:
            DeviceError, HostError, WorkloadError: the driver's; or there was no answer: the process died or hung.
        """
        try:
            self._calls.send(message)
            if not self._calls.poll(seconds):
                self._reap()
                raise DeviceError(f"{self._opening.phone.name}: no answer to {doing} in {seconds:.0f} s", FAULTS["F15"])
            good, answer = self._calls.recv()
        except (EOFError, OSError):
            raise self._gone(f"died of {self._cause()} at {doing}") from None
        if good:
            return answer
        raise answer

    def _cause(self) -> str:
        """Return how the process ended, in words; one that no longer listens and yet lives is killed."""
        process = self._process
        if process is None:
            return "its end"
        try:
            status = process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"

    def _gone(self, how: str) -> DeviceError:
        return DeviceError(f"{self._opening.phone.name}: the process that speaks to it {how}", FAULTS["F28"])

    def _reap(self) -> None:
        with self._door:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            self._calls.close()
            os.close(self._life)


def worker_environment(mark: str) -> dict[str, str]:
    """Return what a phone's process is started with, so that it is known as one of the agent whose mark is *mark*."""
    return {MARK: mark + WORKER}
