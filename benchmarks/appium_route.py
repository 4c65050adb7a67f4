"""Where the time of a measurement goes on the Appium route: session, push, start, run, read, quit; with session reuse.

    python benchmarks/appium_route.py                # two minutes; an emulated phone, the real Appium and adb
    python benchmarks/appium_route.py --route native # the native binary instead of the app
    python benchmarks/appium_route.py --leases 5 --lab lab.toml --device moto-g6-1      # a phone of yours

A lease is what a worker does: one block of the protocol (health, load, canary, timed bursts, canary, health)
and the clean-up after it; one that the protocol refuses is told and done again. Each burst is a process of its own on
the phone. The columns, in seconds:

session, quit   opening and ending Appium's session, and the end of the one before
push            adb push of the model
start           asking Android to start the app
launch          from then until the app's first line: Android starting a process; the native binary has it in "read"
run             what the tool reports: loading the network, warm-up and timed runs
read            from the last run until the driver has the lines, and everything else of a burst
shell           health, verification and clean-up: commands on the phone
rest            pauses that the protocol demands; no overhead
other           the protocol's and the driver's own arithmetic

The overhead is everything but "run" and "rest". The goal is that of the lab's design: at most 3 s per lease after the
first. The baseline in the same run: a new session for every lease.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import click

from devicelab.benchmark_output import Output, parse
from devicelab.block import run_block
from devicelab.config import AppiumPhone, LabConfig
from devicelab.drivers.appium import benchmark as benchmark_module
from devicelab.drivers.appium import driver as driver_module
from devicelab.drivers.appium.adb import Adb
from devicelab.drivers.appium.driver import AppiumDriver
from devicelab.drivers.appium.ending import Ending
from devicelab.drivers.appium.server import AppiumServer, free_port
from devicelab.drivers.appium.session import AppiumSession
from devicelab.drivers.opening import with_ports
from devicelab.errors import RefusedError
from devicelab.measurement import Workload
from devicelab.protocols import SystemClock
from devicelab.toolbox import find_toolbox

GOAL_SECONDS = 3.0
STEPS = ("session", "push", "start", "launch", "run", "read", "shell", "rest", "quit", "other")


class Meter:
    """Seconds by step, of one lease; a step within another one is taken off it."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.bursts = 0
        self._within: list[str] = []
        self._started = 0.0

    def add(self, step: str, seconds: float) -> None:
        """Add *seconds* to *step*, taken off the step that is under way."""
        self.seconds[step] += seconds
        if self._within:
            self.seconds[self._within[-1]] -= seconds

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return *function*, its time added to *step*."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function has
            self._within.append(step)
            begun = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._within.pop()
                self.add(step, time.perf_counter() - begun)

        return wrapped

    def install(self) -> None:
        """Time the doors of the driver: session, adb, app and binary."""
        AppiumSession.__init__ = self.timed("session", AppiumSession.__init__)  # type: ignore[method-assign]
        Ending.wait = self.timed("quit", Ending.wait)  # type: ignore[method-assign]
        AppiumSession.try_shell = self.timed("shell", AppiumSession.try_shell)  # type: ignore[method-assign]
        Adb.push = self.timed("push", Adb.push)  # type: ignore[method-assign]
        started = self._then(self._begun, self.timed("start", AppiumSession.start_activity))
        AppiumSession.start_activity = started  # type: ignore[method-assign]
        app = benchmark_module._AppRun  # noqa: SLF001 - where the app's first line is seen
        app._check_echo = self._then(self._launched, app._check_echo)  # type: ignore[method-assign]  # noqa: SLF001
        patch.multiple(
            driver_module,
            run_app=self._bare(self.timed("read", benchmark_module.run_app)),
            run_native=self._bare(self.timed("read", benchmark_module.run_native)),
            parse=self._then(self._ran, parse),
        ).start()

    def _then(self, note: Callable[[Any], None], function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function has
            result = function(*args, **kwargs)
            note(result)
            return result

        return wrapped

    def _bare(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Count commands within *function* as its own."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function has
            shell = self.seconds["shell"]
            try:
                return function(*args, **kwargs)
            finally:
                within = self.seconds["shell"] - shell
                self.seconds["shell"] -= within
                self.seconds["read"] += within

        return wrapped

    def _begun(self, _: object) -> None:
        self._started = time.perf_counter()

    def _launched(self, _: object) -> None:
        self.add("launch", time.perf_counter() - self._started)

    def _ran(self, output: Output) -> None:
        """Take what the tool says that it ran off the burst that was just read."""
        warmup = output.first_us + (output.warmup_runs - 1) * output.mean_us
        seconds = (output.init_us + warmup + output.runs * output.mean_us) / 1e6
        self.seconds["run"] += seconds
        self.seconds["read"] -= seconds
        self.bursts += 1


class RestingClock(SystemClock):
    """The protocol's clock: what it lets pass is rest."""

    def __init__(self, meter: Meter) -> None:
        self.sleep = meter.timed("rest", super().sleep)  # type: ignore[method-assign]


@click.command(help=__doc__)
@click.option("--leases", default=4, show_default=True, help="How many, each way.")
@click.option("--megabytes", default=20, show_default=True, help="Size of the model that is pushed.")
@click.option("--route", type=click.Choice(["app", "native"]), default="app", show_default=True)
@click.option("--lab", "lab_path", type=click.Path(path_type=Path), help="A lab.toml, for a phone of yours.")
@click.option("--device", help="Which of its phones.")
def main(*, leases: int, megabytes: int, route: str, lab_path: Path | None, device: str | None) -> None:
    """Measure and print."""
    meter = Meter()
    meter.install()
    with tempfile.TemporaryDirectory() as folder, phone_at(lab_path, device) as found:
        phone = found.model_copy(update={"route": route})
        server = AppiumServer(find_toolbox(), SystemClock(), Path(folder))
        server.acquire()
        server.url()
        model = Path(folder) / "model.tflite"
        model.write_bytes(server.reference.read_bytes() + bytes(megabytes * 2**20))
        try:
            driver = AppiumDriver(phone, server, SystemClock())
            platform = driver.device.platform
            print(f"{platform.product}, {platform.os_build}; {platform.runtime}; load {os.getloadavg()[0]:.1f}")
            print(f"model of {megabytes} MB; one block and its clean-up a lease")
            print(f"{'':26}{'bursts':>7}" + "".join(f"{step:>8}" for step in STEPS) + f"{'total':>9}{'overhead':>10}")
            work = Work(model, meter)
            reused = [work.believed(driver, f"one session, lease {number + 1}") for number in range(leases)]
            driver.close()
            fresh = [work.fresh_lease(phone, server, number) for number in range(leases - 1)]
        finally:
            server.release()
    conclude(reused[1:], fresh)


def conclude(reused: list["Lease"], fresh: list["Lease"]) -> None:
    """Print what the leases after the first cost, in all and without Android's own starts of a process."""
    overhead = median(lease.overhead for lease in reused)
    ours = median(lease.overhead - lease.launch for lease in reused)
    bursts = median(lease.bursts for lease in reused)
    for name, seconds in (("all of it", overhead), ("without the phone's own starts of its app", ours)):
        verdict = "met" if seconds <= GOAL_SECONDS else "NOT met"
        print(
            f"overhead per lease after the first, {name}: median {seconds:.2f} s (goal {GOAL_SECONDS:g} s: {verdict})"
        )
    print(f"of {bursts:g} processes a lease; {ours / bursts:.3f} s each are the route's")
    baseline = median(lease.overhead for lease in fresh)
    print(f"with a new session for each lease: median {baseline:.2f} s; reuse costs {overhead / baseline:.2f} of that")


@dataclass(frozen=True, slots=True)
class Lease:
    """What a lease cost: seconds that were neither runs nor rest, those in which Android started the app, processes."""

    overhead: float
    launch: float
    bursts: int


@dataclass(frozen=True, slots=True)
class Work:
    """What is done in a lease, and what times it."""

    model: Path
    meter: Meter

    def lease(self, driver: AppiumDriver, name: str, *, close: bool = False) -> Lease:
        """Do what a worker does; print where the time went."""
        meter = self.meter
        meter.seconds.clear()
        meter.bursts = 0
        begun = time.perf_counter()
        run_block(driver, Workload.of(self.model, 1), RestingClock(meter))
        driver.unload()
        driver.health()
        if close:
            driver.close()
        total = time.perf_counter() - begun
        meter.seconds["other"] = total - sum(meter.seconds.values())
        overhead = total - meter.seconds["run"] - meter.seconds["rest"]
        cells = "".join(f"{meter.seconds[step]:8.2f}" for step in STEPS)
        print(f"{name:26}{meter.bursts:7}{cells}{total:9.2f}{overhead:10.2f}", flush=True)
        return Lease(overhead, meter.seconds["launch"], meter.bursts)

    def believed(self, driver: AppiumDriver, name: str) -> Lease:
        """Do a lease; do it again if its block is refused, as a lab would, at most three times."""
        return self._believed(lambda: self.lease(driver, name), name)

    def fresh_lease(self, phone: AppiumPhone, server: AppiumServer, number: int) -> Lease:
        """Do the same with a session of its own."""
        name = f"new session, lease {number + 1}"
        return self._believed(lambda: self.lease(AppiumDriver(phone, server, SystemClock()), name, close=True), name)

    def _believed(self, work: Callable[[], Lease], name: str) -> Lease:
        for _ in range(3):
            try:
                return work()
            except RefusedError as refused:
                print(f"{name}: refused, once more: {refused}", flush=True)
        return work()


@contextmanager
def phone_at(lab_path: Path | None, device: str | None) -> Iterator[AppiumPhone]:
    """Yield the phone that was named, or an emulated one that lives as long as this."""
    if lab_path is not None:
        phones = [phone for phone in with_ports(LabConfig.load(lab_path).devices) if isinstance(phone, AppiumPhone)]
        yield next(phone for phone in phones if device in {None, phone.name})
        return
    command = [sys.executable, "-c", "from devicelab.cli import main; main()"]
    command += ["emulate", "--phones", "1", "--port", "0", "--control-port", "0", "--json"]
    path = os.pathsep.join(part for part in sys.path if part)
    emulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    try:
        assert emulator.stdout is not None  # noqa: S101 - it was asked for
        udid = json.loads(emulator.stdout.readline())["phones"][0]["udid"]
        ports = {"adb_port": free_port(), "system_port": free_port()}
        yield AppiumPhone(driver="appium", name="emulated", udid=udid, settle_seconds=0, **ports)
    finally:
        emulator.terminate()
        emulator.communicate(timeout=20)


if __name__ == "__main__":
    main()
