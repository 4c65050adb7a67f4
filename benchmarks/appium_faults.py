"""Do every fault of the emulated phone at every moment of a measurement, on one of two phones in use.

    python benchmarks/appium_faults.py                                  # all, about half an hour
    python benchmarks/appium_faults.py --fault drop --fault reboot --when run

The measurement goes through the real Appium and adb. What is right: the first attempt either gives a number that is the
phone's, or fails with a fault that is named; then the recovery ladder is climbed from that fault's rung on until the
phone measures again, unless a hand is needed (quarantined) or the protocol's gate refuses it (refused). Meanwhile the
other phone measures without a failure, and at the end no process and no forward is left.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import click

from devicelab.config import AppiumPhone
from devicelab.drivers.appium.driver import AppiumDriver
from devicelab.drivers.appium.processes import marked, my_mark
from devicelab.drivers.appium.server import AppiumServer, free_port
from devicelab.emulator.control import ask
from devicelab.errors import DeviceError, DeviceLabError, HostError
from devicelab.faults import UNKNOWN, Rung
from devicelab.gate import RULES, unfit
from devicelab.measurement import Burst, Workload
from devicelab.protocols import SystemClock
from devicelab.toolbox import find_toolbox

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
FAULTS = (*UNDO, "drop", "crash-uia2", "crash-app", "wedge-app", "reboot", "truncate-log", "wrong-args")
WHENS = ("push", "start", "run", "read")
LADDER = (Rung.RETRY, Rung.RECONNECT, Rung.REINSTALL, Rung.REBOOT)
HAND_SECONDS = 3.0
"""After so long somebody plugs the phone in again, or whatever undoes the fault."""


class Lab:
    """Two emulated phones, one Appium, one adb server."""

    def __init__(self, folder: Path, speed: float) -> None:
        command = [sys.executable, "-c", "from devicelab.cli import main; main()", "emulate", "--phones", "2"]
        command += ["--port", "0", "--control-port", "0", "--json", "--speed", str(speed)]
        path = os.pathsep.join(part for part in sys.path if part)
        environment = {**os.environ, "PYTHONPATH": path}
        self.emulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.emulator.stdout is not None  # noqa: S101 - it was asked for
        where = json.loads(self.emulator.stdout.readline())
        self.control, self.phones = where["control"], where["phones"]
        self.server = AppiumServer(find_toolbox(), SystemClock(), folder)
        self.server.acquire()
        self.adb_port = free_port()
        self.victim, self.other = (self._driver(number) for number in range(2))
        self.folder, self._count = folder, 0

    def _driver(self, number: int) -> AppiumDriver:
        ports = {"adb_port": self.adb_port, "system_port": free_port()}
        udid = self.phones[number]["udid"]
        phone = AppiumPhone(driver="appium", name=f"phone-{number + 1}", udid=udid, settle_seconds=0, **ports)
        return AppiumDriver(phone, self.server, SystemClock())

    def order(self, fault: str, when: str = "now") -> None:
        """Do *fault* to the victim, or arm it."""
        ask(self.control, do=fault, phone=self.phones[0]["serial"], when=when)

    def new_model(self) -> Workload:
        """Return the reference network under a content that no phone has seen, so that it is pushed."""
        self._count += 1
        path = self.folder / f"model-{self._count}.tflite"
        path.write_bytes(self.server.reference.read_bytes() + self._count.to_bytes(4) * 250_000)
        return Workload.of(path, 1)

    def close(self) -> str:
        """End everything and return what was left over, "" for nothing."""
        self.victim.close()
        self.other.close()
        forwards = self.server.adb(self.adb_port).call("forward", "--list").split()
        children = [process for process in marked(my_mark()) if {"logcat", "instrument"} & set(process.cmdline())]
        self.server.release()
        left = marked(my_mark())
        self.emulator.terminate()
        self.emulator.communicate(timeout=20)
        return f"{len(forwards)} forwards, {len(children)} orphans, {len(left)} processes"


class Neighbour:
    """The other phone, measuring in a thread of its own all the time."""

    def __init__(self, lab: Lab) -> None:
        self.bursts, self.failures = 0, list[str]()
        self._lab, self._stop = lab, threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self._lab.other.reference(6)
                self.bursts += 1
            except DeviceLabError as error:
                self.failures.append(str(error))

    def end(self) -> None:
        """Stop after the burst that is under way."""
        self._stop.set()
        self._thread.join()


@click.command(help=__doc__)
@click.option("--fault", "faults", multiple=True, default=FAULTS, help="Which; all by default.")
@click.option("--when", "whens", multiple=True, default=WHENS, help="At which moments; all by default.")
@click.option("--speed", default=5.0, show_default=True, help="Seconds of the phones in one of yours.")
def main(*, faults: tuple[str, ...], whens: tuple[str, ...], speed: float) -> None:
    """Do the faults and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), speed)
        neighbour = Neighbour(lab)
        wrong = 0
        try:
            measure(lab)
            print(
                "| fault | when | first attempt | fault, blame | outcome |\n| --- | --- | --- | --- | --- |", flush=True
            )
            for fault in faults:
                for when in whens:
                    first, named, outcome = inject(lab, fault, when)
                    wrong += outcome.startswith("WRONG")
                    print(f"| {fault} | {when} | {first} | {named} | {outcome} |", flush=True)
        finally:
            neighbour.end()
            left = lab.close()
    print(f"\nthe other phone: {neighbour.bursts} bursts, {len(neighbour.failures)} failures; left over: {left}")
    for failure in neighbour.failures[:5]:
        print(f"  {failure[:300]}")
    print(f"{len(faults) * len(whens)} cases, {wrong} wrong")


