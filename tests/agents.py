"""A lab as it is deployed: ``fer-lab serve`` and ``fer-lab agent`` in processes of their own, two emulated phones.

For the integration tests and for benchmarks/appium_chaos.py.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
from emulated import Emulator

from devicelab.client import LabClient
from devicelab.drivers.appium.processes import WORKER, mark_of, marked
from devicelab.drivers.appium.server import free_port, port_is_free
from devicelab.service.auth import Tokens

KILLS = {"appium": "index.js", "adb": "fork-server", "worker": "devicelab.agent.hand", "agent": ""}
"""Whom, and what is in its command line."""


DYING_SECONDS = 30.0
"""Until a killed process has gone, on a machine that is busy; what stays longer was left over."""


class Shelf:
    """Two emulated phones, the service and the agent, each a process of its own; everything is kept in *folder*."""

    def __init__(self, folder: Path, speed: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.marks, self.ports = folder, list[str](), [free_port() for _ in range(4)]
        self.phones = Emulator(phones=2, speed=speed)
        self._write()
        path = os.pathsep.join(part for part in sys.path if part)
        self._environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}
        self.tokens = Tokens(folder / "tokens.json")
        for name, role in (("shelf", "agent"), ("asker", "search"), ("hand", "operator")):
            if any(grant.name == name for grant in self.tokens.grants()):
                self.tokens.revoke(name)
            self._environment[role.upper()] = self.tokens.add(name, role, 0.0)
        with (folder / "service.log").open("w") as log:
            self.service = self._started("serve", "--lab", "serve.toml", "--port", "0", log=log)
        self.url = self._address()
        self.agent = self.start_agent()

    def _write(self) -> None:
        _, adb, *system = self.ports
        times = "lease_seconds = 12\nheartbeat_seconds = 3\nreference_blocks = 10\n"
        (self.folder / "serve.toml").write_text("devices = []\n" + times)
        phones = [
            f'[[devices]]\ndriver = "appium"\nname = "moto-{number}"\nudid = "{udid}"\nadb_port = {adb}\n'
            f"system_port = {port}\nsettle_seconds = 0\n"
            for number, (udid, port) in enumerate(zip(self.phones.udids, system, strict=True))
        ]
        (self.folder / "shelf.toml").write_text(times + "".join(phones))

    def _started(self, *arguments: str, log: object) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "devicelab.cli", *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=log, stderr=log)

    def _address(self) -> str:
        while self.service.poll() is None:
            found = re.search(r"http://\S+", (self.folder / "service.log").read_text())
            if found:
                return found[0]
            time.sleep(0.1)
        raise SystemExit((self.folder / "service.log").read_text())

    def start_agent(self) -> "subprocess.Popen[bytes]":
        """Start the agent, as systemd would again after its death."""
        self._environment["FER_LAB_TOKEN"] = self._environment["AGENT"]
        with (self.folder / "agent.log").open("a") as log:
            self._begun = log.tell()
            options = ["--lab", "shelf.toml", "--url", self.url, "--appium-port", str(self.ports[0])]
            self.agent = self._started("agent", *options, log=log)
        self.marks.append(mark_of(self.agent.pid))
        return self.agent

    def await_phones(self, lab: LabClient, count: int = 1) -> None:
        """Wait until *lab* knows *count* phones.

        Raises:
            SystemExit: the agent has ended instead; its words.
        """
        while len(lab.get("/api/v1/devices")) < count:
            if self.agent.poll() is not None:
                raise SystemExit(self._said().decode())
            time.sleep(0.1)

    def _await_agent(self) -> None:
        """Wait until the latest agent has begun: one that is asked to end before it can listen just dies."""
        while self.agent.poll() is None and b"Ctrl-C ends it" not in self._said():
            time.sleep(0.1)

    def _said(self) -> bytes:
        """Return what the latest agent has said."""
        return (self.folder / "agent.log").read_bytes()[self._begun :]

    def client(self, role: str) -> LabClient:
        """Return a client for somebody with *role*."""
        return LabClient(self.url, self._environment[role.upper()])

    def kill(self, whom: str) -> bool:
        """Send SIGKILL to a process of *whom*; return whether there was one."""
        if whom == "agent":
            self.agent.kill()
            self.agent.wait()
            self.start_agent()
            return True
        mark = self.marks[-1] + (WORKER if whom == "worker" else "")
        for process in marked(mark):
            try:
                if any(KILLS[whom] in part for part in process.cmdline()[:5]):
                    process.kill()
                    return True
            except psutil.Error:
                continue
        return False

    def close(self) -> list[str]:
        """End everything; return what was left over."""
        self._await_agent()
        self.agent.terminate()
        left = [] if self.agent.wait() == 0 else [f"the agent ended with {self.agent.returncode}"]
        family = [process for mark in self.marks for process in (*marked(mark), *marked(mark + WORKER))]
        left += [f"process {process.pid}" for process in psutil.wait_procs(family, timeout=DYING_SECONDS)[1]]
        left += [f"port {port} is in use" for port in self.ports if not port_is_free(port)]
        self.service.terminate()
        self.service.wait()
        left += [f"the phones did not know: {state['unknown']}" for state in self.phones.states() if state["unknown"]]
        self.phones.close()
        return left
