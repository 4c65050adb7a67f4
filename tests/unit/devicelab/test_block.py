"""One block: what it refuses, when it stops, what its reading says; on raw runs and on summaries only."""

import math
from itertools import pairwise

import pytest

from devicelab.block import block, measure_reference, reference, run_block
from devicelab.config import SimulatedPhone
from devicelab.device import Device, Health
from devicelab.drivers.simulator import PLATFORM, SimulatedDriver
from devicelab.errors import DeviceError, RefusedError
from devicelab.estimation import LOOKS
from devicelab.gate import RULES, unfit
from devicelab.measurement import Burst, Workload
from devicelab.normalisation import calibrated
from devicelab.protocols import VirtualClock

FIT = Health(
    temperature_c=25, battery_percent=60, frequency_mhz=1804.8, nominal_mhz=1804.8, battery_health="good",
    screen_on=True, load1=1.0, free_mb=4000.0, uptime_s=1000.0, boot_id="a",
)  # fmt: skip


class Scripted(SimulatedDriver):
    """A silent phone whose answers are spoilt: *spoil* maps (verb, which call of it) to a function of the answer."""

    def __init__(self, clock, spoil=None, **config):
        super().__init__(SimulatedPhone(**{"name": "p", "noise": "silent", **config}), clock)
        self.spoil, self.calls = spoil or {}, {"run": 0, "reference": 0, "health": 0}

    def _spoilt(self, verb, answer):
        self.calls[verb] += 1
        return self.spoil.get((verb, self.calls[verb]), lambda same: same)(answer)

    def run(self, runs):
        return self._spoilt("run", super().run(runs))

    def reference(self, runs):
        return self._spoilt("reference", super().reference(runs))

    def health(self):
        return self._spoilt("health", super().health())


class Summarising(Scripted):
    """A phone whose tool is a process per call, warms up by itself and tells no single run."""

    def run(self, runs):
        workload = self.loaded
        self.load(workload)
        first = SimulatedDriver.run(self, 8).first_ms
        burst = SimulatedDriver.run(self, runs).model_copy(update={"first_ms": first})
        return self._summary("run", burst)

    def reference(self, runs):
        self._process = None
        return self._summary("reference", SimulatedDriver.reference(self, runs))

    def load(self, workload):
        self.loaded = workload
        super().load(workload)

    def _summary(self, verb, burst):
        return self._spoilt(verb, burst).model_copy(update={"times_ms": ()})


def slower(factor, part=1.0):
    def slow(burst):
        count = math.ceil(part * burst.runs)
        return Burst.of([(factor if n < count else 1) * time for n, time in enumerate(burst.times_ms)])

    return slow


def measured(model, kind=Scripted, spoil=None, *, calibration=None, threshold_ms=None, **config):
    clock = VirtualClock(1e9)
    driver = kind(clock, spoil, **config)
    result = run_block(driver, Workload.of(model, 1), clock, calibration=calibration, threshold_ms=threshold_ms)
    return result, driver, clock


def test_a_silent_phone_needs_the_fewest_runs_and_tells_its_factor(model):
    result, driver, clock = measured(model)
    reading = result.reading
    assert reading.runs == len(result.times) == LOOKS[0]
    assert reading.factor == pytest.approx(driver.body.factor)
    assert (reading.factor_error, reading.spread) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-3))
    assert reading.low_ms == pytest.approx(reading.high_ms, rel=2e-3)
    assert reading.first_ms > 1.5 * reading.median_ms
    assert reading.seconds == pytest.approx(clock.now() - 1e9)
    assert (reading.started_at, reading.boot_id) == (1e9, driver.health().boot_id)
    with pytest.raises(DeviceError, match="nothing is loaded"):
        driver.run(1)


def test_a_restless_phone_is_timed_longer_or_refused(model):
    assert measured(model, noise="noisy", seed=2)[0].reading.runs > LOOKS[0]
    with pytest.raises(RefusedError) as refused:
        measured(model, noise="bad", seed=2)
    assert refused.value.reason in {"restless", "disturbed", "canary"}


def test_summaries_are_few_long_bursts(model):
    result, driver, _ = measured(model, Summarising)
    reading = result.reading
    assert reading.bursts == len(result.times) == RULES.bursts
    assert (driver.calls["run"], driver.calls["reference"]) == (RULES.bursts, 2)
    assert (reading.p90_ms, reading.warmup_runs) == (None, 0)
    assert reading.first_ms > 1.5 * reading.median_ms
    raw = measured(model)[0].reading
    assert reading.median_ms / reading.factor == pytest.approx(raw.median_ms / raw.factor, rel=0.01)
    noisy = measured(model, Summarising, noise="noisy", seed=3)[0].reading
    assert 0.015 < noisy.spread < RULES.max_spread


