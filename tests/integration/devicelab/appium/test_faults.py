"""What a phone, Appium and adb's server do to a measurement that is under way, and that it can be made afterwards.

The whole table, every fault at every moment beside a phone that is left alone, is benchmarks/appium_faults.py.
"""

import pytest

from devicelab.drivers.appium.processes import marked, my_mark
from devicelab.errors import DeviceError, HostError
from devicelab.faults import Rung
from devicelab.measurement import Workload

pytestmark = pytest.mark.slow
LOST = {"F2", "F3", "F8", "F9"}


@pytest.fixture(scope="module")
def driver(bench, emulator):
    driver = bench.driver(emulator.udids[0])
    yield driver
    driver.close()


@pytest.fixture
def model(bench, tmp_path, request):
    """The reference network under a content that the phone has not seen, so that it is pushed."""
    path = tmp_path / "model.tflite"
    path.write_bytes(bench.server.reference.read_bytes() + request.node.name.encode() * 10_000)
    return Workload.of(path, 1)


def measured(driver, model):
    driver.load(model)
    driver.run(5)
    burst = driver.run(5)
    driver.unload()
    return burst


def assert_measures_right(driver, model):
    assert measured(driver, model).typical_ms == pytest.approx(driver.reference_ms, rel=0.15)


@pytest.mark.parametrize(
    ("fault", "when", "undo", "expected"),
    [
        ("drop", "push", "", LOST),
        ("drop", "run", "", LOST),
        ("unplug", "read", "replug", LOST),
        ("unauthorize", "start", "authorize", {"F10"}),
        ("crash-app", "run", "", {"F18"}),
        ("wrong-args", "start", "", {"F25"}),
        ("truncate-log", "read", "", {"F25"}),
        ("storage-full", "push", "storage-free", {"F17"}),
    ],
)
def test_a_fault_is_named_and_the_phone_measures_again(driver, emulator, model, fault, when, undo, expected):
    driver.health()
    emulator.order(fault, when=when)
    with pytest.raises(DeviceError) as raised:
        measured(driver, model)
    assert raised.value.fault.id in expected, str(raised.value)
    if undo:
        emulator.order(undo)
    driver.recover(raised.value.fault.rung or Rung.RECONNECT)
    assert_measures_right(driver, model)


def test_a_phone_that_says_it_is_another_one_is_left_to_a_hand(driver, emulator):
    driver.health()
    emulator.order("duplicate-serial")
    with pytest.raises(DeviceError, match="two phones") as raised:
        driver.health()
    emulator.order("true-serial")
    assert (raised.value.fault.id, raised.value.fault.recoverable) == ("F26", False)
    assert driver.health().battery_percent > 0


def test_what_lies_over_the_apps_is_seen_and_dismissed_as_far_as_keys_can(driver, emulator):
    assert driver.health().covered_by == ""
    emulator.order("pop-up")
    assert "ota" in driver.health().covered_by
    driver.recover(Rung.RETRY)
    seen = driver.health()
    emulator.order("dismiss")
    assert (seen.screen_on, "ota" in seen.covered_by) == (True, True)
    assert driver.health().covered_by == ""


def test_a_reinstallation_makes_room(driver, model):
    driver.load(model)
    kept = driver._adb_shell("ls /data/local/tmp/ferlab").split()
    driver.recover(Rung.REINSTALL)
    assert kept
    assert "No such file" in driver._adb_shell("ls /data/local/tmp/ferlab 2>&1; true")
    assert_measures_right(driver, model)


@pytest.mark.parametrize(("victim", "sign"), [("Appium", "index.js"), ("adb's server", "fork-server")])
def test_the_kill_of_a_server_costs_one_attempt(bench, driver, model, victim, sign):
    driver.load(model)
    target = next(process for process in marked(my_mark()) if any(sign in part for part in process.cmdline()[:5]))
    target.kill()
    with pytest.raises((DeviceError, HostError)) as raised:
        [driver.run(5) for _ in range(3)]
    assert raised.value.fault.id != "F0", str(raised.value)
    driver.recover(Rung.RECONNECT)
    assert_measures_right(driver, model)


def test_nothing_is_left_of_all_that(bench, driver):
    driver.close()
    assert bench.forwards() == []
    assert [p for p in marked(my_mark()) if {"logcat", "instrument"} & set(p.cmdline())] == []
