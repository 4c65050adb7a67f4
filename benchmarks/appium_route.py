"""Where the time of a measurement goes on the Appium route: session, push, start, run, read, quit; with session reuse.

    python benchmarks/appium_route.py                # two minutes; an emulated phone, the real Appium and adb
    python benchmarks/appium_route.py --leases 5 --lab lab.toml --device moto-g6-1      # a phone of yours

A lease is what a block does: health, load, canary, bursts, canary, unload, health. The time of the runs themselves is
the phone's own (start of the process, warm-up, timed runs), everything else is what the route costs. The goal is that
of the lab's design: at most 3 s per lease after the first. The baseline in the same run: a new session for every lease.
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
from typing import Any

import click

from devicelab.benchmark_output import Output
from devicelab.config import AppiumPhone, LabConfig
from devicelab.drivers.appium import driver as driver_module
from devicelab.drivers.appium.adb import Adb
from devicelab.drivers.appium.driver import AppiumDriver
from devicelab.drivers.appium.server import AppiumServer, free_port
from devicelab.drivers.appium.session import AppiumSession
from devicelab.drivers.opening import with_ports
from devicelab.measurement import Workload
from devicelab.protocols import SystemClock
from devicelab.toolbox import find_toolbox

GOAL_SECONDS = 3.0
STEPS = ("session", "push", "start", "run", "read", "shell", "quit", "other")


class Meter:
    """Seconds by step, of one lease."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return *function*, its time added to *step*."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function has
            begun = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[step] += time.perf_counter() - begun

        return wrapped

    def install(self) -> None:
        """Time the doors of the driver: session, adb and app."""
        AppiumSession.__init__ = self.timed("session", AppiumSession.__init__)  # type: ignore[method-assign]
        AppiumSession.close = self.timed("quit", AppiumSession.close)  # type: ignore[method-assign]
        AppiumSession.start_activity = self.timed("start", AppiumSession.start_activity)  # type: ignore[method-assign]
        AppiumSession.log = self.timed("read", AppiumSession.log)  # type: ignore[method-assign]
        AppiumSession.try_shell = self.timed("shell", AppiumSession.try_shell)  # type: ignore[method-assign]
        Adb.push = self.timed("push", Adb.push)  # type: ignore[method-assign]
        parse = driver_module.parse

        def timed_parse(*args: Any) -> Output:  # noqa: ANN401 - as parse
            output = parse(*args)
            warmup = output.first_us + (output.warmup_runs - 1) * output.mean_us
            self.seconds["run"] += (output.init_us + warmup + output.runs * output.mean_us) / 1e6
            return output

        driver_module.parse = timed_parse


@click.command(help=__doc__)
@click.option("--leases", default=4, show_default=True, help="How many, each way.")
@click.option("--bursts", default=6, show_default=True, help="Bursts of each lease, besides two canaries.")
@click.option("--runs", default=20, show_default=True, help="Runs of each burst.")
@click.option("--megabytes", default=20, show_default=True, help="Size of the model that is pushed.")
@click.option("--lab", "lab_path", type=click.Path(path_type=Path), help="A lab.toml, for a phone of yours.")
@click.option("--device", help="Which of its phones.")
def main(*, leases: int, bursts: int, runs: int, megabytes: int, lab_path: Path | None, device: str | None) -> None:
    """Measure and print."""
    meter = Meter()
    meter.install()
    with tempfile.TemporaryDirectory() as folder, phone_at(lab_path, device) as phone:
        server = AppiumServer(find_toolbox(), SystemClock(), Path(folder))
        server.acquire()
        server.url()
        model = Path(folder) / "model.tflite"
        model.write_bytes(server.reference.read_bytes() + bytes(megabytes * 2**20))
        try:
            driver = AppiumDriver(phone, server, SystemClock())
            platform = driver.device.platform
            print(f"{platform.product}, {platform.os_build}; {platform.runtime}")
            print(f"a lease: {bursts} bursts of {runs} runs and two canaries, model of {megabytes} MB")
            print(f"{'':26}" + "".join(f"{step:>9}" for step in STEPS) + f"{'total':>9}{'overhead':>10}")
            work = Work(model, bursts, runs, meter)
            reused = [work.lease(driver, f"one session, lease {number + 1}") for number in range(leases)]
            driver.close()
            fresh = [work.fresh_lease(phone, server, number) for number in range(leases - 1)]
        finally:
            server.release()
    best, calls = sorted(reused[1:])[len(reused[1:]) // 2]
    baseline = sorted(fresh)[len(fresh) // 2]
    verdict = "met" if best <= GOAL_SECONDS else "NOT met"
    print(f"overhead per lease after the first: median {best:.2f} s (goal {GOAL_SECONDS:g} s: {verdict})")
    print(f"of a lease's overhead {calls:.2f} s are calls of ours; the rest is the app's own start, once a burst")
    print(f"with a new session for each lease: median {baseline:.2f} s; reuse costs {best / baseline:.2f} of that")


@dataclass(frozen=True, slots=True)
class Work:
    """What is done in a lease, and what times it."""

    model: Path
    bursts: int
    runs: int
    meter: Meter

    def lease(self, driver: AppiumDriver, name: str) -> tuple[float, float]:
        """Do what a block does; print where the time went; return the overhead and our calls' part of it, seconds."""
        self.meter.seconds.clear()
        begun = time.perf_counter()
        driver.health()
        driver.load(Workload.of(self.model, 1))
        driver.reference(self.runs)
        for _ in range(self.bursts):
            driver.run(self.runs)
        driver.reference(self.runs)
        driver.unload()
        driver.health()
        overhead = report(name, time.perf_counter() - begun, self.meter)
        return overhead, sum(self.meter.seconds[step] for step in ("start", "read", "shell"))

    def fresh_lease(self, phone: AppiumPhone, server: AppiumServer, number: int) -> float:
        """Do the same with a session of its own."""
        driver = AppiumDriver(phone, server, SystemClock())
        begun = time.perf_counter()
        self.lease(driver, f"new session, lease {number + 1}")
        driver.close()
        print(f"{'':26}and {self.meter.seconds['quit']:.2f} s to quit")
        return time.perf_counter() - begun - self.meter.seconds["run"]


def report(name: str, total: float, meter: Meter) -> float:
    """Print one line and return total minus the phone's own runs, in seconds."""
    meter.seconds["other"] = total - sum(meter.seconds.values())
    overhead = total - meter.seconds["run"]
    cells = "".join(f"{meter.seconds[step]:9.2f}" for step in STEPS)
    print(f"{name:26}{cells}{total:9.2f}{overhead:10.2f}", flush=True)
    return overhead


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
