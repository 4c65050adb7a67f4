"""The whole protocol on simulated phones whose truth is known: errors, intervals, refusals, early answers.

Fewer measurements than benchmarks/measurement_protocol.py, and bounds that chance does not break.
"""

import numpy as np
import pytest
from contracts.networks import small_network

from devicelab.block import measure_reference, run_block
from devicelab.config import SimulatedPhone
from devicelab.drivers.simulator import SimulatedDriver, latencies_of
from devicelab.errors import RefusedError
from devicelab.measurement import Workload
from devicelab.normalisation import calibrated
from devicelab.protocols import VirtualClock
from devicelab.verdict import Again, judge


@pytest.fixture(scope="module")
def workload(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.tflite"
    path.write_bytes(small_network(side=224, filters=96))
    return Workload.of(path, 1)


def measure(workload, noise, seed, threshold_ms=None, **config):
    clock = VirtualClock(1e9)
    phone = SimulatedDriver(SimulatedPhone(name="p", seed=seed, noise=noise, **config), clock)
    known = None
    for _ in range(5):
        known = calibrated(known, *measure_reference(phone, clock), clock.now())
    started, readings, failures = clock.now(), [], []
    while isinstance(decision := judge(readings, failures, threshold_ms=threshold_ms, alone=True), Again):
        try:
            block = run_block(phone, workload, clock, calibration=known, threshold_ms=threshold_ms)
            readings.append(block.reading)
        except RefusedError as error:
            failures.append(error)
    return decision, clock.now() - started


@pytest.mark.parametrize(("noise", "error", "seconds"), [("quiet", 0.018, 12), ("noisy", 0.03, 25)])
def test_errors_are_small_and_intervals_honest(workload, noise, error, seconds):
    truth = latencies_of(workload)[1][0]
    answers = [measure(workload, noise, seed) for seed in range(80)]
    errors = [abs(decision.latency.value / truth - 1) for decision, _ in answers]
    inside = [decision.latency.low <= truth <= decision.latency.high for decision, _ in answers]
    assert np.quantile(errors, 0.95) <= error
    assert np.mean(inside) >= 0.93
    assert np.median([spent for _, spent in answers]) <= seconds


def test_a_bad_phone_is_refused(workload):
    reasons = set()
    for seed in range(12):
        with pytest.raises(RefusedError) as refused:
            measure(workload, "bad", seed)
        reasons.add(refused.value.reason)
    assert reasons <= {"restless", "disturbed", "canary", "failures", "disagreement"}


@pytest.mark.parametrize("share", [0.7, 1.4])
def test_a_clear_question_is_cheap_and_answered_right(workload, share):
    truth = latencies_of(workload)[1][0]
    for seed in range(10):
        decision, spent = measure(workload, "quiet", seed, threshold_ms=share * truth)
        assert decision.over is (share < 1)
        assert spent < 6


def test_the_same_seed_measures_the_same(workload):
    assert measure(workload, "noisy", 3) == measure(workload, "noisy", 3)
