"""Two hosts of simulated phones work for one service that has none: killed and started again, nothing is lost."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from contracts.networks import small_network

from devicelab.client import LabClient
from devicelab.measurement import Workload
from devicelab.oracle import judged
from devicelab.service.auth import Tokens
from devicelab.store import Store

pytestmark = pytest.mark.slow


class Hosts:
    """Two agents of *service*, with two phones each."""

    def __init__(self, service):
        self.service = service
        self.folder = folder = service.folder
        tokens = Tokens(folder / "tokens.json")
        self._environment = {}
        for host in ("north", "south"):
            self._environment[host] = {**os.environ, "FER_LAB_TOKEN": tokens.add(host, "agent", 0.0)}
            names = [f'[[devices]]\nname = "{host}-{number}"\nroom = "{host}"\n' for number in (1, 2)]
            (folder / f"{host}.toml").write_text("heartbeat_seconds = 1\n" + "".join(names))
        self.agents = {host: self.start(host) for host in self._environment}

    def start(self, host):
        command = [sys.executable, "-m", "devicelab.cli", "agent", "--lab", f"{host}.toml", "--folder", host]
        log = self.folder / f"{host}.log"
        with log.open("a") as out:
            begins = out.tell()
            agent = subprocess.Popen(
                [*command, "--url", self.service.url], cwd=self.folder, env=self._environment[host], stderr=out
            )
        while b"Ctrl-C ends it" not in log.read_bytes()[begins:]:  # before, SIGTERM would just kill it
            assert agent.poll() is None, log.read_text()
            time.sleep(0.05)
        return agent

    def kill(self, host):
        self.agents[host].kill()
        self.agents[host].wait()
        self.agents[host] = self.start(host)

    def close(self):
        for agent in self.agents.values():
            agent.terminate()
        return [agent.wait() for agent in self.agents.values()]


def until(lab, phones):
    while {one["name"] for one in lab.get("/api/v1/devices") if one["state"] == "READY"} < phones:
        time.sleep(0.1)


def test_the_death_of_service_and_agent_loses_nothing(bare_service, tmp_path):
    hosts = Hosts(bare_service)
    workloads = []
    for number in range(12):
        path = tmp_path / f"{number}.tflite"
        path.write_bytes(small_network(side=32 + 2 * number))
        workloads.append(Workload.of(path, 1))
    with LabClient(hosts.service.url, hosts.service.tokens["search"]) as lab:
        until(lab, {"north-1", "north-2", "south-1", "south-2"})

        with ThreadPoolExecutor(len(workloads)) as pool:
            asked = [pool.submit(lab.measure, workload, key=f"k{number}") for number, workload in enumerate(workloads)]
            hosts.kill("north")
            hosts.service.kill()
            hosts.service.start()
        answers = [one.result() for one in asked]
    assert hosts.close() == [0, 0]
    assert [one.fingerprint for one in answers] == [one.fingerprint for one in workloads]
    with Store(tmp_path / "lab.sqlite", readonly=True) as store:
        assert judged(store.events()).clean
        assert len(store.measurements()) == 12
