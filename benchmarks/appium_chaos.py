"""Measure on two emulated phones through serve, agent, Appium and adb while all of them fail and are killed at random.

    python benchmarks/appium_chaos.py                         # 200 measurements, about half an hour
    python benchmarks/appium_chaos.py --count 20 --seed 3
    python benchmarks/appium_chaos.py --folder chaos          # killed and run again it goes on

Twice a minute a phone's fault is ordered (now, or armed for a moment of a measurement) or one of Appium, adb's
server, a phone's process and the agent is killed with SIGKILL; whom and when is drawn from the seed. A hand plugs
phones in again and releases those that were given up. Goals: 0 lost, 0 doubled, 0 stale, 0 wrong (by the oracle, which
reads the log alone), every latency within 10 % of what the phones' physics say, the log's chain whole, nothing left.
"""

import json
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from devicelab.client import LabClient
from devicelab.errors import DeviceLabError
from devicelab.graph import read_graph
from devicelab.measurement import Measurement, Workload
from devicelab.oracle import judged
from devicelab.roofline import latency_ms
from devicelab.store import Store

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from agents import KILLS, Shelf
from contracts.networks import small_network

THREADS = 4
ASKERS = 4
NEAR = 0.1
UNDO = {
    "unplug": "replug",
    "hang": "unhang",
    "hot": "cool",
    "throttle": "cool",
    "storage-full": "storage-free",
    "pop-up": "dismiss",
}
FAULTS = (*UNDO, "drop", "crash-uia2", "crash-app", "wedge-app", "reboot", "truncate-log", "wrong-args")
WHENS = ("now", "push", "start", "run", "read")
REACTION_SECONDS = 20.0
"""The longest between two rounds of the hand that undoes what it finds."""


class Mischief(threading.Thread):
    """Does something to the lab every few seconds, what *rng* says; counts it. ``end`` it."""

    def __init__(self, lab: Shelf, rng: np.random.Generator, every: float, console: Console) -> None:
        super().__init__(daemon=True)
        self.done: Counter[str] = Counter()
        self._lab, self._rng, self._every, self._console = lab, rng, every, console
        self._over = threading.Event()

    def run(self) -> None:
        """Do it until the end."""
        due = time.monotonic() + self._every
        round_at = due
        while not self._over.wait(0.2):
            now = time.monotonic()
            if now >= round_at:
                round_at = now + float(self._rng.uniform(1.0, REACTION_SECONDS))
                self._mend()
                self._release()
            if now >= due:
                due = now + float(self._rng.uniform(0.5, 1.5)) * self._every
                self._strike()

    def end(self) -> None:
        """Stop, and undo what can be undone."""
        self._over.set()
        self.join()
        self._mend()

    def _mend(self) -> None:
        """Be the hand that walks past: undo what a hand can undo. What was armed for later waits for the next round."""
        for phone in range(2):
            for what in sorted(set(UNDO.values())):
                self._lab.phones.order(what, phone)

    def _strike(self) -> None:
        if self._rng.random() < 0.4:
            whom = str(self._rng.choice(list(KILLS)))
            if self._lab.kill(whom):
                self._note(f"SIGKILL {whom}")
            return
        what, when = str(self._rng.choice(FAULTS)), str(self._rng.choice(WHENS))
        phone = int(self._rng.integers(2))
        self._lab.phones.order(what, phone, when)
        self._note(f"{what} {when}")

    def _note(self, what: str) -> None:
        self.done[what] += 1
        self._console.print(f"{time.strftime('%H:%M:%S')} {what}", style="dim", highlight=False)

    def _release(self) -> None:
        """Be the operator: look at phones that were given up, and let them try again."""
        try:
            with self._lab.client("operator") as lab:
                for phone in lab.get("/api/v1/devices"):
                    if phone["state"] == "QUARANTINED":
                        lab.post(f"/api/v1/devices/{phone['name']}/release", {"why": "looked at it"})
                        self._note("released by hand")
        except DeviceLabError as error:
            self._console.print(f"the hand: {error}")


