"""adb's client against a script that stands for adb: what is called, what its words become, what takes too long."""

import subprocess

import pytest

from devicelab.drivers.appium.adb import Adb, AdbError, is_address
from devicelab.protocols import VirtualClock


@pytest.fixture
def adb(tmp_path):
    """An adb that notes how it is called and does what ``answers`` (a shell script) says; $* has no ``-P PORT``."""
    script = tmp_path / "adb"
    script.write_text(f'#!/bin/sh\nshift 2\necho "$*" >> {tmp_path}/calls\n. {tmp_path}/answers\n')
    script.chmod(0o755)
    (tmp_path / "answers").write_text("exit 0\n")
    return Adb(script, 21037)


@pytest.fixture
def answer(tmp_path):
    return (tmp_path / "answers").write_text


@pytest.fixture
def calls(tmp_path):
    return lambda: (tmp_path / "calls").read_text().splitlines()


def test_its_words_are_kept(adb, answer):
    answer("echo 'error: device offline' >&2; exit 1\n")
    with pytest.raises(AdbError, match=r"adb -s S shell true: error: device offline"):
        adb.on("S", "shell", "true")


def test_it_is_not_waited_for_for_ever(adb, answer):
    answer("exec sleep 30\n")
    with pytest.raises(subprocess.TimeoutExpired):
        adb.call("devices", seconds=0.2)


def test_devices_with_their_states(adb, answer):
    answer(r"printf 'List of devices attached\nA\tdevice\n127.0.0.1:15555\toffline\nB\tunauthorized\n\n'")
    assert adb.devices() == {"A": "device", "127.0.0.1:15555": "offline", "B": "unauthorized"}


@pytest.mark.parametrize(("serial", "address"), [("ZY3224AAAA", False), ("127.0.0.1:15555", True)])
def test_addresses_and_serial_numbers(serial, address):
    assert is_address(serial) is address


def test_a_phone_on_a_cable_is_reconnected_by_name(adb, calls):
    adb.reconnect("ZY3224AAAA")
    adb.connect("ZY3224AAAA")
    assert calls() == ["-s ZY3224AAAA reconnect"]


def test_a_phone_on_the_network_is_let_go_first(adb, answer, calls):
    answer("case $1 in disconnect) exit 1;; connect) echo connected to h:1;; esac\n")
    adb.reconnect("h:1")
    assert calls() == ["disconnect h:1", "connect h:1"]


def test_a_refused_connection_is_an_error_though_adb_calls_it_none(adb, answer):
    answer("echo \"failed to connect to 'h:1': Connection refused\"\n")
    with pytest.raises(AdbError, match="Connection refused"):
        adb.reconnect("h:1")


def test_connecting_what_is_there_does_nothing(adb, answer, calls):
    answer(r"printf 'List of devices attached\nh:1\tdevice\n'")
    adb.connect("h:1")
    assert calls() == ["devices"]


def test_a_push_has_time_by_its_size(adb, calls, tmp_path):
    file = tmp_path / "m"
    file.write_bytes(b"x")
    adb.push("S", file, "/data/local/tmp/m")
    assert calls() == [f"-s S push {file} /data/local/tmp/m"]


def test_waiting_ends_with_the_start_that_was_waited_for(adb, answer, tmp_path):
    answer(
        f"n=$(wc -l < {tmp_path}/calls)\n"
        "case $* in *boot_completed*) echo 1;; *boot_id*) [ $n -gt 6 ] && echo new || echo old;; esac\n"
    )
    clock = VirtualClock(0.0)
    adb.wait("S", clock, 60, other_than="old")
    assert 0 < clock.now() < 10


def test_waiting_does_not_go_on_for_ever(adb, answer):
    answer("echo 'error: device offline' >&2; exit 1\n")
    with pytest.raises(AdbError, match=r"The device is not ready after 5s: .*device offline"):
        adb.wait("S", VirtualClock(0.0), 5)


def test_a_port_that_is_not_forwarded_is_released_all_the_same(adb, answer, calls):
    answer("exit 1\n")
    adb.release_port("S", 8201)
    assert calls() == ["-s S forward --remove tcp:8201"]
