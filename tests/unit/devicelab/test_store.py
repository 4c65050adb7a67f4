"""The store: fencing, one writer, no second answer, and whole after a kill."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from devicelab.device import Device, Platform
from devicelab.errors import DeviceError, StoreError
from devicelab.measurement import PROTOCOL, Measurement, Reading, Workload
from devicelab.store import MIGRATIONS, Store

PLATFORM = Platform(product="Moto G6", os_build="9", runtime="r", source="simulated")
READING = Reading(
    device="a",
    median_ms=90.0,
    low_ms=89.0,
    high_ms=91.0,
    p90_ms=95.0,
    first_ms=170.0,
    runs=3,
    warmup_runs=6,
    canary_ms=(20.0, 20.1),
    factor=1.0,
    factor_error=0.001,
    temperature_c=(25.0, 26.0),
    battery_percent=60.0,
    frequency_mhz=1804.8,
    started_at=0.0,
    seconds=5.0,
)
MEASUREMENT = Measurement(
    **READING.model_dump(include={"median_ms", "low_ms", "high_ms", "p90_ms", "first_ms", "runs"}),
    **PLATFORM.model_dump(),
    fingerprint="f" * 64,
    threads=1,
    device="a",
    protocol=PROTOCOL,
    readings=(READING,),
    blocks=2,
    phone_seconds=10.0,
    measured_at=20.0,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lab.sqlite"


@pytest.fixture
def store(path):
    with Store(path) as opened:
        yield opened


@pytest.fixture
def workload(tmp_path):
    return Workload(path=tmp_path / "x.tflite", fingerprint="f" * 64, threads=1)


def test_a_device_is_leased_once_and_tokens_grow(store):
    first = store.grant("a", "me", now=0, seconds=10)
    with pytest.raises(DeviceError, match="leased by somebody else"):
        store.grant("a", "you", now=5, seconds=10)
    other = store.grant("b", "you", now=5, seconds=10)
    store.end(first, 6, "released")
    again = store.grant("a", "you", now=6, seconds=10)
    assert first.token < other.token < again.token
    assert store.leases() == (other, again)
    assert store.leases(ended=True) == (first, other, again)


def test_an_expired_lease_makes_room(store):
    first = store.grant("a", "me", now=0, seconds=10)
    assert store.grant("a", "you", now=10, seconds=10).token > first.token


def test_readings_under_a_lease_that_no_longer_holds_are_dropped(store, workload):
    lease = store.grant("a", "me", now=0, seconds=10)
    assert store.add_reading(lease, workload, READING, [90.0, 91.5], now=9)
    for now, end in ((10, False), (5, True)):
        if end:
            store.end(lease, 5, "released")
        with pytest.raises(DeviceError, match="no longer holds"):
            store.add_reading(lease, workload, READING, [90.0], now=now)


def test_a_reading_belongs_to_the_leased_device(store, workload):
    lease = store.grant("b", "me", now=0, seconds=10)
    with pytest.raises(DeviceError, match="no longer holds"):
        store.add_reading(lease, workload, READING, [90.0], now=1)


def test_raw_times_come_back(store, workload):
    lease = store.grant("a", "me", now=0, seconds=10)
    identity = store.add_reading(lease, workload, READING, [90.0, 91.5, 1e4], now=1)
    assert store.times(identity) == (90.0, 91.5, 1e4)
    assert store.times(identity + 1) == ()


def test_one_measurement_per_key(store, workload):
    assert store.find(workload, PLATFORM, PROTOCOL) is None
    store.record(MEASUREMENT, [])
    assert store.find(workload, PLATFORM, PROTOCOL) == MEASUREMENT
    assert store.measurements() == (MEASUREMENT,)
    with pytest.raises(StoreError):
        store.record(MEASUREMENT, [])


@pytest.mark.parametrize("field", ["product", "os_build", "runtime", "source"])
def test_the_key_has_the_platform(store, workload, field):
    store.record(MEASUREMENT, [])
    other = PLATFORM.model_copy(update={field: "phone"})
    assert store.find(workload, other, PROTOCOL) is None


def test_the_key_has_graph_threads_and_protocol(store, workload):
    store.record(MEASUREMENT, [])
    assert store.find(workload.model_copy(update={"threads": 2}), PLATFORM, PROTOCOL) is None
    assert store.find(workload.model_copy(update={"fingerprint": "0" * 64}), PLATFORM, PROTOCOL) is None
    assert store.find(workload, PLATFORM, "other") is None


def test_a_second_writer_is_refused_and_readers_are_not(store, path):
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
        Store(path)
    store.see([Device(name="a", platform=PLATFORM)], now=1)
    with Store(path, readonly=True) as reader:
        assert reader.devices() == (Device(name="a", platform=PLATFORM),)
        with pytest.raises(StoreError, match="readonly"):
            reader.grant("a", "me", now=0, seconds=1)


def test_closing_lets_the_next_one_in(path):
    Store(path).close()
    Store(path).close()


def test_what_is_no_store_is_refused(tmp_path):
    path = tmp_path / "notes.sqlite"
    path.write_text("dear diary, " * 100)
    with pytest.raises(StoreError, match=r"notes\.sqlite: cannot be used"):
        Store(path)
    assert path.read_text().startswith("dear diary")
    with pytest.raises(StoreError, match="cannot be"):
        Store(tmp_path / "notes.sqlite" / "lab.sqlite")
    with pytest.raises(StoreError):
        Store(tmp_path / "none.sqlite", readonly=True)


def test_a_store_of_a_newer_version_is_refused(path):
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO migrations VALUES ('_m9999_future')")
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        Store(path)


def test_migrations_have_unique_names_and_run_once(path):
    names = [migration.__name__ for migration in MIGRATIONS]
    assert len(set(names)) == len(names)
    Store(path).close()
    Store(path).close()


KILLED = """
import sys
from pathlib import Path
from devicelab.store import Store
store = Store(Path(sys.argv[1]))
store.grant("a", "me", now=0.0, seconds=1e9)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_killed_writer_leaves_a_store_that_opens_and_leases_that_end(path):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(StoreError, match=f"in use by process {process.pid}"):
            Store(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Store(path) as store:
        assert [lease.device for lease in store.leases()] == ["a"]
        assert store.end_orphans(5.0) == 1
        assert store.leases() == ()
