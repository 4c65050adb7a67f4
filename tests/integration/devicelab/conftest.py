"""A real service in a process of its own, with 64 simulated phones, and a real browser."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devicelab.drivers.appium.server import free_port
from devicelab.service.auth import ROLES, Tokens

ADDRESS = re.compile(r"device lab: (http://\S+)")
PHONES = 64


class Service:
    """``fer-lab serve`` in *folder*; it can be killed and started again on the same port and store."""

    def __init__(self, folder: Path, speed: float = 20.0, phones: int = PHONES) -> None:
        self.folder, self._speed, self._port = folder, speed, free_port()  # still its own while it is dead
        names = [f'[[devices]]\nname = "moto-g6-{number:02d}"\n' for number in range(1, phones + 1)]
        (folder / "lab.toml").write_text("\n".join(names) or "devices = []\n")
        tokens = Tokens(folder / "tokens.json")
        self.tokens = {role: tokens.add(role, role, 0.0) for role in ROLES}
        self.process = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "devicelab.cli", "serve", "--lab", "lab.toml", "--port", str(self._port)]
        command += ["--speed", str(self._speed)]
        self._log = (self.folder / "service.log").open("a+")
        where = self._log.seek(0, os.SEEK_END)
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=self._log, stderr=self._log)
        self._port = int(self._announced(where).rsplit(":", 1)[1])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._log.close()

    def _announced(self, where: int) -> str:
        while self.process.poll() is None:
            self._log.seek(where)
            found = ADDRESS.search(self._log.read())
            if found:
                return found[1]
        self._log.seek(where)
        raise AssertionError(f"the service did not start: {self._log.read()}")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    running = Service(tmp_path_factory.mktemp("lab"))
    yield running
    running.stop()


@pytest.fixture
def bare_service(tmp_path):
    """A service without phones of its own."""
    running = Service(tmp_path, speed=1.0, phones=0)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless Chromium. Outside CI a machine without one skips these tests; in CI it fails."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        if os.environ.get("CI") == "true":
            pytest.fail("no chromium: .ci/run installs it with `make browser`")
        pytest.skip("no chromium and chromedriver here; as root on Debian: make browser")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-dev-shm-usage",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", "--window-size=1440,1000",
    ):  # fmt: skip
        options.add_argument(flag)
    driven = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield driven
    driven.quit()
