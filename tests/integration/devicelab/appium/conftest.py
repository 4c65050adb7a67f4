"""Phones of software for the real Appium and the real adb, each on private ports; nothing is left running."""

import os
from pathlib import Path

import pytest
from emulated import Emulator

from devicelab.config import AppiumPhone
from devicelab.drivers.appium.driver import AppiumDriver
from devicelab.drivers.appium.server import AppiumServer, free_port
from devicelab.errors import ConfigError
from devicelab.protocols import SystemClock
from devicelab.toolbox import find_toolbox


@pytest.fixture(scope="session")
def tools():
    """What `make lab-tools` installed; without it these tests cannot run, which CI must not pass over."""
    try:
        return find_toolbox()
    except ConfigError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


class Bench:
    """One Appium server and one adb server for a module, and the drivers made on them."""

    def __init__(self, tools, folder):
        self.clock = SystemClock()
        self.server = AppiumServer(tools, self.clock, folder)
        self.server.acquire()
        self.adb_port = free_port()
        self.adb = self.server.adb(self.adb_port)

    def driver(self, udid, name="moto-1", **more):
        phone = AppiumPhone(
            driver="appium",
            name=name,
            udid=udid,
            **{"adb_port": self.adb_port, "system_port": free_port(), "settle_seconds": 0, **more},
        )
        return AppiumDriver(phone, self.server, self.clock)

    def forwards(self):
        return self.adb.call("forward", "--list").split()

    def close(self):
        self.server.release()


@pytest.fixture(scope="module")
def bench(tools, tmp_path_factory):
    bench = Bench(tools, Path(tmp_path_factory.mktemp("appium")))
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def emulator(request, tools):
    emulator = Emulator(*getattr(request, "param", ("9", 1)))
    yield emulator
    emulator.close()