def inject(lab: Lab, fault: str, when: str) -> tuple[str, str, str]:
    """Return how the first attempt ended, the fault it was taken for, and what came of it in the end."""
    lab.order(fault, when)
    try:
        burst = measure(lab)
    except (DeviceError, HostError) as error:
        first, named = type(error).__name__, f"{error.fault.id}, {error.fault.blame}"
        if error.fault is UNKNOWN:
            named += f": {error}"
        if not error.fault.recoverable:
            outcome = "quarantined"
            heal(lab, fault)
            climb(lab, Rung.RECONNECT)
        else:
            timer = threading.Timer(HAND_SECONDS, heal, (lab, fault))
            timer.start()
            outcome = climb(lab, error.fault.rung or Rung.RETRY)
            timer.join()
        return first, named, outcome
    outcome = judge(lab, burst)
    heal(lab, fault)
    return f"{burst.typical_ms:.2f} ms", "-", outcome


def judge(lab: Lab, burst: Burst) -> str:
    """Return whether the gate refuses the phone, or the number is the phone's."""
    reason = unfit(lab.victim.health(), RULES)
    if reason:
        return f"refused: {reason.text}"
    right = abs(burst.typical_ms / lab.victim.reference_ms - 1) < 0.15
    return "measured" if right else f"WRONG: {burst.typical_ms:.2f} ms"


def climb(lab: Lab, rung: Rung) -> str:
    """Climb from *rung* on until the phone measures, and return what helped."""
    said = ""
    for step in LADDER:
        if step < rung:
            continue
        try:
            lab.victim.recover(step)
            return f"recovered by {step.name.lower()}: {judge(lab, measure(lab))}"
        except DeviceLabError as error:
            said = str(error)
    return f"WRONG: not recovered: {said[:160]}"


def measure(lab: Lab) -> Burst:
    """Do what a block does and return the last burst."""
    driver = lab.victim
    try:
        driver.health()
        driver.load(lab.new_model())
        driver.reference(5)
        driver.run(5)
        return driver.run(5)
    finally:
        with suppress(DeviceLabError):
            driver.unload()


def heal(lab: Lab, fault: str) -> None:
    """Undo *fault*."""
    if fault in UNDO:
        lab.order(UNDO[fault])


if __name__ == "__main__":
    main()
