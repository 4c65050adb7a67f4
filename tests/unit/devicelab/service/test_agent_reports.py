"""What an agent says, against the real routes: each command arrives as it was; networks arrive whole or not at all."""

import hashlib
from pathlib import Path

import pytest

from devicelab import commands as cmd
from devicelab.agent.reports import brought, claim, hello, report
from devicelab.api import ROOT
from devicelab.client import LabClient
from devicelab.commands import Order
from devicelab.conversation import Ask
from devicelab.device import Device, Health, Platform
from devicelab.errors import NoDeviceError, StoreError
from devicelab.lease import Lease
from devicelab.measurement import Reading, Workload

HEALTH = Health(temperature_c=30.0, battery_percent=50.0, frequency_mhz=None, nominal_mhz=1804.8)
PHONE = Device(
    name="moto-g6-1", platform=Platform(product="Moto G6", os_build="9", runtime="TFLite", source="simulated")
)
READING = Reading(
    device="moto-g6-1",
    median_ms=20.0,
    low_ms=19.9,
    high_ms=20.1,
    p90_ms=None,
    first_ms=30.0,
    runs=100,
    warmup_runs=5,
    canary_ms=(10.0, 10.0),
    factor=1.0,
    factor_error=0.001,
    temperature_c=(30.0, 30.5),
    battery_percent=50.0,
    frequency_mhz=None,
    started_at=1e9,
    seconds=3.0,
)
COMMANDS = [
    cmd.Started("moto-g6-1", 7),
    cmd.Heartbeat("moto-g6-1", 7),
    cmd.Read("moto-g6-1", 7, READING, (20.0, 20.1)),
    cmd.Failed("moto-g6-1", 7, "too hot", "F19", reason="hot"),
    cmd.Failed("moto-g6-1", 7, "no such operator", workload=True),
    cmd.Done("moto-g6-1", 7, HEALTH, 1.02, 0.001),
    cmd.Done("moto-g6-1", 7, HEALTH),
    cmd.Lost("moto-g6-1", "F10", "adb says unauthorized"),
]


@pytest.fixture
def lab(running, token, desk):
    desk.phones["moto-g6-1"] = desk.phones["moto-g6-1"].model_copy(update={"host": "some-agent"})
    with LabClient(running.url, token["agent"]) as lab:
        yield lab


@pytest.fixture
def network(running, token, model):
    """A network that the lab has, under its digest."""
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    with LabClient(running.url, token["search"]) as asker:
        asker.ask(Ask("PUT", f"{ROOT}/artifacts/{digest}", file=model))
    return digest


def order(digest):
    lease = Lease(token=7, device="moto-g6-1", holder="s", granted_at=0.0, expires_at=30.0)
    workload = Workload(path=Path(f"/far/away/{digest[:2]}/{digest}.tflite"), fingerprint="f" * 64, threads=4)
    return Order(lease=lease, duty="measure", workload=workload)


def test_every_command_arrives_as_it_was(lab, desk):
    assert [lab.ask(report(command)) for command in COMMANDS] == [{"seq": 7}] * len(COMMANDS)
    assert desk.told == COMMANDS


def test_words_that_are_too_long_are_cut_and_nothing_else_is_told(lab, desk):
    lab.ask(report(cmd.Failed("moto-g6-1", 7, "x" * 9999)))
    assert len(desk.told[0].message) == 2000
    with pytest.raises(TypeError, match="no agent tells"):
        report(cmd.Tick())


def test_it_says_which_phones_there_are(lab, desk):
    assert lab.ask(hello([PHONE], "attic", {"moto-g6-1"})) == {"devices": 1}
    assert desk.arrived == ("some-agent", "attic", ["moto-g6-1"], {"moto-g6-1"})
    assert lab.ask(claim()) == []


def test_a_network_is_fetched_once_and_whole(lab, network, tmp_path, model):
    found = brought(order(network), lab, tmp_path)
    assert found.workload.path == tmp_path / f"{network}.tflite"
    assert found.workload.path.read_bytes() == model.read_bytes()
    assert (found.workload.threads, found.lease.token) == (4, 7)
    lab.close()
    assert brought(order(network), lab, tmp_path) == found


def test_a_network_that_is_not_there_or_not_itself_is_refused(lab, running, tmp_path, network):
    with pytest.raises(NoDeviceError, match="no file 0000"):
        brought(order("0" * 64), lab, tmp_path)
    kept = next(path for path in tmp_path.rglob(f"{network}.tflite"))
    kept.write_bytes(b"something else")
    with pytest.raises(StoreError, match="another content"):
        brought(order(network), lab, tmp_path)
    assert [path for path in tmp_path.iterdir() if path.suffix == ".arriving"] == []


def test_an_order_without_a_network_is_left_as_it_is(lab, tmp_path):
    plain = order("0" * 64).model_copy(update={"workload": None, "duty": "clean"})
    assert brought(plain, lab, tmp_path) is plain
