"""The doctor: what it says when nothing is there, when phones are in every state adb knows, and when all is right."""

import json
import socket

import pytest
from click.testing import CliRunner

from devicelab import toolbox
from devicelab.cli import cli
from devicelab.config import AppiumPhone
from devicelab.drivers.appium import checks
from devicelab.drivers.appium.adb import AdbError


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_LAB_TOOLS", str(tmp_path / "tools"))


class Adb:
    """Stands for adb's client: phones and their states."""

    port = 21037

    def __init__(self, phones, broken=""):
        self.phones, self.broken = phones, broken

    def start_server(self):
        if self.broken:
            raise AdbError(self.broken)

    def connect(self, serial):
        if serial not in self.phones:
            raise AdbError("failed to connect")

    def devices(self):
        return self.phones


def phone(udid, name="moto-1", port=8201):
    return AppiumPhone(driver="appium", name=name, udid=udid, system_port=port)


def test_a_host_without_tools_is_told_the_one_command(nothing_installed):
    wrong = {check.what: check.fix for check in checks.check_tools() if not check.right}
    assert set(wrong) == {"appium", "appium-uiautomator2-driver", "adb"}
    assert all("make lab-tools" in fix for fix in wrong.values())


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("unauthorized", "allow USB debugging"),
        ("offline", "plug it in again"),
        ("no permissions (missing udev rules?)", "udev rule"),
        ("recovery", "docs/real-phones.md"),
    ],
)
def test_a_phone_that_is_not_ready_has_its_advice(state, advice):
    _, check = checks.check_phones(Adb({"S1": state}), [phone("S1")])
    assert (check.right, check.found) == (False, state)
    assert advice in check.fix


def test_a_phone_that_is_not_there_and_one_that_nobody_knows():
    server, mine, stranger = checks.check_phones(Adb({"S2": "device"}), [phone("S1")])
    assert server.right
    assert (mine.right, mine.found) == (False, "not there")
    assert "plug it in" in mine.fix
    assert (stranger.what, stranger.right, stranger.fix) == ("S2", True, "")


def test_a_server_that_does_not_start_is_the_only_check():
    (check,) = checks.check_phones(Adb({}, broken="cannot bind"), [phone("S1")])
    assert (check.right, check.found) == (False, "cannot bind")
    assert "adb -P 21037 kill-server" in check.fix


def test_ports():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        (check,) = checks.check_ports([phone("S1", port=listener.getsockname()[1])])
        assert (check.right, check.found) == (False, "taken")


def test_the_command_ends_with_1_and_says_how_many(nothing_installed):
    result = CliRunner().invoke(cli, ["doctor", "--no-measure"])
    assert result.exit_code == 1
    assert "3 of 5 checks need a hand" in result.stderr


def test_the_command_speaks_json(nothing_installed):
    rows = json.loads(CliRunner().invoke(cli, ["doctor", "--json"]).stdout)
    assert {"what", "right", "found", "fix"} == set(rows[0])
    assert toolbox.FIX in rows[1]["fix"]
