"""What the lab's service is loaded with: a raw HTTP connection, a host of phones that work at once, the service itself.

The host speaks the agents' protocol like a real one; only the phones' work is a pause and a made-up reading.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from devicelab.service.auth import ROLES, Tokens

ADDRESS = re.compile(r"device lab: http://127\.0\.0\.1:(\d+)")
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")
PLATFORM = {
    "product": "Moto G6",
    "os_build": "Android 9, load 1",
    "runtime": "made up by benchmarks/lab_load.py",
    "source": "simulated",
}
HEALTH = {"temperature_c": 27.0, "battery_percent": 55.0, "frequency_mhz": 1804.8, "nominal_mhz": 1804.8}


class Wire:
    """One kept-alive connection: requests as bytes, answers by Content-Length. Fast because it does nothing else."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._turn = asyncio.Lock()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Send one request; return status and body. Raises ConnectionError if the service goes away."""
        async with self._turn:
            return await self._ask(method, path, body)

    async def _ask(self, method: str, path: str, body: object) -> tuple[int, bytes]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: lab\r\nAuthorization: Bearer {self._token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        self._writer.write(head.encode() + content)
        try:
            answer = await self._reader.readuntil(b"\r\n\r\n")
            (length,) = LENGTH.findall(answer)
            return int(answer[9:12]), await self._reader.readexactly(int(length))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the service went away") from error

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()


@dataclass
class Service:
    """``fer-lab serve`` in *folder* with *phones* simulated phones, on the cores *cores* (None: any)."""

    folder: Path
    phones: int = 1
    speed: float = 1.0
    cores: set[int] | None = None
    port: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    process: Any = None

    def start(self) -> float:
        """Start it, or start it again; return the seconds until it answered."""
        if not self.tokens:
            rows = [f'[[devices]]\nname = "here-{number}"\n' for number in range(1, self.phones + 1)]
            (self.folder / "lab.toml").write_text("\n".join(rows))
            tokens = Tokens(self.folder / "tokens.json")
            self.tokens = {role: tokens.add(role, role, 0.0) for role in ROLES}
        began = time.perf_counter()
        command = [sys.executable, "-m", "devicelab.cli", "serve", "--lab", "lab.toml", "--port", str(self.port)]
        log = (self.folder / "service.log").open("ab+")
        where = log.seek(0, os.SEEK_END)
        self.process = subprocess.Popen(
            [*command, "--speed", str(self.speed)], cwd=self.folder, stdout=log, stderr=log, env=os.environ
        )
        if self.cores:
            os.sched_setaffinity(self.process.pid, self.cores)
        while not self.port:
            log.seek(where)
            found = ADDRESS.search(log.read().decode())
            self.port = int(found[1]) if found else 0
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "service.log").read_text())
            time.sleep(0.01)
        while asyncio.run(self._answers()) != 200:
            time.sleep(0.005)
        return time.perf_counter() - began

    async def _answers(self) -> int:
        wire = Wire(self.port, self.tokens["read-only"])
        try:
            return (await wire.ask("GET", "/api/v1/status"))[0]
        except (ConnectionError, OSError):
            return 0
        finally:
            wire.close()

    def kill(self) -> None:
        """SIGKILL it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it in good order."""
        self.process.terminate()
        self.process.wait()

    def cpu_seconds(self) -> float:
        """Return how long it has computed since it started."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Return its resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (kilobytes,) = RESIDENT.findall(status)
        return int(kilobytes) / 1024

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


class Host:
    """An agent with *phones* phones: each block takes *seconds* (on average), and is read as *median_ms*.

    ``grants`` collects the seconds from each grant in the log to the agent's having it. ``deaf`` are phones whose
    worker has died: they say nothing any more.
    """

    def __init__(self, service: Service, phones: int, seconds: float, median_ms: float = 20.0) -> None:
        self._service, self.seconds, self._median = service, seconds, median_ms
        self.names = [f"away-{number}" for number in range(1, phones + 1)]
        self._wires = {name: Wire(service.port, service.tokens["agent"]) for name in self.names}
        self._rng = np.random.default_rng(1)
        self.grants: list[float] = []
        self.told = 0
        self.deaf: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take orders for ever."""
        wire = Wire(self._service.port, self._service.tokens["agent"])
        devices = [{"name": name, "platform": PLATFORM} for name in self.names]
        await wire.ask("POST", "/api/v1/agent/hello", {"devices": devices})
        while True:
            _, body = await wire.ask("POST", "/api/v1/agent/claim?wait=25")
            now = time.time()
            for order in json.loads(body):
                task = asyncio.create_task(self._work(order, now))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Let go of all orders."""
        for task in self._tasks:
            task.cancel()
        for wire in self._wires.values():
            wire.close()

    async def say(self, name: str, what: str, body: object = None) -> int:
        """Tell one word; return the HTTP status."""
        self.told += 1
        return (await self._wires[name].ask("POST", f"/api/v1/agent/{name}/{what}", body))[0]

    async def _work(self, order: dict[str, Any], now: float) -> None:
        name, token, duty = order["lease"]["device"], order["lease"]["token"], order["duty"]
        if name in self.deaf:
            if duty == "clean":
                self.deaf.discard(name)  # the agent has given the phone a new worker
            else:
                return
        if duty == "measure":
            self.grants.append(now - order["lease"]["granted_at"])
            await self.say(name, f"{token}/started")
            await asyncio.sleep(self.seconds * self._rng.uniform(0.5, 1.5))
            if name in self.deaf:
                return
            await self.say(name, f"{token}/read", {"reading": self._reading(name), "times": [self._median] * 30})
        done: dict[str, Any] = {"health": HEALTH}
        if duty == "calibrate":
            done |= {"factor": 1.0, "error": 0.001}
        await self.say(name, f"{token}/done", done)

    def _reading(self, name: str) -> dict[str, Any]:
        middle = self._median * self._rng.uniform(0.998, 1.002)
        return {
            "device": name,
            "median_ms": middle,
            "low_ms": middle * 0.995,
            "high_ms": middle * 1.005,
            "p90_ms": middle * 1.02,
            "first_ms": middle * 1.9,
            "runs": 30,
            "warmup_runs": 6,
            "canary_ms": [20.0, 20.0],
            "factor": 1.0,
            "factor_error": 0.001,
            "temperature_c": [27.0, 27.5],
            "battery_percent": 55.0,
            "frequency_mhz": 1804.8,
            "started_at": 0.0,
            "seconds": self.seconds,
        }


async def until(condition: Callable[[], Awaitable[bool]], seconds: float, what: str) -> float:
    """Wait until *condition*; return how long that took. Raises TimeoutError naming *what*."""
    began = time.perf_counter()
    while not await condition():
        if time.perf_counter() - began > seconds:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        await asyncio.sleep(0.02)
    return time.perf_counter() - began
