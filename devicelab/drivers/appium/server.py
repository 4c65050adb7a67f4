"""One Appium server for all phones of a lab process: started when needed, watched, started anew when it died.

    server = AppiumServer(find_toolbox(), SystemClock(), folder)
    server.acquire()    # one more phone uses it
    server.url()        # starts it, or proves that it lives
    server.release()    # the last phone's release ends it, with everything that it started

Its port is a free one on loopback; nobody else can use it. Its adb is the lab's own.
"""

import contextlib
import itertools
import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

from devicelab.drivers.appium.adb import Adb
from devicelab.drivers.appium.processes import MARK, end_marked, end_orphans, my_mark
from devicelab.drivers.appium.reference import reference_network
from devicelab.errors import HostError
from devicelab.faults import FAULTS
from devicelab.protocols import Clock
from devicelab.toolbox import Toolbox

logger = logging.getLogger(__name__)

READY_SECONDS = 60.0
"""A cold start takes 2 to 5 s on two cores; the rest is for machines under load."""
ANSWER_SECONDS = 5.0
QUIET_PORTS = range(20_000, 32_000)
"""Below 32768, where the ports for outgoing connections and for ``bind`` to port 0 begin (ip(7))."""
_turns = itertools.count(secrets.randbelow(len(QUIET_PORTS)))
HUNG_SECONDS = 30.0
"""A server that lives and does not answer for so long is started anew by ``keep``: a busy machine takes over 5 s."""


class Host(Protocol):
    """What a driver needs of the computer that its phone hangs on."""

    @property
    def reference(self) -> Path:
        """The file of the reference network."""
        ...

    def adb(self, port: int) -> Adb:
        """Return the adb of this lab for the adb server on *port*."""
        ...

    def url(self) -> str:
        """Return the address of an Appium server that answers.

        Raises:
            HostError: there is none.
        """
        ...

    def acquire(self) -> None:
        """Say that one more phone uses the server."""
        ...

    def release(self) -> None:
        """Say that a phone uses it no more."""
        ...


class AppiumServer:
    """The server's processes, for several threads; see the module."""

    def __init__(self, tools: Toolbox, clock: Clock, folder: Path, port: int = 0) -> None:
        """Keep the server's words in ``folder/appium.log`` and the reference network in ``folder/reference.tflite``.

        It listens on *port*; 0 is any free one, another one at every start.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.tools = tools
        self.log = folder / "appium.log"
        self.reference = folder / "reference.tflite"
        self.reference.write_bytes(reference_network())
        self._users = 0
        self._clock = clock
        self._mark = my_mark()
        self._lock = threading.Lock()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._port = self._fixed = port
        self._answered = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """What every process of this lab is started with."""
        return {
            MARK: self._mark,
            "APPIUM_HOME": str(self.tools.home),
            "ANDROID_HOME": str(self.tools.sdk),
            "ANDROID_SDK_ROOT": str(self.tools.sdk),
        }

    def adb(self, port: int) -> Adb:
        """Return the adb of this lab for the adb server on *port*."""
        return Adb(self.tools.adb, port, self.environment)

    def url(self) -> str:
        """Return the address of a server that answers, which is started if there is none.

        Raises:
            HostError: it does not answer within a minute.
        """
        with self._lock:
            if self._keeper is None or self._keeper.poll() is not None or not self._answers():
                self._start()
            return f"http://127.0.0.1:{self._port}"

    def keep(self) -> None:
        """Start a server anew that has ended, or has not answered for ``HUNG_SECONDS``.

        Raises:
            HostError: it does not answer within a minute.
        """
        with self._lock:
            lives = self._keeper is not None and self._keeper.poll() is None
            if lives and self._answers():
                self._answered = self._clock.now()
            elif not lives or self._clock.now() - self._answered > HUNG_SECONDS:
                self._start()
                self._answered = self._clock.now()

    def acquire(self) -> None:
        """Say that one more phone uses the server."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """Say that a phone uses it no more; after the last one, end everything started here, adb's server included."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._stop()
                end_marked(self._mark)

    def _start(self) -> None:
        if self._keeper is not None:
            logger.warning("Appium's server is gone; starting another")
        self._stop()
        end_orphans()
        self._port = self._fixed or free_port()
        command = [
            str(self.tools.node),
            str(self.tools.appium),
            "server",
            "--address=127.0.0.1",
            f"--port={self._port}",
        ]
        command += ["--allow-insecure=uiautomator2:adb_shell", "--log-no-colors", "--log-timestamp", "--log-level=info"]
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "devicelab.drivers.appium.keeper", str(self.log), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        deadline = self._clock.now() + READY_SECONDS
        while not self._answers():
            if self._keeper.poll() is not None or self._clock.now() >= deadline:
                raise HostError(f"Appium does not start; its words are in {self.log}", FAULTS["F23"])
            self._clock.sleep(0.1)

    def _stop(self) -> None:
        """End keeper and server; phones' adb connections stay."""
        if self._keeper is None:
            return
        if self._keeper.stdin:
            self._keeper.stdin.close()
        try:
            self._keeper.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        self._keeper = None
        end_marked(self._mark, spare_adb_server=True)

    def _answers(self) -> bool:
        return answers(self._port)


def answers(port: int) -> bool:
    """Whether an Appium server that is ready answers on *port* of loopback."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=ANSWER_SECONDS) as answer:
            return bool(json.load(answer)["value"]["ready"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):  # HTTPException: it died as it answered
        return False


def free_port() -> int:
    """Return a port of loopback that nobody has now, another one at every call.

    The kernel gives none of ``QUIET_PORTS`` to whoever asks for any, so it is still free when a program gets to it.

    Raises:
        HostError: all of them are in use.
    """
    for _ in QUIET_PORTS:
        port = QUIET_PORTS[next(_turns) % len(QUIET_PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise HostError(f"every port from {QUIET_PORTS[0]} to {QUIET_PORTS[-1]} is in use", FAULTS["F5"])


def port_is_free(port: int) -> bool:
    """Whether nobody listens on *port* of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
