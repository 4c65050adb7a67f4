"""The real adb on a port of its own, in the foreground so that it ends with its test."""

import subprocess
import time

import adbutils
import emulated
import pytest

from devicelab.drivers.appium.server import free_port


class Adb:
    """adb as a command, with a server that this process started and ends."""

    def __init__(self, port, home):
        self.environment = {"HOME": str(home), "ADB_MDNS": "0", "PATH": "/usr/bin:/bin"}
        self.program = [adbutils.adb_path(), "-P", str(port)]
        self.server = subprocess.Popen(
            [*self.program, "nodaemon", "server"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.await_(lambda: self.run("get-state").stderr.startswith("error: no devices"))

    def run(self, *words, timeout=30, text=True, **more):
        return subprocess.run(
            [*self.program, *words],
            env=self.environment,
            capture_output=True,
            text=text,
            timeout=timeout,
            check=False,
            **more,
        )

    def start(self, *words):
        return subprocess.Popen(
            [*self.program, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def await_(self, condition, seconds=40):
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, "waited in vain"
            time.sleep(0.05)

    def close(self):
        self.server.terminate()
        self.server.wait(timeout=10)


class Plugged:
    """One emulated phone as adb sees it."""

    def __init__(self, adb, emulator):
        self.adb, self.emulator = adb, emulator
        self.udid = emulator.udids[0]

    def connect(self):
        """Connect; anew where adb answered by a connection that was just going down."""
        self.adb.await_(self._connects)

    def _connects(self):
        self.adb.run("disconnect", self.udid)
        if f"connected to {self.udid}" not in self.adb.run("connect", self.udid).stdout:
            return False
        limit = time.monotonic() + 5
        while self.state() != "device" and time.monotonic() < limit:
            time.sleep(0.05)
        return self.state() == "device"

    def state(self):
        lines = self.adb.run("devices").stdout.splitlines()
        return next((line.split("\t")[1] for line in lines if line.startswith(self.udid)), "absent")

    def run(self, *words, **more):
        return self.adb.run("-s", self.udid, *words, **more)

    def shell(self, text, **more):
        return self.run("shell", text, **more)


@pytest.fixture(scope="module")
def adb(tmp_path_factory):
    adb = Adb(free_port(), tmp_path_factory.mktemp("adb"))
    yield adb
    adb.close()


@pytest.fixture(scope="module", params=["8.0", "9"])
def plugged(request, adb):
    emulator = emulated.Emulator(request.param, speed=20)
    phone = Plugged(adb, emulator)
    phone.connect()
    yield phone
    adb.run("disconnect", phone.udid)
    assert emulator.close() == 0


@pytest.fixture
def phone(plugged):
    """Connected, whatever the test before did to it."""
    if plugged.state() != "device":
        plugged.connect()
    return plugged
