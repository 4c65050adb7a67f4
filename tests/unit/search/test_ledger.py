"""The ledger: append-only, one writer, no trial lost, duplicated or told twice."""

import multiprocessing
import os
import signal
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.config import StudyConfig
from search.errors import LedgerError, StudyError
from search.ledger import Ledger, StudyOpened, TrialAsked, TrialReported, TrialTold, fold, is_being_written
from search.objectives import Outcome
from search.space import Given, suggest

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONFIG = StudyConfig.model_validate(
    {
        "name": "s",
        "data": {"evaluation": {"layout": "cafe", "path": "c"}, "training": [{"layout": "cafe", "path": "t"}]},
        "space": {"architecture": "mobilenetv2_100"},
    }
)
OPENED = StudyOpened(name="s", config=CONFIG.model_dump(mode="json"), config_digest=CONFIG.digest)
CANDIDATE = suggest(Given({}), CONFIG)
LOST = Outcome(state="failed", reason="lost")


def asked(number):
    return TrialAsked(number=number, candidate=CANDIDATE, params={})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study" / "ledger.db"


@pytest.fixture
def ledger(path):
    with Ledger.create(path, OPENED) as ledger:
        yield ledger


def test_events_come_back_as_they_went_in(path):
    ticks = iter(NOON + timedelta(seconds=n) for n in range(9))
    told = TrialTold(number=0, outcome=Outcome(state="complete", values={"f1": 0.1 + 0.2}))
    with Ledger.create(path, OPENED, clock=lambda: next(ticks)) as ledger:
        ledger.append(asked(0))
        ledger.append(TrialReported(number=0, rung=1, values={"f1": 1 / 3}))
        assert ledger.append(told) == 4
    with Ledger.open(path, readonly=True) as ledger:
        events = ledger.events()
        assert [event.at for event in events] == [NOON + timedelta(seconds=n) for n in range(4)]
        assert [event.model_copy(update={"at": None}) for event in events[:2]] == [OPENED, asked(0)]
        assert events[3].outcome == told.outcome
        assert ledger.events(since=3) == events[3:]


def test_a_reader_sees_what_came_after_it_looked(path, ledger):
    with Ledger.open(path, readonly=True) as reader:
        assert len(reader.events()) == 1
        ledger.append(asked(0))
        assert [event.kind for event in reader.events(since=1)] == ["trial-asked"]
        assert not reader.events(since=2)
        assert list(reader.record().trials) == [0]
        assert len(reader.events()) == 2


commands = st.lists(st.tuples(st.sampled_from(["ask", "report", "tell"]), st.integers(0, 3)), max_size=30)


@settings(max_examples=60, deadline=None)
@given(commands)
def test_whatever_is_appended_every_trial_is_told_at_most_once_and_only_if_asked(commands):
    """The ledger against a model of it: it takes what a correct history allows, and nothing else."""
    known, told = set(), set()
    with tempfile.TemporaryDirectory() as folder, Ledger.create(Path(folder) / "l.db", OPENED) as ledger:
        for command, number in commands:
            event, allowed = {
                "ask": (asked(number), number not in known),
                "report": (TrialReported(number=number, rung=1, values={"f1": 0.5}), number in known - told),
                "tell": (TrialTold(number=number, outcome=LOST), number in known - told),
            }[command]
            before = len(ledger.events())
            if allowed:
                ledger.append(event)
                known |= {number} if command == "ask" else set()
                told |= {number} if command == "tell" else set()
            else:
                with pytest.raises(LedgerError, match="refused"):
                    ledger.append(event)
            assert len(ledger.events()) == before + allowed
        record = fold(ledger.events())
        assert set(record.trials) == known
        assert set(record.told) == told
        assert {trial.number for trial in record.running} == known - told


def test_a_study_opens_once(ledger):
    with pytest.raises(LedgerError, match="first event"):
        ledger.append(OPENED)


def test_a_ledger_is_created_once(path):
    Ledger.create(path, OPENED).close()
    with pytest.raises(StudyError, match="exists; go on with fer-search resume s"):
        Ledger.create(path, OPENED)


@pytest.mark.parametrize("statement", ["UPDATE events SET kind = 'x'", "DELETE FROM events"])
def test_nobody_changes_history(ledger, statement):
    with closing(sqlite3.connect(ledger.path)) as database, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute(statement)


def test_one_writer_and_many_readers(ledger, path):
    with pytest.raises(StudyError, match=f"being run by process {os.getpid()}"):
        Ledger.open(path)
    with Ledger.open(path, readonly=True) as reader:
        ledger.append(asked(0))
        assert [event.kind for event in reader.events()] == ["study-opened", "trial-asked"]
        with pytest.raises(LedgerError):
            reader.append(asked(1))
    assert is_being_written(path)
    ledger.close()
    assert not is_being_written(path)
    Ledger.open(path).close()


def _write_and_wait(path, ready):
    ledger = Ledger.create(path, OPENED)
    ledger.append(asked(0))
    ready.set()
    signal.pause()


def test_the_lock_and_nothing_else_dies_with_a_killed_driver(path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    driver = context.Process(target=_write_and_wait, args=(path, ready))
    driver.start()
    assert ready.wait(30)
    with pytest.raises(StudyError, match=f"being run by process {driver.pid}"):
        Ledger.open(path)
    driver.kill()
    driver.join()
    with Ledger.open(path) as ledger:
        assert [trial.number for trial in ledger.record().running] == [0]
        ledger.append(TrialTold(number=0, outcome=LOST))


def test_no_ledger(tmp_path):
    with pytest.raises(StudyError, match="no such study"):
        Ledger.open(tmp_path / "none.db", readonly=True)


@pytest.mark.parametrize(
    ("readonly", "content"), [(True, b"not a database at all, " * 50), (False, b"not, " * 500), (True, b"")]
)
def test_another_file_is_refused_in_one_line(path, readonly, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"ledger\.db: ") as caught:
        Ledger.open(path, readonly=readonly)
    assert "\n" not in str(caught.value)


def test_another_database_is_refused(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")
    with pytest.raises(LedgerError, match="not the ledger of a study"):
        Ledger.open(path)


def test_a_truncated_ledger_is_refused(ledger, path):
    for number in range(200):
        ledger.append(asked(number))
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LedgerError, match="cannot be used"), Ledger.open(path, readonly=True) as damaged:
        damaged.events()


def test_a_newer_schema_is_refused(ledger, path):
    ledger.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="newer version"):
        Ledger.open(path)


def test_an_unknown_event_is_told(ledger, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("INSERT INTO events (at, kind, payload) VALUES ('2026-01-01T00:00:00Z', 'party', '{}')")
    with pytest.raises(LedgerError, match=r"event 2 \(party\) cannot be read"):
        ledger.events()
