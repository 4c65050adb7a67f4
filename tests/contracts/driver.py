"""What every driver of a phone must do. A new driver is done when its own subclass of this is green.

A subclass gives the fixture ``driver``: a phone that is idle, cool and charged, nothing loaded. ``runs`` is
how often a small network is timed where the count does not matter; slow drivers may lower it.
"""

import pytest
from contracts.networks import small_network

from devicelab.errors import DeviceError, WorkloadError
from devicelab.faults import Rung
from devicelab.measurement import Workload


class DriverContract:
    """The verbs of ``devicelab.protocols.Driver``, in the order and the disorder in which a lab calls them."""

    runs = 10

    @pytest.fixture
    def driver(self):
        raise NotImplementedError

    @pytest.fixture
    def model(self, tmp_path):
        path = tmp_path / "small.tflite"
        path.write_bytes(small_network())
        return path

    @pytest.fixture
    def heavy_model(self, tmp_path):
        path = tmp_path / "heavy.tflite"
        path.write_bytes(small_network(side=224, filters=64))
        return path

    def test_says_who_it_is_and_how_it_feels(self, driver):
        platform = driver.device.platform
        assert driver.device.name
        assert platform.source in {"phone", "simulated"}
        assert all((platform.product, platform.os_build, platform.runtime))
        assert driver.device == driver.device
        assert driver.reference_ms > 0
        health = driver.health()
        assert -20 < health.temperature_c < 80
        assert health.frequency_mhz is None or 0 < health.frequency_mhz <= health.nominal_mhz
        assert health.free_mb is None or health.free_mb > 0

    def test_time_on_the_phone_passes_and_the_phone_does_not_restart(self, driver, model):
        before = driver.health()
        driver.load(Workload.of(model, 1))
        driver.run(self.runs)
        driver.unload()
        after = driver.health()
        assert after.boot_id == before.boot_id
        if before.uptime_s is not None:
            assert after.uptime_s > before.uptime_s

    def test_runs_what_was_loaded_as_often_as_asked_or_more(self, driver, model):
        driver.load(Workload.of(model, 1))
        for verb in (driver.run, driver.reference):
            for runs in (1, self.runs):
                burst = verb(runs)
                assert burst.runs >= runs
                assert len(burst.times_ms) in {0, burst.runs}
                assert 0 < burst.min_ms <= burst.typical_ms <= burst.max_ms
        driver.unload()

    def test_the_first_run_of_a_process_is_told_and_is_cold(self, driver, model):
        driver.load(Workload.of(model, 1))
        burst = driver.run(self.runs)
        assert burst.first_ms is not None
        assert burst.first_ms > 1.2 * burst.typical_ms
        if burst.times_ms:
            assert burst.times_ms[0] == burst.first_ms
            assert driver.run(self.runs).first_ms is None
        driver.load(Workload.of(model, 1))
        assert driver.run(self.runs).first_ms is not None
        driver.unload()

    def test_the_reference_needs_nothing_loaded_and_is_repeatable(self, driver):
        bursts = [driver.reference(self.runs) for _ in range(2)]
        assert bursts[0].typical_ms == pytest.approx(driver.reference_ms, rel=0.25)
        assert bursts[1].typical_ms == pytest.approx(bursts[0].typical_ms, rel=0.1)

    def test_runs_nothing_before_load_and_after_unload(self, driver, model):
        with pytest.raises(DeviceError):
            driver.run(1)
        driver.load(Workload.of(model, 1))
        driver.unload()
        driver.unload()
        with pytest.raises(DeviceError):
            driver.run(1)

    def test_threads_are_heeded(self, driver, heavy_model):
        times = []
        for threads in (1, 4):
            driver.load(Workload.of(heavy_model, threads))
            driver.run(self.runs)
            times.append(driver.run(self.runs).typical_ms)
        driver.unload()
        assert times[1] < 0.7 * times[0]

    def test_refuses_a_file_that_is_no_network(self, driver, model):
        workload = Workload.of(model, 1)
        model.write_bytes(model.read_bytes()[:100])
        with pytest.raises(WorkloadError):
            driver.load(workload)
        with pytest.raises(DeviceError):
            driver.run(1)

    def test_refuses_a_file_that_was_exchanged(self, driver, model):
        workload = Workload.of(model, 1)
        model.write_bytes(small_network(side=64))
        with pytest.raises(WorkloadError, match="changed"):
            driver.load(workload)

    def test_recovers_and_has_forgotten_what_was_loaded(self, driver, model):
        driver.load(Workload.of(model, 1))
        driver.recover(Rung.RETRY)
        with pytest.raises(DeviceError):
            driver.run(1)
        driver.load(Workload.of(model, 1))
        assert driver.run(self.runs).runs >= self.runs
        driver.unload()

    def test_lets_go_twice(self, driver):
        driver.close()
        driver.close()