def networks(folder: Path, count: int) -> list[Workload]:
    """Write *count* networks with graphs of their own, from 0.5 ms on."""
    folder.mkdir(exist_ok=True)
    made = []
    for number in range(count):
        path = folder / f"{number}.tflite"
        path.write_bytes(small_network(side=96 + 4 * (number % 20), filters=16 + 4 * (number // 20)))
        made.append(Workload.of(path, THREADS))
    return made


def ask(lab: LabClient, number: int, workload: Workload) -> Measurement | DeviceLabError:
    """Return the latency of *workload*, or what its request ended in; the key makes it the same one after a restart."""
    try:
        return lab.measure(workload, key=f"chaos-{number}")
    except DeviceLabError as error:
        return error


def report(name: str, value: object, *, good: bool, goal: str) -> bool:
    """Print a line of the result."""
    print(f"  {'pass' if good else 'FAIL'}  {name:52} {value!s:>10}   goal {goal}", flush=True)
    return good


def verdict(store_path: Path, workloads: list[Workload], ends: list[Measurement | DeviceLabError]) -> bool:
    """Print what the oracle, the chain and the physics say; return whether every goal is met."""
    with Store(store_path, readonly=True) as store:
        found, problems = judged(store.events()), store.verify().problems
        commits = [json.loads(row.body)["key"] for row in store.events(kind="measurement_committed")]
    measured = [(one, end) for one, end in zip(workloads, ends, strict=True) if isinstance(end, Measurement)]
    truth = [latency_ms(read_graph(one.path).operators, threads=one.threads) for one, _ in measured]
    errors = [abs(end.median_ms / ms - 1) for (_, end), ms in zip(measured, truth, strict=True)]
    strange = sum(one.fingerprint != end.fingerprint for one, end in measured)
    failed = [end for end in ends if not isinstance(end, Measurement)]
    for end in failed:
        print(f"  not measured: {type(end).__name__}: {str(end)[:150]}")
    print(f"  {found.orders} orders, {found.failures} blocks failed and were tried again")
    good = report("requests measured", f"{len(measured)} of {len(ends)}", good=not failed, goal="all")
    for name, these in (
        ("requests lost", found.lost),
        ("answers or leases given twice", found.double),
        ("work counted without its lease", found.stale),
        ("work counted for another phone or question", found.wrong),
        ("failures without a reason", found.unexplained),
        ("problems in the log's chain", problems),
    ):
        good &= report(name, len(these), good=not these, goal="0")
    twice = len(commits) - len(set(commits))
    good &= report("measurements committed twice", twice, good=not twice, goal="0")
    good &= report("answers for another network", strange, good=not strange, goal="0")
    worst = max(errors, default=1.0)
    return report("largest error beside the phones' physics", f"{worst:.3f}", good=worst < NEAR, goal="< 0.1") and good


@click.command(help=__doc__)
@click.option("--count", default=200, show_default=True, help="Measurements.")
@click.option("--seed", default=0, show_default=True, help="Draws what goes wrong.")
@click.option("--every", default=30.0, show_default=True, help="Seconds between two things that go wrong, on average.")
@click.option("--speed", default=20.0, show_default=True, help="Seconds of the phones in one of yours.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep everything there, and go on with what is there.")
def main(*, count: int, seed: int, every: float, speed: float, folder: Path | None) -> None:
    """Run it; exit with 1 if a goal was missed."""
    with tempfile.TemporaryDirectory() as temporary:
        here = (folder or Path(temporary)).resolve()
        lab = Shelf(here, speed)
        console = Console(stderr=True)
        workloads = networks(here / "networks", count)
        began = time.monotonic()
        columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
        with lab.client("search") as client, Progress(*columns, console=console) as progress:
            lab.await_phones(client)
            mischief = Mischief(lab, np.random.default_rng(seed), every, console)
            mischief.start()
            bar = progress.add_task("measured", total=count)

            def work(pair: tuple[int, Workload]) -> Measurement | DeviceLabError:
                end = ask(client, *pair)
                progress.advance(bar)
                return end

            with ThreadPoolExecutor(ASKERS) as pool:
                ends = list(pool.map(work, enumerate(workloads)))
            mischief.end()
        took = time.monotonic() - began
        left = lab.close()
        print(f"seed {seed}: {count} requests in {took:.0f} s; {sum(mischief.done.values())} things went wrong:")
        print("  " + ", ".join(f"{what} {times}" for what, times in sorted(mischief.done.items())))
        good = verdict(here / "lab.sqlite", workloads, ends)
        good &= report("left over: " + "; ".join(left) if left else "left over", len(left), good=not left, goal="0")
        print("every goal is met" if good else "a goal is missed")
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
