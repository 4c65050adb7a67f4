"""The store: one writer, an append-only chained log, and whole after a kill."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from devicelab.device import Device, Platform
from devicelab.errors import StoreError
from devicelab.events import (
    LabStarted,
    MeasurementCommitted,
    OperatorActed,
    PhoneSeen,
    RequestEnded,
    Samples,
    decode,
)
from devicelab.measurement import PROTOCOL, Measurement, Reading
from devicelab.schema import MIGRATIONS, _m0001_initial
from devicelab.store import Store

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
EVENTS = [
    LabStarted(version="1", devices=("a",)),
    PhoneSeen(device=Device(name="a", platform=PLATFORM), host="h"),
    OperatorActed(device="a", action="drain", who="ann", why="new cable"),
    MeasurementCommitted(question="q", key="k", measurement=MEASUREMENT, tokens=(("a", 1),)),
    RequestEnded(request="r", question="q", ending="measured", key="k"),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lab.sqlite"


@pytest.fixture
def store(path):
    with Store(path) as opened:
        yield opened


@pytest.fixture
def full(store):
    store.append(
        [(seq, 10.0 + seq, event) for seq, event in enumerate(EVENTS, 1)],
        [Samples("a", 1, hashlib.sha256(b"x").hexdigest(), b"x")],
    )
    return store


def forge(path, *statements):
    """Edit a store as somebody would who has the file: without our code, and without its triggers."""
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("DROP TRIGGER events_are_never_changed")
        connection.execute("DROP TRIGGER events_are_never_deleted")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_events_come_back_as_they_were_written(full):
    assert [decode(row.body) for row in full.events()] == EVENTS
    assert [row.seq for row in full.events(after=2, limit=2)] == [3, 4]
    assert [row.seq for row in full.events(kind="operator_acted")] == [3]
    assert [row.seq for row in full.latest("a", 5)] == [3, 2]
    assert full.devices() == (Device(name="a", platform=PLATFORM),)


def test_what_has_ended_is_found_again(full):
    assert full.known("k") == MEASUREMENT
    assert full.known("other") is None
    assert full.measurements() == (MEASUREMENT,)
    assert full.answer("r").measurement == MEASUREMENT
    assert (full.has_request("r"), full.has_request("s"), full.answer("s")) == (True, False, None)


def test_an_event_out_of_order_or_an_answer_twice_is_refused_and_nothing_is_written(full):
    with pytest.raises(StoreError, match="event 9 does not follow 5"):
        full.append([(9, 30.0, EVENTS[0])])
    with pytest.raises(StoreError, match="UNIQUE"):
        full.append([(6, 30.0, EVENTS[0]), (7, 30.0, EVENTS[3])])
    assert len(list(full.events())) == 5
    assert full.append([(6, 30.0, EVENTS[0])])[0].seq == 6


def test_no_statement_changes_or_deletes_an_event(full, path):
    with sqlite3.connect(path) as connection:
        for statement in ("UPDATE events SET at = 0", "DELETE FROM events"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()


EDITS = {
    "edited body": ("UPDATE events SET body = replace(body, 'ann', 'bob') WHERE seq = 3", "row 3 was changed"),
    "edited time": ("UPDATE events SET at = 0 WHERE seq = 3", "row 3 was changed"),
    "edited hash": ("UPDATE events SET hash = zeroblob(32) WHERE seq = 3", "row 3 was changed"),
    "edited chain": ("UPDATE events SET previous = zeroblob(32) WHERE seq = 3", "row 3 is not chained"),
    "removed": ("DELETE FROM events WHERE seq = 3", "row 4 follows row 2"),
    "removed first": ("DELETE FROM events WHERE seq = 1", "row 2 follows row 0"),
    "cut off": ("DELETE FROM events WHERE seq > 3", "its end was cut off"),
    "emptied": ("DELETE FROM events", "its end was cut off"),
    "answer edited": ("UPDATE answers SET body = replace(body, '90.0', '80.0')", "is not the measurement of row 4"),
    "answer removed": ("DELETE FROM answers", "is not the measurement of row 4"),
    "answer invented": ("INSERT INTO answers SELECT 'new', 4, body FROM answers", "is in no event"),
    "raw times edited": ("UPDATE samples SET content = x'00'", "raw times of a under lease 1 were changed"),
}


@pytest.mark.parametrize(("statement", "problem"), EDITS.values(), ids=EDITS.keys())
def test_the_audit_finds_what_was_forged(full, path, statement, problem):
    full.close()
    forge(path, statement)
    with Store(path, readonly=True) as store:
        assert any(problem in found for found in store.verify().problems)


def test_the_audit_finds_rows_that_changed_places(full, path):
    full.close()
    forge(
        path,
        "UPDATE events SET seq = -1 WHERE seq = 2",
        "UPDATE events SET seq = 2 WHERE seq = 3",
        "UPDATE events SET seq = 3 WHERE seq = -1",
    )
    with Store(path, readonly=True) as store:
        problems = store.verify().problems
    assert any("row 2 was changed" in problem for problem in problems)


def test_an_untouched_log_has_no_problems(store):
    store.append([(1, 1.0, EVENTS[0])])
    found = store.verify()
    assert (found.rows, found.seq, found.problems) == (1, 1, ())
    assert len(found.head) == 64


def test_raw_times_can_be_let_go_and_the_log_says_so(full):
    assert full.prune(before=10.0, now=100.0) == 0
    assert full.prune(before=50.0, now=100.0) == 1
    assert full.times("a", 1) == ()
    assert decode(list(full.events())[-1].body).count == 1
    assert full.verify().problems == ()


def test_a_backup_is_a_whole_store_and_overwrites_nothing(full, tmp_path):
    target = tmp_path / "backup.sqlite"
    full.backup(target)
    with Store(target, readonly=True) as copy:
        assert [row.hash for row in copy.events()] == [row.hash for row in full.events()]
        assert copy.known("k") == MEASUREMENT
    with pytest.raises(StoreError, match="exists already"):
        full.backup(target)


def test_a_full_disk_is_a_typed_error_and_nothing_is_lost(full, path):
    pages = full._connection.execute("PRAGMA page_count").fetchone()[0]
    full._connection.execute(f"PRAGMA max_page_count = {pages}")
    big = OperatorActed(device="a", action="drain", who="ann", why="x" * 50_000)
    with pytest.raises(StoreError, match="full"):
        full.append([(6, 30.0, big)])
    full._connection.execute("PRAGMA max_page_count = 1000000")
    assert full.append([(6, 30.0, big)])[0].seq == 6
    assert full.verify().problems == ()


def test_a_second_writer_is_refused_and_readers_are_not(full, path):
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
        Store(path)
    with Store(path, readonly=True) as reader:
        assert len(reader.devices()) == 1
        with pytest.raises(StoreError, match="readonly"):
            reader.append([(6, 30.0, EVENTS[0])])


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


def test_a_store_of_before_the_log_keeps_its_measurements(path):
    with sqlite3.connect(path) as connection:
        _m0001_initial(connection)
        connection.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY)")
        connection.execute("INSERT INTO migrations VALUES ('_m0001_initial')")
        row = ("f", 1, PROTOCOL, "Moto G6", "9", "r", "simulated", MEASUREMENT.model_dump_json())
        connection.execute("INSERT INTO measurements VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.close()
    with Store(path) as store:
        assert store.measurements() == (MEASUREMENT,)
        assert store.verify().problems == ()


def test_migrations_have_unique_names():
    names = [migration.__name__ for migration in MIGRATIONS]
    assert len(set(names)) == len(names)


KILLED = """
import sys
from pathlib import Path
from devicelab.events import LabStarted
from devicelab.store import Store
store = Store(Path(sys.argv[1]))
store.append([(1, 1.0, LabStarted(version="1", devices=()))])
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_killed_writer_leaves_a_store_that_opens(path):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(StoreError, match=f"in use by process {process.pid}"):
            Store(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Store(path) as store:
        assert store.verify().rows == 1
        assert store.verify().problems == ()
