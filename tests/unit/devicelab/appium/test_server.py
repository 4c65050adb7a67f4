"""The server's processes, with a script in Appium's place: started once, watched, ended with all they started."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from devicelab.drivers.appium import processes
from devicelab.drivers.appium import server as server_module
from devicelab.drivers.appium.server import QUIET_PORTS, AppiumServer, answers, free_port
from devicelab.errors import HostError
from devicelab.protocols import SystemClock
from devicelab.toolbox import Toolbox

# answers /status as Appium does, and starts two children: one like `adb logcat`, one that leaves its parent
FAKE = """
import http.server, subprocess, sys
port = int([a for a in sys.argv if a.startswith("--port=")][0][7:])
subprocess.Popen(["sleep", "600"])
subprocess.Popen(["sleep", "601"], start_new_session=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"value": {"ready": true}}')
    def log_message(self, *args):
        print("asked", self.path, flush=True)
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def toolbox(home, script=FAKE):
    appium = home / "node_modules" / "appium"
    appium.mkdir(parents=True)
    (appium / "index.js").write_text(script)
    return Toolbox(node=Path(sys.executable), home=home)


@pytest.fixture
def server(tmp_path):
    server = AppiumServer(toolbox(tmp_path / "tools"), SystemClock(), tmp_path / "run")
    server.acquire()
    yield server
    server.release()


def mine():
    return processes.marked(processes.my_mark())


def ended(process, seconds=10.0):
    return not psutil.wait_procs([process], timeout=seconds)[1]


def test_it_is_started_once_and_answers(server):
    url = server.url()
    assert url.startswith("http://127.0.0.1:")
    assert server.url() == url
    assert "asked /status" in server.log.read_text()
    assert len(mine()) == 4, "keeper, server, and the two it started"


def test_the_last_release_leaves_nothing_behind(server):
    server.acquire()
    server.url()
    server.release()
    assert len(mine()) == 4
    server.release()
    assert mine() == []
    server.acquire()


@pytest.mark.parametrize("victim", ["server", "keeper"])
def test_after_a_kill_another_one_is_started_and_no_orphan_stays(server, victim):
    server.url()
    before = {process.pid for process in mine()}
    sign = "index.js" if victim == "server" else "appium.keeper"
    target = next(p for p in mine() if sign in " ".join(p.cmdline()[1:4]))
    target.kill()
    assert ended(target)
    server.url()
    after = {process.pid for process in mine()}
    assert len(after) == 4
    assert not before & after


def test_a_server_that_cannot_start_tells_where_its_words_are(tmp_path):
    server = AppiumServer(toolbox(tmp_path / "t", "raise SystemExit('no')"), SystemClock(), tmp_path / "run")
    server.acquire()
    with pytest.raises(HostError, match=r"Appium does not start; its words are in .*appium\.log"):
        server.url()
    server.release()
    assert server.log.read_text() == "no\n"


def test_a_lab_that_is_killed_leaves_nothing_behind(tmp_path):
    toolbox(tmp_path / "tools")
    code = f"""
import sys
from pathlib import Path
from devicelab.drivers.appium.server import AppiumServer
from devicelab.protocols import SystemClock
from devicelab.toolbox import Toolbox
home = Path({str(tmp_path)!r})
server = AppiumServer(Toolbox(Path(sys.executable), home / "tools"), SystemClock(), home / "run")
server.acquire()
server.url()
print("ready", flush=True)
sys.stdin.read()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    lab = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert lab.stdout.readline() == "ready\n"
    mark = processes.mark_of(lab.pid)
    family = processes.marked(mark)
    assert len(family) == 4
    os.kill(lab.pid, signal.SIGKILL)
    lab.communicate()
    assert psutil.wait_procs(family, timeout=15)[1] == []


def test_orphans_of_a_dead_owner_are_ended_and_others_are_not():
    gone = subprocess.Popen(["true"])
    stamp = f"{gone.pid}-1"
    gone.wait()
    orphan = subprocess.Popen(["sleep", "602"], env={**os.environ, processes.MARK: stamp})
    ours = subprocess.Popen(["sleep", "603"], env={**os.environ, processes.MARK: processes.my_mark()})
    strangers = subprocess.Popen(["sleep", "604"])
    try:
        _settle(orphan, ours)
        assert processes.end_orphans() >= 1
        assert orphan.poll() is not None
        assert ours.poll() is strangers.poll() is None
        assert processes.end_marked(processes.my_mark()) == 1
        assert ours.poll() is not None
        assert strangers.poll() is None
    finally:
        for process in (orphan, ours, strangers):
            process.kill()
            process.wait()


def _settle(*children):
    """Wait until *children* have become what they run; their environment is readable from then on."""
    for child in children:
        while processes.MARK not in psutil.Process(child.pid).environ():
            time.sleep(0.01)


def test_a_server_that_dies_as_it_answers_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as dying:
        port = dying.getsockname()[1]

        def die():
            asker, _ = dying.accept()
            with asker:
                asker.recv(1 << 16)
                asker.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")

        thread = threading.Thread(target=die)
        thread.start()
        assert not answers(port)
        thread.join()


def test_ports_are_free_and_nobody_gets_them_by_chance():
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == 100
    assert set(ports) <= set(QUIET_PORTS)
    with socket.create_server(("127.0.0.1", ports[0])) as mine:
        assert mine.getsockname()[1] == ports[0]


def test_no_port_is_given_that_is_taken(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as mine, socket.create_server(("127.0.0.1", 0)) as mine_too:
        taken = [mine.getsockname()[1], mine_too.getsockname()[1]]
        monkeypatch.setattr(server_module, "QUIET_PORTS", taken)
        with pytest.raises(HostError, match="is in use"):
            free_port()


def test_a_clock_that_is_set_makes_no_orphans(monkeypatch):
    mark = processes.my_mark()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 1.0)
    assert processes.owner_lives(mark)
    assert processes.owner_lives(mark + processes.WORKER)


def test_what_is_no_mark_has_no_owner():
    assert not processes.owner_lives("garbage")
    assert not processes.owner_lives("999999999-1")
    assert processes.owner_lives(processes.my_mark())
