"""The lab: right answers with honest intervals, each measured once, and phones given back whatever happens."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from devicelab.config import LabConfig, SimulatedPhone
from devicelab.device import Selector
from devicelab.drivers.simulator import SimulatedDriver
from devicelab.errors import DeviceError, NoDeviceError, StoreError, WorkloadError
from devicelab.events import BACKGROUND, NORMAL, decode
from devicelab.graph import read_graph
from devicelab.lab import Lab, survey
from devicelab.measurement import PROTOCOL, Burst, Workload
from devicelab.roofline import latency_ms
from devicelab.store import Store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lab.sqlite"


@pytest.fixture
def lab(path):
    with Lab(LabConfig.simulated(), path) as opened:
        yield opened


def test_a_measurement_says_everything(lab, model):
    workload = Workload.of(model, 2)
    measured = lab.measure(workload)
    truth = latency_ms(read_graph(model).operators, threads=2)
    assert measured.low_ms < measured.median_ms < measured.high_ms
    assert measured.median_ms == pytest.approx(truth, rel=0.03)
    assert measured.p90_ms >= measured.median_ms
    assert measured.first_ms > 1.5 * measured.median_ms
    assert (measured.fingerprint, measured.threads) == (workload.fingerprint, 2)
    assert (measured.product, measured.source, measured.protocol) == ("Moto G6", "simulated", PROTOCOL)
    assert measured.runs == sum(reading.runs for reading in measured.readings)
    assert len({reading.device for reading in measured.readings}) == 2
    assert measured.device == "moto-g6-1 + moto-g6-2"
    assert measured.phone_seconds >= sum(reading.seconds for reading in measured.readings)


def test_a_graph_is_measured_once(lab, path, tmp_path, model, small):
    assert lab.cached(Workload.of(model, 1)) is None
    first = lab.measure(Workload.of(model, 1))
    retrained = tmp_path / "retrained.tflite"
    retrained.write_bytes(small(seed=7))
    assert lab.measure(Workload.of(retrained, 1)) == first == lab.cached(Workload.of(model, 1))
    assert lab.measure(Workload.of(model, 4)) != first
    assert len(lab.measurements()) == 2
    lab.close()
    with Lab(LabConfig.simulated(seed=9), path) as later:
        assert later.measure(Workload.of(model, 1)) == first


def test_every_reading_is_kept_under_its_lease_and_every_lease_is_ended(lab, path, model):
    measured = lab.measure(Workload.of(model, 1))
    lab.close()
    with Store(path, readonly=True) as store:
        assert store.leases() == ()
        granted = [decode(row.body) for row in store.events(kind="lease_granted")]
        blocks = [lease for lease in granted if lease.duty == "measure"]
        assert len(blocks) == measured.blocks
        for lease, reading in zip(blocks, measured.readings, strict=True):
            assert len(store.times(lease.device, lease.token)) == reading.runs
        assert store.verify().problems == ()


def test_what_is_asked_for_in_the_background_is_queued_behind_the_others(lab, path, model):
    lab.measure(Workload.of(model, 1))
    lab.measure(Workload.of(model, 2), background=True)
    lab.close()
    with Store(path, readonly=True) as store:
        asked = [decode(row.body) for row in store.events(kind="request_submitted")]
    assert [one.priority for one in asked] == [NORMAL, BACKGROUND]


def test_the_same_lab_measures_the_same(tmp_path, model):
    measured = []
    for name in ("one", "two"):
        with Lab(LabConfig.simulated(seed=4), tmp_path / name) as lab:
            measured.append(lab.measure(Workload.of(model, 1)).median_ms)
    assert measured[0] == pytest.approx(measured[1], rel=1e-12)


def test_a_selector_keeps_to_its_phone(lab, model):
    measured = lab.measure(Workload.of(model, 1), selector=Selector(name="moto-g6-2"))
    assert measured.device == "moto-g6-2"
    with pytest.raises(NoDeviceError, match="no device matches name=moto-g6-9; this lab has moto-g6-1, moto-g6-2"):
        lab.measure(Workload.of(model, 1), selector=Selector(name="moto-g6-9"))


def test_threads_that_ask_the_same_share_one_measurement(lab, model):
    workload = Workload.of(model, 1)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: lab.measure(workload), range(8)))
    assert len({answer.median_ms for answer in answers}) == 1
    assert len(lab.measurements()) == 1


def test_a_failing_phone_is_left_for_another(path, model, monkeypatch):
    def load(self, workload):
        if self.device.name == "moto-g6-1":
            raise DeviceError("moto-g6-1: fell off the table")
        original(self, workload)

    original = SimulatedDriver.load
    monkeypatch.setattr(SimulatedDriver, "load", load)
    with Lab(LabConfig.simulated(devices=3), path) as lab:
        assert lab.measure(Workload.of(model, 1)).device == "moto-g6-2 + moto-g6-3"
        assert len(lab.measurements()) == 1


def test_a_lab_in_which_no_phone_works_gives_up_after_its_patience(path, model):
    hot = LabConfig(devices=tuple(SimulatedPhone(name=name, ambient_c=40) for name in "ab"), patience_seconds=300)
    with Lab(hot, path) as lab, pytest.raises(DeviceError, match=r"no phone is left for it; a COOLING: .*40\.0 C"):
        lab.measure(Workload.of(model, 1))


def test_a_broken_network_is_not_tried_again(lab, path, model, small):
    workload = Workload.of(model, 1)
    model.write_bytes(small(side=16))
    with pytest.raises(WorkloadError):
        lab.measure(workload)
    lab.close()
    with Store(path, readonly=True) as store:
        assert len(list(store.events(kind="block_failed"))) == 1
        assert store.leases() == ()


def test_blocks_that_do_not_agree_are_refused(path, model):
    phones = tuple(SimulatedPhone(name=f"p{n}", noise="silent") for n in range(5))
    with Lab(LabConfig(devices=phones), path) as lab:
        for number, driver in enumerate(lab._drivers.values()):
            original = driver.run
            driver.run = lambda runs, run=original, n=number: Burst.of([(1 + n / 10) * t for t in run(runs).times_ms])
        with pytest.raises(DeviceError, match=r"refused: no two of 5 blocks agree within 2%"):
            lab.measure(Workload.of(model, 1))
        assert lab.measurements() == ()


def test_one_lab_per_store_and_anybody_may_look(lab, path):
    with pytest.raises(StoreError, match="in use by"):
        Lab(LabConfig.simulated(), path)
    assert [status.device.name for status in survey(LabConfig.simulated(), path)] == ["moto-g6-1", "moto-g6-2"]


@pytest.mark.parametrize("noise", ["quiet", "noisy"])
def test_intervals_cover_the_truth_and_errors_are_small(tmp_path, small, noise):
    model = tmp_path / "model.tflite"
    model.write_bytes(small(side=224, filters=64))
    workload, truth = Workload.of(model, 1), latency_ms(read_graph(model).operators, threads=1)
    covered, errors, seconds = [], [], []
    for seed in range(40):
        phones = tuple(SimulatedPhone(name=f"p{n}", seed=seed, noise=noise) for n in range(2))
        with Lab(LabConfig(devices=phones), tmp_path / f"{noise}{seed}.sqlite") as lab:
            measured = lab.measure(workload)
        covered.append(measured.low_ms <= truth <= measured.high_ms)
        errors.append(abs(measured.median_ms / truth - 1))
        seconds.append(measured.phone_seconds)
    assert np.mean(covered) >= 0.9
    assert np.quantile(errors, 0.95) <= 0.025
    assert np.median(seconds) <= {"quiet": 12, "noisy": 25}[noise]
