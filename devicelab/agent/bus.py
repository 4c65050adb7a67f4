"""What an agent has beside its phones' processes: adb's server and Appium, watched and started anew when they die."""

import logging
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from devicelab.agent.proxy import worker_environment
from devicelab.agent.threads import detached
from devicelab.config import AppiumPhone
from devicelab.drivers.appium.adb import Adb, AdbError
from devicelab.drivers.appium.processes import end_orphans, my_mark
from devicelab.drivers.appium.server import AppiumServer, port_is_free
from devicelab.drivers.appium.sharing import SharedServer
from devicelab.drivers.appium.tracking import track
from devicelab.errors import ConfigError, HostError
from devicelab.faults import FAULTS
from devicelab.protocols import Clock
from devicelab.toolbox import Toolbox

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
PAUSES = (0.2, 1.0, 5.0, 15.0, 30.0)
"""Before adb or Appium is started again, longer after each failure in a row."""


class Bus:
    """adb's server on *adb_port* and Appium on *appium_port*; ``open`` it, then ``follow``, then ``close`` it."""

    def __init__(self, tools: Toolbox, clock: Clock, folder: Path, *, appium_port: int, adb_port: int) -> None:
        self._clock = clock
        self._appium_port = appium_port
        self._server = AppiumServer(tools, clock, folder, appium_port)
        self._adb: Adb = self._server.adb(adb_port)
        self._mark = my_mark()
        self._calling: set[str] = set()
        self.environment: Mapping[str, str] = worker_environment(self._mark)

    def open(self, phones: Iterable[AppiumPhone]) -> None:
        """End what an agent that died here left behind, see that all ports are free, and start adb and Appium.

        Raises:
            HostError: a port is somebody else's, or one of the two does not start.
        """
        ended = end_orphans()
        if ended:
            logger.warning("ended %d processes that a lab which died had left", ended)
        ports = [self._appium_port, *(phone.system_port for phone in phones)]
        taken = [port for port in ports if not port_is_free(port)]
        if taken:
            raise HostError(f"port {taken[0]} is in use by another program; end it, or choose another", FAULTS["F5"])
        self._server.acquire()
        try:
            self._adb.start_server()
            self._server.keep()
        except (AdbError, subprocess.TimeoutExpired) as error:
            self._server.release()
            raise HostError(f"adb's server does not start: {error}") from None
        except BaseException:
            self._server.release()
            raise

    def close(self) -> None:
        """End Appium, adb's server if it was started here, and whatever they started."""
        self._server.release()

    def shared(self) -> SharedServer:
        """Return the server as phones' processes use it."""
        return SharedServer(self._server.tools, self._appium_port, self._server.reference, self._mark, self._clock)

    def connect(self, udid: str) -> None:
        """Have adb connect to the phone at the address *udid*, in a thread, unless it is at that already."""
        if udid not in self._calling:
            self._calling.add(udid)
            detached(lambda: self._connect(udid), f"connecting-{udid}")

    def follow(self, told: Callable[[Mapping[str, str]], None], stopped: threading.Event) -> None:
        """Tell *told* which phones there are whenever that changes, and keep adb and Appium alive, until *stopped*."""
        threading.Thread(target=self._follow, args=(told, stopped), name="adb", daemon=True).start()
        threading.Thread(target=self._keep, args=(stopped,), name="appium", daemon=True).start()

    def _connect(self, udid: str) -> None:
        try:
            self._adb.reconnect(udid)
        except (AdbError, OSError, subprocess.TimeoutExpired) as error:
            logger.debug("%s: %s", udid, error)
        finally:
            self._calling.discard(udid)

    def _follow(self, told: Callable[[Mapping[str, str]], None], stopped: threading.Event) -> None:
        failures = 0
        while not stopped.is_set():
            try:
                self._adb.start_server()
                for states in track(self._adb.port):
                    failures = 0
                    if stopped.is_set():
                        return
                    if states is not None:
                        told(states)
            except (AdbError, OSError, subprocess.TimeoutExpired) as error:
                if not stopped.wait(PAUSES[min(failures, len(PAUSES) - 1)]):
                    logger.warning("adb's server is gone; starting another (%s)", error)
                failures += 1

    def _keep(self, stopped: threading.Event) -> None:
        failures = 0
        while not stopped.wait(LOOK_SECONDS if not failures else PAUSES[min(failures, len(PAUSES) - 1)]):
            try:
                self._server.keep()
                failures = 0
            except (HostError, OSError) as error:
                logger.warning("%s", error)
                failures += 1


def one_adb_port(phones: Iterable[AppiumPhone]) -> int:
    """Return the port of adb's server for *phones*: a phone on USB can be had by one server only.

    Raises:
        ConfigError: they name several.
    """
    ports = sorted({phone.adb_port for phone in phones})
    if len(ports) != 1:
        raise ConfigError(f"an agent has one adb server; its phones name adb_port {' and '.join(map(str, ports))}")
    return ports[0]
