"""Rehearse a fault: one of two emulated phones suffers it in a measurement through the real Appium; what comes of it?

The other phone measures all the while. A measurement is tried until it succeeds: after a failure the fault is undone
(as time, or an operator's hand, does) and the driver climbs to the rung that the recognised fault names.
"""

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

import emulated
from contracts.networks import small_network

from devicelab.block import unfit
from devicelab.config import AppiumPhone
from devicelab.drivers.appium.driver import AppiumDriver
from devicelab.drivers.appium.processes import marked, my_mark
from devicelab.drivers.appium.server import AppiumServer
from devicelab.errors import DeviceError, HostError
from devicelab.faults import Rung
from devicelab.measurement import Workload
from devicelab.protocols import SystemClock
from devicelab.toolbox import find_toolbox

RUNS = 6
ATTEMPTS = 4
SPEED = 5.0
REACH = 0.15
"""How far a burst of six runs may be from a quiet one of the same graph; the phones are quiet ones."""
UNDO = {
    "unplug": "replug",
    "hang": "unhang",
    "unauthorize": "authorize",
    "hot": "cool",
    "throttle": "cool",
    "storage-full": "storage-free",
    "pop-up": "dismiss",
    "empty-battery": "charge",
    "sick-battery": "charge",
    "duplicate-serial": "true-serial",
}


@dataclass
class Outcome:
    """What came of one fault: what was raised at failed attempts, how the gate refused, result over truth."""

    fault: str
    when: str
    raised: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    ratio: float = float("nan")
    came: bool = False
    others: int = 0
    wrong: int = 0

    @property
    def right(self) -> bool:
        """Whether the fault came, the phone measured right in the end, and the other one never noticed."""
        known = all(not text.startswith("F0 ") for text in self.raised)
        return self.came and known and abs(self.ratio - 1) < REACH and self.others > 0 and not self.wrong

    @property
    def kind(self) -> str:
        """In a word: unnoticed (nothing was lost by it), recovered, refused."""
        if self.raised:
            return "recovered"
        return "refused" if self.refused else "unharmed"


class Stage:
    """Two emulated phones behind one Appium and one adb server, and a driver for each."""

    def __init__(self, folder: Path, android: str = "9") -> None:
        self.folder = folder
        self.emulator = emulated.Emulator(android, phones=2, speed=SPEED)
        self.clock = SystemClock()
        self.server = AppiumServer(find_toolbox(), self.clock, folder)
        self.server.acquire()
        self.adb_port = emulated.free_port()
        self.adb = self.server.adb(self.adb_port)
        self.victim, self.other = (self._driver(number) for number in (0, 1))
        self.models = 0
        self.truth = [self._measure(driver) for driver in (self.victim, self.other)]

    def _driver(self, number: int) -> AppiumDriver:
        phone = AppiumPhone(
            driver="appium",
            name=f"moto-{number}",
            udid=self.emulator.udids[number],
            adb_port=self.adb_port,
            system_port=emulated.free_port(),
            settle_seconds=0,
        )
        return AppiumDriver(phone, self.server, self.clock)

    def workload(self) -> Workload:
        """Return a network that is on no phone yet: known graph, new weights."""
        self.models += 1
        path = self.folder / f"{self.models}.tflite"
        path.write_bytes(small_network(seed=self.models, side=64))
        return Workload.of(path, 1)

    def rehearse(self, fault: str, when: str) -> Outcome:
        """Let *fault* come at *when* in a measurement of the first phone, and tell what came of it."""
        outcome = Outcome(fault, when)
        done = threading.Event()
        other = threading.Thread(target=self._keep_measuring, args=(outcome, done))
        other.start()
        try:
            self.emulator.order(fault, when=when)
            outcome.ratio = self._suffer(outcome) / self.truth[0]
        finally:
            done.set()
            other.join()
            if fault in UNDO:
                self.emulator.order(UNDO[fault])
        outcome.came = f"{fault}@{when}" in self.emulator.states()[0]["happened"]
        return outcome

    def leftovers(self) -> tuple[list[str], list[str]]:
        """Let go of both phones; return the forwards and the processes that stay."""
        for driver in (self.victim, self.other):
            driver._drop_session()
        forwards = self.adb.call("forward", "--list").split()
        orphans = [" ".join(p.cmdline()) for p in marked(my_mark()) if {"logcat", "instrument"} & set(p.cmdline())]
        return forwards, orphans

    def close(self) -> None:
        """End everything."""
        for driver in (self.victim, self.other):
            driver.close()
        self.server.release()
        self.emulator.close()

    def _suffer(self, outcome: Outcome) -> float:
        """Measure on the first phone until it succeeds; return the typical ms."""
        workload = self.workload()
        rung = Rung.RETRY
        for _ in range(ATTEMPTS):
            try:
                typical = self._measure(self.victim, workload)
                reason = self._gate(outcome)
            except (DeviceError, HostError) as error:
                outcome.raised.append(f"{error.fault.id} {error}")
                rung = error.fault.rung or Rung.RETRY
            else:
                if not reason:
                    return typical
                outcome.refused.append(reason)
                self._undo(outcome)
                continue
            self._undo(outcome)
            with contextlib.suppress(DeviceError, HostError):
                self.victim.recover(rung)
        raise AssertionError(f"{outcome.fault}@{outcome.when}: not after {ATTEMPTS} attempts: {outcome}")

    def _undo(self, outcome: Outcome) -> None:
        if outcome.fault in UNDO:
            self.emulator.order(UNDO[outcome.fault])

    def _gate(self, outcome: Outcome) -> str:
        """Return why the first phone's measurement must not be believed, by the phone's health after it."""
        del outcome
        health = self.victim.health()
        if health.battery_health != "good":
            return f"battery health: {health.battery_health}"
        return unfit(health)

    def _measure(self, driver: AppiumDriver, workload: Workload | None = None) -> float:
        driver.load(workload or self.workload())
        burst = driver.run(RUNS)
        driver.unload()
        assert burst.runs == RUNS
        return burst.typical_ms

    def _keep_measuring(self, outcome: Outcome, done: threading.Event) -> None:
        workload = self.workload()
        while not done.is_set() or not outcome.others:
            try:
                typical = self._measure(self.other, workload)
            except (DeviceError, HostError) as error:
                outcome.wrong += 1
                outcome.raised.append(f"other phone: {error}")
                return
            outcome.others += 1
            outcome.wrong += abs(typical / self.truth[1] - 1) > REACH
