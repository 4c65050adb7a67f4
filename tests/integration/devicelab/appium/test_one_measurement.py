"""Two emulated phones behind the real Appium lose their connection in a measurement; it is committed once."""

import emulated
import pytest
from contracts.networks import small_network

from devicelab.config import AppiumPhone, LabConfig
from devicelab.drivers.appium.server import free_port
from devicelab.lab import Lab
from devicelab.measurement import Workload


@pytest.fixture
def fleet(tools):
    fleet = emulated.Emulator(phones=2, speed=20)
    yield fleet
    assert fleet.close() == 0


def config(fleet):
    adb_port = free_port()
    phones = [
        AppiumPhone(
            driver="appium",
            name=f"moto-{number}",
            udid=udid,
            adb_port=adb_port,
            system_port=free_port(),
            settle_seconds=0,
        )
        for number, udid in enumerate(fleet.udids)
    ]
    return LabConfig(devices=tuple(phones))


@pytest.mark.slow
def test_a_measurement_whose_phones_both_drop_out_is_committed_once(tools, fleet, tmp_path):
    model = tmp_path / "m.tflite"
    model.write_bytes(small_network(side=64))
    with Lab(config(fleet), tmp_path / "lab.sqlite") as lab:
        for phone in (0, 1):
            fleet.order("drop", phone, "run")
        measured = lab.measure(Workload.of(model, 1))
        assert lab.measurements() == (measured,)
        assert measured.source == "simulated"
    states = fleet.states()
    assert any("drop@run" in state["happened"] for state in states)
    assert [state["unknown"] for state in states] == [[], []]
