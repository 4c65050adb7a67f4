"""The state of one emulated phone: what survives a restart, what does not, and who is told when a fault is due."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from devicelab.android import NATIVE_BENCHMARK, UIA2_PACKAGES
from devicelab.config import SimulatedPhone
from devicelab.device import Health, Value
from devicelab.emulator.benchmarktext import Dialect
from devicelab.emulator.clock import PhoneClock
from devicelab.emulator.faults import FaultBook, When
from devicelab.emulator.filesystem import FileSystem
from devicelab.emulator.logbuffer import LogBuffer
from devicelab.emulator.packagestore import BENCHMARK_APP, PackageStore
from devicelab.emulator.physics import Physics
from devicelab.emulator.properties import SDK, Android, properties

LAUNCHER = "com.motorola.launcher3/com.android.launcher3.CustomizationPanelLauncher"
UPDATE = "com.motorola.ccc.ota/com.motorola.ccc.ota.ui.DownloadActivity"
SYSTEM_PROCESSES = ("init", "zygote", "system_server", "com.android.systemui", "com.motorola.launcher3", "adbd")
UPTIME_AT_START = 3600.0
HEALTHY, OVER_VOLTAGE = 2, 5
"""``BatteryManager.BATTERY_HEALTH_GOOD`` and ``..._OVER_VOLTAGE``."""
TRACED = 2000
NATIVE_CONTENT = b"emulated benchmark_model: not an executable"


class EmulatedPhone(Value):
    """What an emulated phone is: its serial number, system, character, and the benchmark that is installed."""

    serial: Annotated[str, Field(pattern=r"^[A-Z0-9]{4,20}$")]
    android: Android = "9"
    character: SimulatedPhone = SimulatedPhone(name="emulated")
    dialect: Dialect = "litert"
    app_installed: bool = True
    native_installed: bool = True


@dataclass(slots=True)
class Screen:
    """What is to be seen: the activity on top, whether the screen is on and whether the lock screen covers it."""

    focus: str = LAUNCHER
    awake: bool = True
    locked: bool = False


@dataclass(slots=True)
class Processes:
    """Names by process id."""

    rng: np.random.Generator
    names: dict[int, str] = field(default_factory=dict)
    last: int = 0

    def spawn(self, name: str) -> int:
        """Start a process called *name* and return its id."""
        self.last += int(self.rng.integers(1, 40))
        self.names[self.last] = name
        return self.last

    def find(self, name: str) -> list[int]:
        """Return the ids of the processes called *name*."""
        return [pid for pid, found in self.names.items() if found == name]

    def kill(self, name: str) -> bool:
        """End all processes called *name*; return whether there were any."""
        found = self.find(name)
        for pid in found:
            del self.names[pid]
        return bool(found)


class Uia2:
    """UiAutomator2's server on the phone: whether it runs, and its sessions with their capabilities."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.ended = asyncio.Event()
        self.ended.set()

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return not self.ended.is_set()

    def start(self) -> None:
        """Begin to answer."""
        self.ended.clear()

    def stop(self) -> None:
        """End, with all sessions."""
        self.sessions.clear()
        self.ended.set()


class Phone:
    """One phone, switched on. *clock* is its time; faults that are due go to ``on_fault``."""

    def __init__(self, config: EmulatedPhone, clock: PhoneClock) -> None:
        self.config = config
        self.clock = clock
        self.sdk = SDK[config.android]
        self.rng = np.random.default_rng([config.character.seed, *config.serial.encode()])
        self.files = FileSystem()
        self.packages = PackageStore(self.files, self.rng)
        if config.app_installed:
            self.packages.preinstall(BENCHMARK_APP)
        if config.native_installed:
            self.files.write(NATIVE_BENCHMARK, NATIVE_CONTENT, clock.now(), 0o755)
        self.settings: dict[tuple[str, str], str] = {("global", "package_verifier_enable"): "1"}
        self.properties = properties(config.android, config.serial)
        self.physics = Physics(config.character, clock.now())
        self.battery_health = HEALTHY
        self.faults = FaultBook()
        self.tricks: set[str] = set()
        self.on_fault: Callable[[str], Awaitable[None]] | None = None
        self.unknown: list[str] = []
        self.trace: deque[str] = deque(maxlen=TRACED)
        self.log = LogBuffer(clock.now)
        self.uia2 = Uia2()
        self.processes = Processes(self.rng)
        self.screen = Screen()
        self.apps: dict[str, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.boot(clock.now() - UPTIME_AT_START)

    def boot(self, moment: float) -> None:
        """Start as of *moment*: a new boot id, no processes but the system's, an empty log, the screen on."""
        self.booted_at = moment
        self.boot_id = self.rng.bytes(16).hex()
        self.processes = Processes(self.rng)
        for name in SYSTEM_PROCESSES:
            self.processes.spawn(name)
        self.screen = Screen()
        self.log.clear()
        self.say("I", "boot_progress", "boot completed")

    def shut_down(self) -> None:
        """End everything that runs."""
        self.uia2.stop()
        self.apps.clear()
        for task in list(self._tasks):
            task.cancel()

    def say(self, priority: Literal["I", "W", "E"], tag: str, message: str, pid: int | None = None) -> None:
        """Log *message*, by the system unless *pid* says otherwise."""
        system = self.processes.find("system_server") or [1]
        self.log.write(priority, tag, message, system[0] if pid is None else pid)

    def uptime(self) -> float:
        """Return seconds since the phone started."""
        return self.clock.now() - self.booted_at

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Let *work* go on in the background until it ends or the phone shuts down."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def end_process(self, name: str) -> bool:
        """End the processes called *name* and what they do; return whether there were any."""
        if name in UIA2_PACKAGES:
            self.uia2.stop()
        task = self.apps.pop(name, None)
        if task:
            task.cancel()
        return self.processes.kill(name)

    def load(self) -> float:
        """Return the load average of the last minute: a little always, and a core while the benchmark runs."""
        return 0.3 + len(self.apps)

    def health(self) -> Health:
        """Return temperature, charge and clock."""
        return self.physics.health(self.clock.now())

    async def reached(self, when: When) -> None:
        """Let the faults that are armed for *when* come; a benchmark that one of them ends goes no further."""
        for fault in self.faults.due(when):
            if self.on_fault:
                await self.on_fault(fault)
                await asyncio.sleep(0)