def test_summaries_are_not_taken_from_background_work(model):
    calm = measured(model, Summarising)[0].reading
    for call in range(1, RULES.bursts + 1):
        spoilt, driver, _ = measured(model, Summarising, spoil={("run", call): slower(1.3)})
        assert spoilt.reading.median_ms == pytest.approx(calm.median_ms, rel=5e-3)
        assert (driver.calls["run"], spoilt.reading.warmup_runs > 0) == (RULES.bursts + 1, True)
    two = {("run", call): slower(1.3) for call in (1, 2)}
    assert measured(model, Summarising, spoil=two)[0].reading.median_ms == pytest.approx(calm.median_ms, rel=5e-3)
    always = {("run", call): slower(1 + call / 10) for call in range(1, RULES.max_bursts + 1)}
    with pytest.raises(RefusedError, match="bursts are apart from the rest") as refused:
        measured(model, Summarising, spoil=always)
    assert refused.value.reason == "disturbed"
    with pytest.raises(RefusedError, match="moved by") as refused:
        measured(model, Summarising, spoil={("reference", 2): slower(1.068)})
    assert refused.value.reason == "canary"


def test_a_question_to_summaries_is_answered_early_if_it_can_be(model):
    calm = measured(model, Summarising)[0].reading
    typical = calm.median_ms / calm.factor
    for share, bursts in ((0.5, RULES.early_bursts), (2.0, RULES.early_bursts), (1.01, RULES.bursts)):
        assert measured(model, Summarising, threshold_ms=share * typical)[0].reading.bursts == bursts
    spoil = {("run", 1): slower(1.3), ("run", 2): slower(1.3), ("reference", 2): slower(1.3)}
    with pytest.raises(RefusedError, match="background work at the end of a block of 2 bursts") as refused:
        measured(model, Summarising, spoil=spoil, threshold_ms=1.15 * typical)
    assert refused.value.reason == "disturbed"


def test_a_calibrated_phone_is_held_to_its_calibration(model):
    _, driver, clock = measured(model)
    known = None
    for _ in range(3):
        known = calibrated(known, *measure_reference(driver, clock), clock.now())
    reading = measured(model, calibration=known)[0].reading
    assert reading.factor == pytest.approx(driver.body.factor)
    with pytest.raises(RefusedError, match="of what its calibration says") as refused:
        measured(model, calibration=known.model_copy(update={"factor": driver.body.factor / 1.04}))
    assert (refused.value.reason, refused.value.fault.id) == ("canary", "F19")


def test_a_warm_phone_is_waited_for(model):
    clock = VirtualClock(1e9)
    driver = Scripted(clock)
    driver.body.temperature_c = 38.0
    reading = run_block(driver, Workload.of(model, 1), clock).reading
    assert reading.temperature_c[0] <= RULES.max_temperature_c
    assert reading.seconds > 60


@pytest.mark.parametrize(
    ("config", "text", "reason"),
    [
        ({"ambient_c": 36}, "battery at 36.0 C.*for 20 minutes", "hot"),
        ({"battery_percent": 5}, "battery at 11 %.*for 20 minutes", "battery"),
    ],
)
def test_an_unfit_phone_is_refused_after_twenty_minutes(model, config, text, reason):
    with pytest.raises(RefusedError, match=text) as refused:
        measured(model, **config)
    assert refused.value.reason == reason


ALWAYS = {("reference", call): slower(1.2) for call in range(1, 4)}
STRETCHES = {("run", call): slower(1.3, 0.4) for call in range(6, 40)}


@pytest.mark.parametrize(
    ("spoil", "text", "reason"),
    [
        (ALWAYS, "1.2.* of a typical phone", "canary"),
        ({("reference", 2): slower(1.068)}, r"moved by \+6.8%", "canary"),
        ({("run", 5): lambda burst: burst.model_copy(update={"runs": 0})}, "0 times for 1 runs", "garbled"),
        ({("run", 1): lambda burst: burst.model_copy(update={"times_ms": (math.nan,) * 6})}, "not above 0", "garbled"),
        ({("health", 2): lambda health: health.model_copy(update={"boot_id": "b"})}, "restarted", "restarted"),
        ({("health", 2): lambda health: health.model_copy(update={"uptime_s": 1.0}), ("health", 1): lambda h:
          h.model_copy(update={"uptime_s": 99.0})}, "restarted", "restarted"),
        ({("health", 2): lambda health: health.model_copy(update={"frequency_mhz": 1689.6})}, "1689.6", "throttled"),
        ({("health", 2): lambda health: health.model_copy(update={"covered_by": "an update"})}, "an update", "screen"),
        (STRETCHES, "apart from the rest, 4 times", "disturbed"),
    ],
)  # fmt: skip
def test_a_disturbed_block_is_refused(model, spoil, text, reason):
    with pytest.raises(RefusedError, match=text) as refused:
        measured(model, spoil=spoil)
    assert refused.value.reason == reason


