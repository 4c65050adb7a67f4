"""Does faults to a phone and its cable (``devicelab.emulator.faults`` lists them), and undoes them."""

import asyncio
from collections.abc import Callable
from typing import Any

from devicelab.android import BENCHMARK_PACKAGE
from devicelab.emulator.benchmark import NATIVE
from devicelab.emulator.faults import FAULTS, WHENS, When
from devicelab.emulator.phone import HEALTHY, OVER_VOLTAGE, UPDATE, Phone, Screen
from devicelab.emulator.server import Cable
from devicelab.errors import ConfigError

BOOT_SECONDS = 45.0
ADB_SECONDS = 20.0
"""Seconds of phone time until a restarting phone says that it has booted, and until adb sees it, which is earlier."""
EMPTY_PERCENT = 5.0
DEFAULT_SERIAL = "0123456789ABCDEF"
"""What many phones of cheap makers all report."""


class Mischief:
    """Everything that can be done to *phone* on *cable*."""

    def __init__(self, phone: Phone, cable: Cable) -> None:
        self._phone = phone
        self._cable = cable
        self._restarts: set[asyncio.Task[None]] = set()
        phone.on_fault = self.inflict
        self._deeds: dict[str, Callable[[], Any]] = {
            "drop": cable.drop,
            "unplug": cable.unplug,
            "hang": cable.freeze,
            "unhang": cable.thaw,
            "crash-uia2": self._crash_uia2,
            "crash-app": self._crash_app,
            "unauthorize": lambda: self._authorize(yes=False),
            "authorize": lambda: self._authorize(yes=True),
            "reboot": self._reboot,
            "hot": lambda: phone.physics.heat(phone.clock.now()),
            "throttle": lambda: phone.physics.throttle(phone.clock.now()),
            "cool": lambda: phone.physics.cool(phone.clock.now()),
            "storage-full": lambda: setattr(phone.files, "full", True),
            "storage-free": lambda: setattr(phone.files, "full", False),
            "pop-up": lambda: setattr(phone, "screen", Screen(focus=UPDATE, locked=True)),
            "dismiss": lambda: setattr(phone, "screen", Screen()),
            "empty-battery": lambda: self._charge(EMPTY_PERCENT, charging=False),
            "sick-battery": lambda: setattr(phone, "battery_health", OVER_VOLTAGE),
            "charge": lambda: self._charge(phone.config.character.battery_percent, charging=True),
            "duplicate-serial": lambda: self._call_it(DEFAULT_SERIAL),
            "true-serial": lambda: self._call_it(phone.config.serial),
            **{name: self._trick(name) for name in ("truncate-log", "wrong-args", "wedge-app")},
        }

    async def order(self, fault: str, when: str) -> None:
        """Do *fault* now, or arm it.

        Raises:
            ConfigError: there is no such fault or moment.
        """
        if fault not in FAULTS:
            raise ConfigError(f"no fault is named {fault!r}; there are: {', '.join(FAULTS)}")
        moment: When | None = next((known for known in WHENS if known == when), None)
        if moment is None:
            raise ConfigError(f"no moment is named {when!r}; there are: {', '.join(WHENS)}")
        if moment == "now":
            self._phone.faults.happened.append(f"{fault}@now")
            await self.inflict(fault)
        else:
            self._phone.faults.arm(fault, moment)

    async def inflict(self, fault: str) -> None:
        """Do *fault*."""
        if fault == "replug":
            await self._cable.plug()
        else:
            self._deeds[fault]()

    def _trick(self, name: str) -> Callable[[], None]:
        return lambda: self._phone.tricks.add(name)

    def _crash_uia2(self) -> None:
        if self._phone.uia2.running:
            self._phone.tricks.add("uia2-crashed")
            self._phone.end_process("io.appium.uiautomator2.server")

    def _crash_app(self) -> None:
        """End the benchmark as the kernel does when memory is short; one that runs natively dies with it."""
        phone = self._phone
        for pid in phone.processes.find(BENCHMARK_PACKAGE):
            phone.say("I", "lowmemorykiller", f"Killing '{BENCHMARK_PACKAGE}' ({pid}), adj 0")
            phone.say("I", "ActivityManager", f"Process {BENCHMARK_PACKAGE} (pid {pid}) has died: fore TOP")
        phone.end_process(BENCHMARK_PACKAGE)
        phone.end_process(NATIVE)

    def _authorize(self, *, yes: bool) -> None:
        self._cable.authorized = yes
        self._cable.drop()

    def _charge(self, percent: float, *, charging: bool) -> None:
        body = self._phone.physics.body(self._phone.clock.now())
        body.battery_percent, body.charging = percent, charging
        self._phone.battery_health = HEALTHY

    def _call_it(self, serial: str) -> None:
        for name in ("ro.serialno", "ro.boot.serialno"):
            self._phone.properties[name] = serial

    def _reboot(self) -> None:
        self._cable.unplug()
        task = asyncio.ensure_future(self._restart())
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)
        self._phone.shut_down()

    async def _restart(self) -> None:
        """Come back: first to adb, then with all of Android."""
        phone = self._phone
        await phone.clock.sleep(ADB_SECONDS)
        phone.boot(phone.clock.now())
        phone.properties["sys.boot_completed"] = ""
        phone.screen.awake = False
        await self._cable.plug()
        await phone.clock.sleep(BOOT_SECONDS - ADB_SECONDS)
        phone.properties["sys.boot_completed"] = "1"
        phone.screen.awake = True
