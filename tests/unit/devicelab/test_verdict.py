"""From blocks to a measurement: when another one is needed, what is an answer, and what is refused."""

import pytest

from devicelab.drivers.simulator import PLATFORM
from devicelab.errors import DeviceError, RefusedError
from devicelab.faults import FAULTS
from devicelab.measurement import PROTOCOL, Reading, Workload
from devicelab.verdict import MAX_FAILURES, Again, judge, measurement_of


def reading(median_ms, device="a", factor=1.0, **change):
    base = {
        "device": device, "median_ms": median_ms, "low_ms": 0.99 * median_ms, "high_ms": 1.01 * median_ms,
        "p90_ms": 1.1 * median_ms, "first_ms": 2 * median_ms, "runs": 20, "warmup_runs": 10, "canary_ms": (20.0, 20.0),
        "factor": factor, "factor_error": 0.003, "temperature_c": (25.0, 25.5), "battery_percent": 60.0,
        "frequency_mhz": 1804.8, "started_at": 1e9, "seconds": 6.0,
    }  # fmt: skip
    return Reading.model_validate(base | change)


def refused(reason):
    return RefusedError(f"p: {reason}", reason, FAULTS["F27"])


def test_blocks_are_run_until_they_agree():
    assert judge([]) == Again()
    assert judge([reading(90)]) == Again(avoid=frozenset("a"))
    assert isinstance(judge([reading(90), reading(91.5, "b")]), Again)
    agreed = judge([reading(90), reading(91.5, "b"), reading(90.6, "c")])
    assert agreed.used == (0, 1, 2)
    assert agreed.latency.value == pytest.approx(90.7, rel=1e-3)
    assert judge([reading(90, factor=0.9), reading(110, "b", factor=1.1)]).latency.value == pytest.approx(100)


def test_what_never_agrees_is_refused():
    with pytest.raises(RefusedError, match="no two of 5 blocks agree within 2%") as error:
        judge([reading(90 + 5 * n) for n in (0, 4, 1, 3)] + [reading(102.4)])
    assert error.value.reason == "disagreement"


def test_failures_end_it_with_their_reason():
    one = [refused("canary")] * (MAX_FAILURES - 1)
    assert isinstance(judge([], one), Again)
    with pytest.raises(RefusedError, match="6 blocks failed") as error:
        judge([], [*one, refused("disturbed")])
    assert error.value.reason == "disturbed"
    with pytest.raises(RefusedError) as error:
        judge([], [*one, DeviceError("gone", FAULTS["F8"])])
    assert (error.value.reason, error.value.fault.id) == ("failures", "F8")
    with pytest.raises(RefusedError) as error:
        judge([reading(90)], [refused("restless")] * 2)
    assert error.value.reason == "restless"


@pytest.mark.parametrize(("threshold", "over"), [(60, True), (130, False)])
def test_a_question_may_need_only_one_block(threshold, over):
    agreed = judge([reading(90)], threshold_ms=threshold)
    assert (agreed.used, agreed.over) == ((0,), over)
    assert (agreed.latency.low > threshold) is over
    assert isinstance(judge([reading(90)], threshold_ms=91), Again)
    assert judge([reading(90), reading(90, "b")], threshold_ms=90.2).over is None


def test_what_is_implausible_is_confirmed_by_another_phone():
    twice = [reading(90), reading(90)]
    assert judge(twice, prior_ms=50) == Again(avoid=frozenset("a"), strict=True)
    assert judge(twice, prior_ms=60).latency.value == pytest.approx(90)
    assert judge(twice, prior_ms=50, alone=True).latency.value == pytest.approx(90)
    assert judge([*twice, reading(90, "b")], prior_ms=50).used == (0, 1, 2)
    with pytest.raises(RefusedError, match="on one phone only") as error:
        judge([reading(90)] * 5, prior_ms=50)
    assert error.value.reason == "implausible"


def test_a_measurement_says_what_it_was_made_of(model):
    readings = [reading(90), reading(99, "b"), reading(90.5, "b", p90_ms=None)]
    agreed = judge(readings, prior_ms=80)
    found = measurement_of(
        Workload.of(model, 2), PLATFORM, readings, agreed, phone_seconds=20.0, now=1e9, threshold_ms=80, prior_ms=80
    )
    assert found.readings == (readings[0], readings[2])
    assert (found.blocks, found.runs, found.device, found.protocol) == (3, 40, "a + b", PROTOCOL)
    assert found.p90_ms == pytest.approx(99)
    assert (found.prior_ms, found.threshold_ms, found.source) == (80, 80, "simulated")
