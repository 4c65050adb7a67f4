"""Faults on purpose: each shows at the right call with its name, lasts until its rung, and is found by the protocol."""

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from devicelab.block import run_block
from devicelab.config import SimulatedPhone
from devicelab.drivers.simulator import REBOOT_SECONDS, TIME_LIMIT_SECONDS, SimulatedDriver
from devicelab.errors import DeviceError, HostError, RefusedError
from devicelab.faults import FAULTS, Rung
from devicelab.measurement import Workload
from devicelab.protocols import VirtualClock
from devicelab.simulation.injector import AILMENTS, Injector, Surroundings

LASTING = [key for key, one in AILMENTS.items() if one.heals is not None and one.fault.recoverable]
HOPELESS = [key for key, one in AILMENTS.items() if not one.fault.recoverable]


def phone(fault="", rate=1.0, **config):
    clock = VirtualClock(1e9)
    weights = {fault: 1.0} if fault else {}
    config = {"name": "p", "noise": "silent", "fault_rate": rate if fault else 0.0, "fault_weights": weights} | config
    return SimulatedDriver(SimulatedPhone(**config), clock), clock


def do(driver, verb, model):
    arguments = {"load": [Workload.of(model, 1)], "run": [20], "reference": [20]}.get(verb, [])
    getattr(driver, verb)(*arguments)


def without_faults(driver):
    driver.injector._rate = 0.0


def test_every_fault_of_a_phone_is_there_and_those_of_others_are_not():
    assert set(FAULTS) - set(AILMENTS) == {"F12", "F20", "F23", "F24", "F28"}
    assert all(one.fault is FAULTS[key] for key, one in AILMENTS.items())


@pytest.mark.parametrize("fault", [key for key, one in AILMENTS.items() if one.effect in {"raise", "hang", "reboot"}])
def test_a_fault_shows_with_its_name(fault, model):
    for verb in AILMENTS[fault].verbs:
        driver, clock = phone()
        driver.load(Workload.of(model, 1))
        driver.injector = Injector(np.random.default_rng(0), 1.0, {fault: 1.0})
        before, boot = clock.now(), driver.body.health().boot_id
        with pytest.raises(DeviceError) as error:
            do(driver, verb, model)
        assert error.value.fault is FAULTS[fault]
        waited = {"hang": TIME_LIMIT_SECONDS, "reboot": REBOOT_SECONDS}.get(AILMENTS[fault].effect, 0.0)
        assert clock.now() - before == pytest.approx(waited)
        assert (driver.body.health().boot_id != boot) is (AILMENTS[fault].effect == "reboot")


@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_is_healed_by_its_rung_or_the_one_above(fault, model):
    driver, _ = phone(fault)
    with pytest.raises(DeviceError):
        do(driver, AILMENTS[fault].verbs[0], model)
    without_faults(driver)
    for rung in Rung:
        try:
            driver.recover(rung)
        except DeviceError as error:
            assert error.fault is FAULTS[fault]  # noqa: PT017 a rung may or may not help
            continue
        break
    assert AILMENTS[fault].heals <= rung <= AILMENTS[fault].heals + 1
    driver.load(Workload.of(model, 1))
    assert driver.run(5).runs == 5


@pytest.mark.parametrize("fault", HOPELESS)
def test_what_is_hopeless_is_healed_by_no_rung_but_by_an_operator(fault):
    driver, _ = phone(fault)
    driver.injector.inflict(fault)
    without_faults(driver)
    if AILMENTS[fault].heals is None:
        return
    for rung in Rung:
        with pytest.raises(DeviceError):
            driver.recover(rung)
    driver.injector.repair()
    assert driver.health().boot_id


@pytest.mark.parametrize(
    ("fault", "reasons"), [("F19", {"throttled", "hot"}), ("F25", {"garbled"}), ("F27", {"canary", "disturbed"})]
)
def test_what_raises_nothing_is_refused_by_the_protocol(fault, reasons, model):
    driver, clock = phone(fault)
    with pytest.raises(RefusedError) as error:
        run_block(driver, Workload.of(model, 1), clock)
    assert error.value.reason in reasons


def test_an_empty_battery_that_does_not_charge_is_refused(model):
    driver, clock = phone("F21")
    driver.load(Workload.of(model, 1))
    assert driver.health().battery_percent == pytest.approx(25, abs=0.1)
    driver.body.charging = False
    with pytest.raises(RefusedError, match=r"battery at 2. %, below 30 %"):
        run_block(driver, Workload.of(model, 1), clock)


def test_rates_and_weights_are_kept():
    injector = Injector(np.random.default_rng(1), 0.2, {"F9": 3.0, "F2": 1.0})
    struck = Counter[str]()
    for _ in range(4000):
        injector.sick = None
        found = injector.strike("run")
        struck[found.fault.id if found else ""] += 1
    assert struck[""] / 4000 == pytest.approx(0.8, abs=0.03)
    assert struck["F9"] / struck["F2"] == pytest.approx(3.0, rel=0.25)
    assert set(struck) == {"", "F9", "F2"}
    assert Counter(fault for fault, _ in injector.injected) == {key: count for key, count in struck.items() if key}


def test_results_come_twice_late_or_never_as_often_as_asked():
    injector = Injector(np.random.default_rng(1), 0.3, {})
    seen = Counter(injector.delivery() for _ in range(3000))
    assert seen["once"] / 3000 == pytest.approx(0.7, abs=0.03)
    assert all(seen[kind] > 200 for kind in ("twice", "late", "never"))


def test_the_same_seed_fails_the_same_way(model):
    def failures():
        driver, _ = phone("F2", 0.3, seed=5)
        found = []
        for _ in range(20):
            try:
                driver.load(Workload.of(model, 1))
                driver.run(5)
            except DeviceError as error:
                found.append(str(error))
            else:
                found.append("")
        return found

    assert failures() == failures()
    assert len(set(failures())) == 2


def test_a_dead_host_and_a_hot_room_are_shared():
    clock, around = VirtualClock(1e9), Surroundings()
    phones = [SimulatedDriver(SimulatedPhone(name=name), clock, around) for name in "ab"]
    around.host = FAULTS["F12"]
    for driver in phones:
        with pytest.raises(HostError) as error:
            driver.health()
        assert error.value.fault is FAULTS["F12"]
    around.host, around.extra_c = None, 14.0
    for driver in phones:
        driver.health()
    clock.sleep(3600)
    assert all(driver.health().temperature_c > 37 for driver in phones)


def test_unknown_faults_are_a_mistake_in_the_configuration():
    with pytest.raises(ValidationError, match="no fault is named 'F99'"):
        SimulatedPhone(name="p", fault_weights={"F99": 1.0})
