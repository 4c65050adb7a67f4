"""Measure the lab's service as real processes: G2, G4, G5, G11 and G13 of the goals, each beside its goal.

    python benchmarks/lab_service.py                 all of it, about 4 minutes on 2 quiet cores
    python benchmarks/lab_service.py --only G4       one of them

The service has one core, the load the others. Phones are made up (``benchmarks/lab_load.py``) except in G2, where
simulated phones work a hundred times as fast as real ones. Exit code 1 if a goal is missed.
"""

import asyncio
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from devicelab.client import AsyncLabClient
from devicelab.graph import read_graph
from devicelab.measurement import Measurement, Workload
from devicelab.store import Store

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "tests")]
from contracts.networks import small_network  # noqa: E402 - the tests' maker of small networks
from lab_load import Host, Service, Wire, until  # noqa: E402 - the module beside this one


@dataclass(frozen=True)
class Figure:
    """One measured figure beside its goal."""

    gate: str
    what: str
    measured: float
    goal: float
    unit: str
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the goal is met."""
        return self.measured >= self.goal if self.at_least else self.measured <= self.goal


def quantile(values: list[float], share: float) -> float:
    """Return the value that *share* of *values* do not exceed."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else float("inf")


def check(fine: bool, answer: bytes) -> None:
    """Stop if the service refused what it must take."""
    if not fine:
        raise RuntimeError(answer.decode())


