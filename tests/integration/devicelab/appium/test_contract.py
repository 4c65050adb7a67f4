"""The contract of all drivers on the real Appium: with a phone of software here, with a real one on `-m phone`."""

import os

import pytest
from contracts.driver import DriverContract

from devicelab.drivers.appium.processes import marked, my_mark


@pytest.mark.slow
@pytest.mark.parametrize("emulator", [("8.0", 1), ("9", 1)], indirect=True, ids=["Android 8.0", "Android 9"])
class TestAppiumOnEmulatedPhone(DriverContract):
    runs = 6

    @pytest.fixture
    def driver(self, bench, emulator):
        driver = bench.driver(emulator.udids[0])
        yield driver
        driver.close()

    def test_it_is_simulated_and_says_so(self, driver, emulator):
        assert driver.device.platform.source == "simulated"
        assert "simulated emulator" in driver.device.platform.os_build

    def test_the_other_route_gives_the_same_times(self, bench, driver, emulator, model):
        native = bench.driver(emulator.udids[0], name="native", route="native")
        other = native.reference(self.runs)
        native.close()
        assert other.typical_ms == pytest.approx(driver.reference(self.runs).typical_ms, rel=0.1)
        assert native.device.platform.runtime != driver.device.platform.runtime

    def test_the_phone_knew_every_command_and_nothing_stays_forwarded(self, bench, driver, emulator):
        driver.health()
        driver.close()
        assert emulator.states()[0]["unknown"] == []
        assert bench.forwards() == []
        assert [p for p in marked(my_mark()) if {"logcat", "instrument"} & set(p.cmdline())] == []


@pytest.mark.phone
class TestAppiumOnRealPhone(DriverContract):
    @pytest.fixture
    def driver(self, bench):
        udid = os.environ.get("FER_LAB_PHONE") or pytest.fail("FER_LAB_PHONE must be a phone's serial number")
        driver = bench.driver(udid, adb_port=int(os.environ.get("FER_LAB_ADB_PORT", "5037")))
        yield driver
        driver.close()

    def test_it_is_a_phone(self, driver):
        assert driver.device.platform.source == "phone"
