"""The simulated phone: it keeps the contract of a driver, and behaves like the phone it claims to be."""

import numpy as np
import pytest
from contracts.driver import DriverContract

from devicelab.config import SimulatedPhone
from devicelab.drivers.simulator import SimulatedDriver
from devicelab.errors import WorkloadError
from devicelab.graph import read_graph
from devicelab.measurement import Workload
from devicelab.protocols import VirtualClock
from devicelab.roofline import latency_ms
from devicelab.simulation import body


def phone(**config):
    clock = VirtualClock(1e9)
    return SimulatedDriver(SimulatedPhone(**{"name": "p", **config}), clock), clock


class TestSimulatedDriver(DriverContract):
    @pytest.fixture
    def driver(self):
        return phone()[0]


def test_a_silent_phone_takes_the_roofline_times_its_factor(model):
    driver, clock = phone(noise="silent")
    driver.load(Workload.of(model, 4))
    before = clock.now()
    times = driver.run(40).times_ms
    expected = latency_ms(read_graph(model).operators, threads=4) * driver.body.factor
    assert times[0] == pytest.approx(1.9 * expected)
    assert times[-1] == pytest.approx(expected, rel=1e-6)
    assert clock.now() - before == pytest.approx(sum(times) / 1e3, rel=1e-3)


def test_phones_differ_by_two_percent():
    factors = [phone(name=f"p{number}")[0].body.factor for number in range(300)]
    assert np.std(np.log(factors)) == pytest.approx(0.02, rel=0.15)
    assert phone(factor_sd=0)[0].body.factor == 1.0


@pytest.mark.parametrize(("noise", "spread"), [("quiet", 0.0126), ("bad", 0.06)])
def test_runs_spread_as_configured(model, noise, spread):
    driver, _ = phone(noise=noise)
    driver.load(Workload.of(model, 1))
    times = np.array(driver.run(3000).times_ms[20:])
    calm = times[times < 1.15 * np.median(times)]  # without bursts and the larger spikes
    assert 1.4826 * np.median(np.abs(calm - np.median(calm))) / np.median(calm) == pytest.approx(spread, rel=0.25)


def test_the_same_seed_and_graph_give_the_same_times_whatever_ran_before(model, small, tmp_path):
    other = tmp_path / "other.tflite"
    other.write_bytes(small(side=64))
    (first, _), (second, _) = phone(), phone()
    second.load(Workload.of(other, 1))
    second.run(10)
    for driver in (first, second):
        driver.load(Workload.of(model, 1))
    times = first.run(10).times_ms
    assert second.run(10).times_ms == pytest.approx(times, rel=1e-12)
    first.load(Workload.of(model, 1))
    assert first.run(10).times_ms != times


def test_load_heats_rest_cools_and_charges(model):
    driver, clock = phone(battery_percent=50)
    driver.load(Workload.of(model, 4))
    while clock.now() < 1e9 + 900:
        driver.reference(500)
        driver.run(500)
    hot = driver.health()
    assert 26 < hot.temperature_c < 24 + body.BODY_RISE_C
    assert hot.battery_percent < 50
    clock.sleep(3600)
    rested = driver.health()
    assert rested.temperature_c == pytest.approx(24, abs=0.1)
    assert rested.battery_percent > 60
    clock.sleep(10 * 3600)
    assert driver.health().battery_percent == body.CHARGE_LIMIT_PERCENT


def test_a_hot_room_throttles_in_the_steps_of_the_chip(model):
    driver, clock = phone(ambient_c=45, noise="silent")
    assert driver.health().frequency_mhz == body.CLOCKS_MHZ[0]
    driver.load(Workload.of(model, 1))
    driver.body._step = 0
    fast = driver.reference(1).mean_ms
    seen = []
    for _ in range(10):
        clock.sleep(1)
        seen.append(driver.health().frequency_mhz)
    assert seen == [*body.CLOCKS_MHZ[1:], *[body.CLOCKS_MHZ[-1]] * 5]
    slow = driver.reference(1).mean_ms
    assert slow / fast == pytest.approx(body.CLOCKS_MHZ[0] / body.CLOCKS_MHZ[-1])


def test_more_threads_than_cores_are_refused(model):
    driver, _ = phone()
    with pytest.raises(WorkloadError, match="8 cores"):
        driver.load(Workload.of(model, 9))