def networks(folder: Path, count: int) -> list[Workload]:
    """Write *count* networks with graphs of their own."""
    made = []
    for number in range(count):
        path = folder / f"{number}.tflite"
        path.write_bytes(small_network(side=16 + 2 * (number % 40), filters=4 + number // 40))
        made.append(Workload.of(path, 1))
    return made


async def submitted(service: Service, workloads: list[Workload], prefix: str) -> float:
    """Send the networks and put a request for each; return how long the requests took."""
    wire = Wire(service.port, service.tokens["search"])
    bodies = {}
    for number, workload in enumerate(workloads):
        content = workload.path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        bodies[f"{prefix}{number}"] = {"sha256": digest, "fingerprint": workload.fingerprint, "threads": 1}
        bodies[f"{prefix}{number}"]["selector"] = {"os_build": "Android 9, load 1"}
        status, answer = await wire.ask("PUT", f"/api/v1/artifacts/{digest}", content)
        check(status in {200, 201}, answer)
    began = time.perf_counter()
    for key, body in bodies.items():
        status, answer = await wire.ask("PUT", f"/api/v1/requests/{key}", body)
        check(status == 200, answer)
    wire.close()
    return time.perf_counter() - began


async def ended(service: Service, keys: list[str]) -> None:
    """Wait for the end of every request, each on a connection of its own."""

    async def one(key: str) -> None:
        wire = Wire(service.port, service.tokens["search"])
        while True:
            _, body = await wire.ask("GET", f"/api/v1/requests/{key}?wait=60")
            if json.loads(body)["measurement"] is not None:
                wire.close()
                return

    await asyncio.gather(*(one(key) for key in keys))


async def status_of(service: Service) -> dict[str, Any]:
    """Return the whole status."""
    wire = Wire(service.port, service.tokens["read-only"])
    _, body = await wire.ask("GET", "/api/v1/status")
    wire.close()
    status: dict[str, Any] = json.loads(body)
    return status


async def ready(service: Service, count: int) -> None:
    """Wait until *count* phones of the load are READY."""

    async def enough() -> bool:
        phones = (await status_of(service))["phones"]
        away = [phone for phone in phones if phone["state"] == "READY" and phone["name"].startswith("away")]
        return len(away) >= count

    await until(enough, 60, f"{count} phones ready")


def g2(folder: Path) -> list[Figure]:
    """SIGKILL the service 20 times under load; nothing may be lost or doubled."""
    service = Service(folder, phones=16, speed=100.0)
    computed: list[float] = []
    starts, rng = [service.start()], np.random.default_rng(7)
    workloads = networks(folder, 150)
    answers: list[Measurement] = []

    async def ask(lab: AsyncLabClient, number: int, turn: asyncio.Semaphore) -> None:
        async with turn:
            answers.append(await lab.measure(workloads[number], key=f"kill-{number}"))

    async def load() -> None:
        turn = asyncio.Semaphore(40)
        async with AsyncLabClient(service.url, service.tokens["search"]) as lab, asyncio.TaskGroup() as group:
            for number in range(len(workloads)):
                group.create_task(ask(lab, number, turn))
            group.create_task(asyncio.to_thread(killing))

    def killing() -> None:
        for _ in range(20):
            time.sleep(rng.uniform(0.3, 1.5))
            service.kill()
            starts.append(service.start())
            computed.append(service.cpu_seconds())

    asyncio.run(load())
    service.stop()
    with Store(folder / "lab.sqlite", readonly=True) as store:
        kinds = [json.loads(row.body) for row in store.events()]
        problems = len(store.verify().problems)
    done = [event["request"] for event in kinds if event["kind"] == "request_ended"]
    keys = [event["key"] for event in kinds if event["kind"] == "measurement_committed"]
    lost = len(workloads) - len({answer.fingerprint for answer in answers})
    doubled = len(done) - len(set(done)) + len(keys) - len(set(keys))
    return [
        Figure("G2", "slowest of 20 recoveries after SIGKILL", max(starts[1:]), 2.0, "s"),
        Figure("G2", "the same, median", quantile(starts[1:], 0.5), 2.0, "s"),
        Figure("G2", "the slowest in seconds that the service computed", max(computed), 2.0, "s"),
        Figure("G2", "requests lost of 150", lost, 0, ""),
        Figure("G2", "ends or measurements doubled", doubled, 0, ""),
        Figure("G2", "broken links in the event log", problems, 0, ""),
    ]


def g4(folder: Path) -> list[Figure]:
    """Let 500 requests wait for 64 phones; how soon has a phone that became ready its next order?"""
    service = Service(folder, cores={0})
    service.start()

    async def run() -> list[float]:
        host = Host(service, 64, 1.0)
        work = asyncio.create_task(host.run())
        await ready(service, 64)
        workloads = networks(folder, 500)
        await submitted(service, workloads, "wait-")
        await ended(service, [f"wait-{number}" for number in range(500)])
        work.cancel()
        host.stop()
        return host.grants

    grants = asyncio.run(run())
    service.stop()
    with Store(folder / "lab.sqlite", readonly=True) as store:
        gaps = waits([(row.at, json.loads(row.body)) for row in store.events()])
    return [
        Figure("G4", f"phone and request there, to granted: p99 of {len(gaps)}", 1e3 * quantile(gaps, 0.99), 50, "ms"),
        Figure("G4", "granted in the log, to at the agent: p99", 1e3 * quantile(grants, 0.99), 50, "ms"),
        Figure("G4", "the same, median", 1e3 * quantile(grants, 0.5), 5, "ms"),
    ]


def waits(rows: list[tuple[float, dict[str, Any]]]) -> list[float]:
    """Return for each grant how long both the phone and the question had been there, by the log."""
    free, asked, gaps = {}, {}, []
    for at, event in rows:
        match event["kind"]:
            case "phone_moved" if event["target"] == "READY":
                free[event["device"]] = at
            case "request_submitted" | "block_recorded" | "block_failed":
                asked[event["question"]] = at
            case "lease_granted" if event["duty"] == "measure":
                gaps.append(at - max(free[event["device"]], asked[event["question"]]))
    return gaps


def g5(folder: Path) -> list[Figure]:
    """Kill a worker in the middle of its block, and let a phone leave the bus."""
    service = Service(folder)
    service.start()

    async def run() -> list[Figure]:
        host = Host(service, 4, 2.0)
        work = asyncio.create_task(host.run())
        await ready(service, 4)
        await submitted(service, networks(folder, 20), "dead-")

        async def state(name: str) -> str:
            phones = (await status_of(service))["phones"]
            return next(str(phone["state"]) for phone in phones if phone["name"] == name)

        async def measuring() -> bool:
            return await state("away-1") == "MEASURING"

        async def back() -> bool:
            return await state("away-1") in {"READY", "LEASED"}

        async def suspected() -> bool:
            return await state("away-2") not in {"READY", "LEASED", "MEASURING", "CLEANUP"}

        await until(measuring, 30, "a block on away-1")
        host.deaf.add("away-1")
        dead = await until(back, 60, "away-1 back")
        began = time.perf_counter()
        await host.say("away-2", "lost", {})
        await until(suspected, 30, "away-2 noticed")
        noticed = time.perf_counter() - began
        work.cancel()
        return [
            Figure("G5", "phone of a dead worker back in service", dead, 40, "s"),
            Figure("G5", "phone that left the bus noticed", noticed, 5, "s"),
        ]

    figures = asyncio.run(run())
    service.stop()
    return figures


def g11(folder: Path) -> list[Figure]:
    """Ask the same 100 times at once, then again and again."""
    service = Service(folder, phones=4, speed=100.0, cores={0})
    service.start()
    workload = networks(folder, 1)[0]

    async def run() -> tuple[int, list[float], list[float]]:
        async with AsyncLabClient(service.url, service.tokens["search"]) as lab:
            await asyncio.gather(*(lab.measure(workload) for _ in range(100)))
        measured = (await status_of(service))["measured"]
        wire = Wire(service.port, service.tokens["search"])
        body = {"sha256": "0" * 64, "fingerprint": read_graph(workload.path).fingerprint, "threads": 1}
        times = []
        for number in range(500):
            began = time.perf_counter()
            _, answer = await wire.ask("PUT", f"/api/v1/requests/again-{number}", body)
            times.append(time.perf_counter() - began)
            check(json.loads(answer)["measurement"] is not None, answer)
        wire.close()
        seconds = [phone["used_seconds"] for phone in (await status_of(service))["phones"]]
        return measured, times, seconds

    measured, times, _ = asyncio.run(run())
    service.stop()
    return [
        Figure("G11", "measurements for 100 identical requests at once", measured, 1, ""),
        Figure("G11", "repeated answer, median", 1e3 * quantile(times, 0.5), 5, "ms"),
        Figure("G11", "repeated answer, p99", 1e3 * quantile(times, 0.99), 20, "ms"),
    ]


def g13(folder: Path) -> list[Figure]:
    """256 phones on one core: status reads per second while the lab works; durable commands per second; memory."""
    service = Service(folder, cores={0})
    service.start()

    async def reads(seconds: float) -> tuple[float, float]:
        """Return reads per second, and per second that the service computed."""
        wires = [Wire(service.port, service.tokens["read-only"]) for _ in range(8)]
        began, used = time.perf_counter(), service.cpu_seconds()

        async def read(wire: Wire) -> int:
            count = 0
            while time.perf_counter() < began + seconds:
                await wire.ask("GET", "/api/v1/status")
                count += 1
            return count

        total = sum(await asyncio.gather(*(read(wire) for wire in wires)))
        return total / (time.perf_counter() - began), total / (service.cpu_seconds() - used)

    async def run() -> list[Figure]:
        host = Host(service, 256, 5.0)
        work = asyncio.create_task(host.run())
        await ready(service, 256)
        idle = await reads(5.0)
        await submitted(service, networks(folder, 400), "slow-")
        busy = await reads(5.0)
        host.seconds = 0.0
        told, began, used = host.told, time.perf_counter(), service.cpu_seconds()
        await submitted(service, networks(folder, 1200), "fast-")
        await asyncio.sleep(4)
        count = host.told - told
        wall, computed = count / (time.perf_counter() - began), count / (service.cpu_seconds() - used)
        work.cancel()
        host.stop()
        return [
            Figure("G13", "reads/s of the whole status, 256 phones at rest", idle[0], 1000, "/s", at_least=True),
            Figure("G13", "the same per second that the service computed", idle[1], 1000, "/s", at_least=True),
            Figure("G13", "reads/s of the whole status, 256 phones at work", busy[0], 1000, "/s", at_least=True),
            Figure("G13", "the same per second that the service computed", busy[1], 1000, "/s", at_least=True),
            Figure("G13", "durable commands/s of agents, beside 1200 new requests", wall, 200, "/s", at_least=True),
            Figure("G13", "the same per second that the service computed", computed, 200, "/s", at_least=True),
            Figure("G13", "resident memory with 256 phones", service.rss_mb(), 200, "MB"),
        ]

    figures = asyncio.run(run())
    service.stop()
    return figures


GATES: dict[str, Callable[[Path], list[Figure]]] = {"G2": g2, "G4": g4, "G5": g5, "G11": g11, "G13": g13}


@click.command()
@click.option("--only", type=click.Choice(sorted(GATES)), multiple=True, help="Which goals; all if not given.")
def main(*, only: tuple[str, ...]) -> None:
    """Run the gates and print measured figures beside their goals."""
    missed = 0
    for name in only or GATES:
        with tempfile.TemporaryDirectory(prefix="lab-service-") as folder:
            for figure in GATES[name](Path(folder)):
                bound = ">=" if figure.at_least else "<="
                verdict = "pass" if figure.passed else "MISSED"
                missed += not figure.passed
                print(
                    f"{figure.gate:4} {figure.what:60} {figure.measured:10.2f} {figure.unit:3}"
                    f" goal {bound} {figure.goal:g} {figure.unit:3} {verdict}",
                    flush=True,
                )
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; phones and their times are simulated")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