def test_background_work_is_waited_for(model):
    calm = measured(model)[0].reading
    for spoil in (
        {("reference", 1): slower(1.3)},
        {("reference", 1): slower(1.3, 0.4)},
        {("reference", 2): slower(1.3)},
    ):
        reading = measured(model, spoil=spoil)[0].reading
        assert reading.median_ms == pytest.approx(calm.median_ms, rel=1e-3)
        assert reading.factor == pytest.approx(calm.factor, rel=1e-3)
        assert reading.seconds > calm.seconds + RULES.canary_wait_seconds - 0.5
    timed = next(call for call in range(1, 30) if _is_timed(model, call))
    again = measured(model, spoil={("run", timed): slower(1.3, 0.4)})[0].reading
    assert again.median_ms == pytest.approx(calm.median_ms, rel=1e-3)
    assert again.seconds > calm.seconds


def _is_timed(model, call):
    seen = []
    measured(model, spoil={("run", call): lambda burst: seen.append(burst.runs) or burst})
    return seen == [LOOKS[0]]


@pytest.mark.parametrize(("share", "fewer"), [(0.5, True), (2.0, True), (1.01, False)])
def test_a_question_is_answered_early_if_it_can_be(model, share, fewer):
    full = measured(model, noise="quiet")[0].reading
    early = measured(model, noise="quiet", threshold_ms=share * full.median_ms)[0].reading
    assert (early.runs < LOOKS[0]) is fewer


def test_the_core_asks_and_never_touches_a_phone(model):
    steps = block(Device(name="p", platform=PLATFORM), Workload.of(model, 1), 20.0)
    assert type(next(steps)).__name__ == "Look"
    with pytest.raises(TypeError, match="answered with a Health"):
        steps.send(type("Nothing", (), {"now": 0.0, "answer": None})())


def test_a_heartbeat_is_given_before_every_action(model):
    clock, beats = VirtualClock(1e9), []
    run_block(Scripted(clock), Workload.of(model, 1), clock, between=lambda: beats.append(clock.now()))
    assert len(beats) > 8
    assert max(later - earlier for earlier, later in pairwise(beats)) < 10


def test_a_reference_needs_two_processes_that_agree():
    clock = VirtualClock(1e9)
    driver = Scripted(clock, {("reference", 1): slower(1.3)})
    ratio, error = measure_reference(driver, clock)
    assert ratio == pytest.approx(driver.body.factor)
    assert error == pytest.approx(0, abs=1e-6)
    restless = Scripted(clock, {("reference", call): slower(1 + call / 10) for call in range(1, 6)})
    with pytest.raises(RefusedError, match="no two of 5 references agree"):
        measure_reference(restless, clock)
    assert type(next(reference(driver.device, 20.0))).__name__ == "Look"


@pytest.mark.parametrize(
    ("change", "reason", "passes"),
    [
        ({"frequency_mhz": 1689.6}, "throttled", True),
        ({"temperature_c": 34.5}, "hot", True),
        ({"battery_percent": 29.0}, "battery", True),
        ({"load1": 20.0}, "busy", True),
        ({"battery_health": "overheat"}, "battery", False),
        ({"screen_on": False}, "screen", False),
        ({"covered_by": "the lock screen"}, "screen", False),
        ({"free_mb": 100.0}, "storage", False),
    ],
)
def test_the_gate(change, reason, passes):
    problem = unfit(FIT.model_copy(update=change))
    assert (problem.reason, problem.passes) == (reason, passes)


def test_what_a_phone_does_not_tell_does_not_count_against_it():
    assert unfit(FIT) is None
    silent = {"frequency_mhz": None, "battery_health": "unknown", "screen_on": None, "load1": None, "free_mb": None}
    assert unfit(FIT.model_copy(update=silent)) is None


def test_an_early_answer_is_not_taken_from_background_work(model):
    calm = measured(model)[0].reading
    threshold = 1.15 * calm.median_ms / calm.factor
    timed = next(call for call in range(1, 30) if _is_early(model, call, threshold))
    slow = {("run", timed): slower(1.3)}
    assert measured(model, spoil=slow, threshold_ms=threshold)[0].reading.median_ms == pytest.approx(
        calm.median_ms, rel=1e-3
    )
    with pytest.raises(RefusedError, match="background work at the end of a block of 8 runs") as refused:
        measured(model, spoil={("reference", 2): slower(1.3)}, threshold_ms=threshold)
    assert refused.value.reason == "disturbed"


def _is_early(model, call, threshold):
    seen = []
    spoil = {("run", call): lambda burst: seen.append(burst.runs) or burst}
    measured(model, spoil=spoil, threshold_ms=threshold)
    return seen == [RULES.early_looks[0]]
