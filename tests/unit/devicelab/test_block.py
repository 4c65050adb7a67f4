"""One block: what it refuses, when it stops, and what its reading says."""

import pytest

from devicelab.block import RULES, run_block, unfit
from devicelab.config import SimulatedPhone
from devicelab.device import Health
from devicelab.drivers.simulator import SimulatedDriver
from devicelab.errors import DeviceError
from devicelab.estimation import LOOKS
from devicelab.measurement import Workload
from devicelab.protocols import VirtualClock


class Disturbed(SimulatedDriver):
    """A phone whose answers are spoilt: *spoil* maps (verb, which call of it) to a function of the times."""

    def __init__(self, clock, spoil):
        super().__init__(SimulatedPhone(name="p", noise="silent"), clock)
        self.spoil, self.calls = spoil, {"run": 0, "reference": 0}

    def _spoilt(self, verb, burst):
        self.calls[verb] += 1
        times = self.spoil.get((verb, self.calls[verb]), tuple)(burst.times_ms)
        return burst.model_copy(update={"times_ms": times})

    def run(self, runs):
        return self._spoilt("run", super().run(runs))

    def reference(self, runs):
        return self._spoilt("reference", super().reference(runs))


def slower(factor):
    return lambda times: tuple(factor * time for time in times)


def block(model, **config):
    clock = VirtualClock(1e9)
    driver = SimulatedDriver(SimulatedPhone(**{"name": "p", **config}), clock)
    return run_block(driver, Workload.of(model, 1), clock), driver, clock


def test_a_silent_phone_needs_the_fewest_runs_and_tells_its_factor(model):
    result, driver, clock = block(model, noise="silent")
    reading = result.reading
    assert reading.runs == len(result.times) == LOOKS[0]
    assert reading.factor == pytest.approx(driver.body.factor)
    assert reading.factor_error == 0
    assert reading.low_ms == pytest.approx(reading.high_ms, rel=1e-4)
    assert reading.first_ms > 1.5 * reading.median_ms
    assert reading.seconds == pytest.approx(clock.now() - 1e9)
    assert reading.started_at == 1e9


def test_a_restless_phone_is_timed_longer(model):
    assert block(model, noise="bad", seed=4)[0].reading.runs > LOOKS[0]


def test_a_warm_phone_is_waited_for(model):
    clock = VirtualClock(1e9)
    driver = SimulatedDriver(SimulatedPhone(name="p"), clock)
    driver.body.temperature_c = 38.0
    reading = run_block(driver, Workload.of(model, 1), clock).reading
    assert reading.temperature_c[0] <= RULES.max_temperature_c
    assert reading.seconds > 60


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"ambient_c": 36}, "battery at 36.0 C"),
        ({"battery_percent": 5}, "battery at 11 %"),
        ({"ambient_c": 50}, "C, ab"),
    ],
)
def test_an_unfit_phone_is_refused_after_twenty_minutes(model, config, reason):
    with pytest.raises(DeviceError, match=reason):
        block(model, **config)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({("reference", 1): slower(1.2)}, "1.2. of a typical phone"),
        ({("reference", 2): slower(1.05)}, r"moved by \+5.0%"),
        ({("run", 5): lambda times: times[1:]}, "answered 0 times for 1 runs"),
        ({("run", 1): lambda times: (float("nan"),)}, "not above 0"),
        ({("run", 2): slower(0)}, "not above 0"),
    ],
)
def test_a_disturbed_block_is_dropped(model, spoil, reason):
    clock = VirtualClock(1e9)
    with pytest.raises(DeviceError, match=reason):
        run_block(Disturbed(clock, spoil), Workload.of(model, 1), clock)


def test_a_throttled_phone_is_unfit():
    health = Health(temperature_c=25, battery_percent=60, frequency_mhz=1689.6, nominal_mhz=1804.8)
    assert unfit(health) == "throttled to 1689.6 of 1804.8 MHz"
    assert unfit(health.model_copy(update={"frequency_mhz": 1804.8})) == ""
