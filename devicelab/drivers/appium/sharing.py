"""The Appium server and adb of another process of this host: what the driver of a phone's own worker uses.

The agent starts both and watches them; its workers only ask whether Appium answers, and wait a moment if it does not.
"""

from dataclasses import dataclass
from pathlib import Path

from devicelab.drivers.appium.adb import Adb
from devicelab.drivers.appium.processes import MARK
from devicelab.drivers.appium.server import READY_SECONDS, answers
from devicelab.errors import HostError
from devicelab.faults import FAULTS
from devicelab.protocols import Clock
from devicelab.toolbox import Toolbox


@dataclass(frozen=True, slots=True)
class SharedServer:
    """The server of the process whose mark is *mark*, on *port*; see ``server.Host``."""

    tools: Toolbox
    port: int
    reference: Path
    mark: str
    clock: Clock

    def adb(self, port: int) -> Adb:
        """Return the adb of this host; a server that it has to start is the agent's."""
        sdk = str(self.tools.sdk)
        return Adb(self.tools.adb, port, {MARK: self.mark, "ANDROID_HOME": sdk, "ANDROID_SDK_ROOT": sdk})

    def url(self) -> str:
        """Return the address, as soon as the server answers.

        Raises:
            HostError: it does not within a minute; the agent has started another one several times by then.
        """
        deadline = self.clock.now() + READY_SECONDS
        while not answers(self.port):
            if self.clock.now() >= deadline:
                raise HostError(f"Appium does not answer on port {self.port}; see the agent's log", FAULTS["F23"])
            self.clock.sleep(0.2)
        return f"http://127.0.0.1:{self.port}"

    def acquire(self) -> None:
        """Do nothing: the agent keeps the server as long as it lives."""

    def release(self) -> None:
        """Do nothing."""
