"""Bring a local Ray cluster up and take it down: the only caller of the ``ray`` command.

``ray stop`` ends every Ray process on the machine, whoever started it. So the head runs as ``ray start --block`` in a
session of its own, its process id and start time are recorded, and ``down`` ends exactly that session.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from cluster.config import ClusterProfile
from cluster.errors import ClusterError, NotRunning

WITH_TOKEN = {"RAY_AUTH_MODE": "token"}
"""Ray listens on every interface of the machine and runs whatever it is sent, so a cluster asks for the token of its
user (``~/.ray/auth_token``), and so must everything that connects to it."""
START_SECONDS = 60.0
STOP_SECONDS = 20.0


class Running(BaseModel):
    """A cluster that ``up`` started: who it is and where it listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    pid: int
    started: float
    address: str
    log: Path


def up(profile: ClusterProfile, state: Path) -> Running:
    """Start the cluster of *profile*; record it under the folder *state*; return when it accepts work.

    Raises:
        ClusterError: it is up already, or did not answer within ``START_SECONDS``.
    """
    if (known := _recorded(profile.cluster_name, state)) and _process(known):
        raise ClusterError(
            f"{known.name} is up already at {known.address}; take it down with: fer-cluster down {known.name}"
        )
    state.mkdir(parents=True, exist_ok=True)
    log = state / f"{profile.cluster_name}.log"
    _make_token()
    port = profile.head_port or _free_port()
    address = f"{profile.provider.head_ip}:{port}"
    with log.open("wb") as stream:
        child = subprocess.Popen(
            _start_command(profile, port),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env=_environment(),
        )
    running = Running(
        name=profile.cluster_name,
        pid=child.pid,
        started=psutil.Process(child.pid).create_time(),
        address=address,
        log=log,
    )
    _record_path(profile.cluster_name, state).write_text(running.model_dump_json(indent=1), encoding="utf-8")
    _await_ready(running, child, state)
    return running


def down(name: str, state: Path) -> Running:
    """End the processes of the recorded cluster *name* and forget it.

    Raises:
        NotRunning: nothing was recorded under that name, or it has ended already.
    """
    running = _recorded(name, state)
    if running is None:
        raise NotRunning(f"{name} is not up; bring it up with: fer-cluster up {name}")
    process = _process(running)
    if process is not None:
        _end_session(process)
    _record_path(name, state).unlink(missing_ok=True)
    if process is None:
        raise NotRunning(f"{name} had ended already; its record is cleared (log: {running.log})")
    return running


def status(name: str, state: Path) -> tuple[Running, str]:
    """Return the recorded cluster *name* and what ``ray status`` says of it.

    Raises:
        NotRunning: it is not up.
        ClusterError: its processes live and do not answer.
    """
    running = _recorded(name, state)
    if running is None or _process(running) is None:
        raise NotRunning(f"{name} is not up; bring it up with: fer-cluster up {name}")
    answer = _ray_status(running.address)
    if answer is None:
        raise ClusterError(f"{name} at {running.address} does not answer; see {running.log}")
    return running, answer


def submit(name: str, state: Path, command: list[str]) -> int:
    """Run *command* on the cluster *name* (RAY_ADDRESS and RAY_AUTH_MODE are set); return its exit code.

    Raises:
        NotRunning: the cluster is not up.
    """
    running, _ = status(name, state)
    return subprocess.run(command, env={**_environment(), "RAY_ADDRESS": running.address}, check=False).returncode


def _ray() -> list[str]:
    return [sys.executable, "-m", "ray.scripts.scripts"]


def _environment() -> dict[str, str]:
    return {**os.environ, **WITH_TOKEN}


def _make_token() -> None:
    """Write the user's token unless there is one."""
    done = _asked("get-auth-token", "--generate")
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:]
        raise ClusterError(f"Ray cannot make an authentication token: {' '.join(reason) or '(no reason given)'}")


def _asked(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run ``ray`` with *arguments* to its end."""
    return subprocess.run(
        [*_ray(), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
        env=_environment(),
    )


def _start_command(profile: ClusterProfile, port: int) -> list[str]:
    command = [*_ray(), "start", "--head", "--block", f"--port={port}", f"--node-ip-address={profile.provider.head_ip}"]
    command += ["--include-dashboard=false", "--disable-usage-stats"]
    command += [f"--num-cpus={profile.head.CPU}"] if profile.head.CPU is not None else []
    command += [f"--num-gpus={profile.head.GPU}"] if profile.head.GPU is not None else []
    return command


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _record_path(name: str, state: Path) -> Path:
    return state / f"{name}.json"


def _recorded(name: str, state: Path) -> Running | None:
    try:
        return Running.model_validate_json(_record_path(name, state).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"{_record_path(name, state)}: not a cluster record; remove it if no Ray runs: {error}"
        ) from error


def _process(running: Running) -> psutil.Process | None:
    """Return the recorded head process, or ``None`` if it ended (a recycled pid has another start time)."""
    try:
        process = psutil.Process(running.pid)
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return process if alive and abs(process.create_time() - running.started) < 1 else None
    except psutil.NoSuchProcess:
        return None


def _await_ready(running: Running, child: "subprocess.Popen[bytes]", state: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        if _ray_status(running.address) is not None:
            child.returncode = 0  # let go: the head outlives this process, so its handle must not warn
            return
        time.sleep(0.5)
    if (process := _process(running)) is not None:
        _end_session(process)
    child.poll()  # it has ended: its handle should know
    _record_path(running.name, state).unlink(missing_ok=True)
    tail = running.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise ClusterError(f"{running.name} did not start; last line of {running.log}: {' '.join(tail) or '(empty)'}")


def _ray_status(address: str) -> str | None:
    answer = _asked("status", f"--address={address}")
    ready = answer.returncode == 0 and "Node status" in answer.stdout
    return answer.stdout if ready else None


def _end_session(process: psutil.Process) -> None:
    """End *process* and all its descendants: politely, then for good."""
    family = [process, *process.children(recursive=True)]
    process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
    for survivor in alive:
        survivor.kill()
    psutil.wait_procs(alive, timeout=STOP_SECONDS)


def as_json(running: Running) -> str:
    """Return *running* as one JSON document."""
    return json.dumps(running.model_dump(mode="json"), indent=1)
