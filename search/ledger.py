"""The truth about a study: an append-only table of events in one SQLite file. All SQL of this room is here.

One process, the driver, writes; any number of others read at the same time (write-ahead log).
Every append is one transaction, on the disk when ``append`` returns (``synchronous = FULL``).
The database itself refuses to change or delete an event, to hand a trial out twice, and to report or tell a
trial that is not open: no trial is lost, duplicated or told twice, whoever writes. The driver's right to write is
an ``fcntl`` lock on a file beside the ledger, which the operating system takes back when the driver dies.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TextIO

from pydantic import ValidationError

from search.errors import LedgerError, StudyError
from search.record import (
    EVENT,
    Event,
    RunEnded,
    RunRecord,
    RunStarted,
    StudyOpened,
    StudyRecord,
    TrialAsked,
    TrialRecord,
    TrialReported,
    TrialTold,
    fold,
)

__all__ = [
    "Event",
    "Ledger",
    "RunEnded",
    "RunRecord",
    "RunStarted",
    "StudyOpened",
    "StudyRecord",
    "TrialAsked",
    "TrialRecord",
    "TrialReported",
    "TrialTold",
    "fold",
    "is_being_written",
]

APPLICATION_ID = 0x46455253
"""``FERS`` in the header of the file: a ledger of this project and not just any SQLite database."""


def _m1_events(database: sqlite3.Connection) -> None:
    """One table of events; what may follow what is written as triggers."""
    database.execute("""
        CREATE TABLE events (
            seq INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            kind TEXT NOT NULL,
            payload TEXT NOT NULL CHECK (json_valid(payload)),
            trial INTEGER GENERATED ALWAYS AS (json_extract(payload, '$.number')) VIRTUAL
        )""")
    database.execute("CREATE UNIQUE INDEX opened_once ON events (kind) WHERE kind = 'study-opened'")
    for kind in ("asked", "told"):
        database.execute(f"CREATE UNIQUE INDEX {kind}_once ON events (trial) WHERE kind = 'trial-{kind}'")
    for verb in ("UPDATE", "DELETE"):
        database.execute(f"""
            CREATE TRIGGER no_{verb.lower()} BEFORE {verb} ON events
            BEGIN SELECT RAISE(ABORT, 'a ledger is append-only'); END""")
    database.execute("""
        CREATE TRIGGER opened_first BEFORE INSERT ON events
        WHEN (NEW.kind = 'study-opened') = EXISTS (SELECT 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'study-opened is the first event of a ledger and comes once'); END""")
    database.execute("""
        CREATE TRIGGER asked_once BEFORE INSERT ON events WHEN NEW.kind = 'trial-asked'
            AND EXISTS (SELECT 1 FROM events WHERE kind = 'trial-asked'
                        AND trial = json_extract(NEW.payload, '$.number'))
        BEGIN SELECT RAISE(ABORT, 'this trial was handed out before'); END""")
    database.execute("""
        CREATE TRIGGER only_open_trials BEFORE INSERT ON events WHEN NEW.kind IN ('trial-reported', 'trial-told')
        BEGIN
            SELECT RAISE(ABORT, 'this trial was never handed out') WHERE NOT EXISTS (
                SELECT 1 FROM events WHERE kind = 'trial-asked' AND trial = json_extract(NEW.payload, '$.number'));
            SELECT RAISE(ABORT, 'this trial was told before') WHERE EXISTS (
                SELECT 1 FROM events WHERE kind = 'trial-told' AND trial = json_extract(NEW.payload, '$.number'));
        END""")


type Clock = Callable[[], datetime]
"""Tells the time with its zone."""


def utc_now() -> datetime:
    """Return the wall clock's time: the one place in this room that reads it."""
    return datetime.now(UTC)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_m1_events,)
"""A ledger at schema version n has seen the first n of these; one is never edited after a release."""


class Ledger:
    """The events of one study. Use as a context manager, or ``close``; one thread at a time.

    Read-only ledgers never wait for the driver and never change the file.
    """

    def __init__(self, path: Path, database: sqlite3.Connection, lock: TextIO | None, clock: Clock) -> None:
        """Not for callers: ``create`` and ``open`` make ledgers."""
        self.path = path
        self._clock = clock
        self._database = database
        self._lock = lock
        self._read: list[Event] = []

    @classmethod
    def create(cls, path: Path, opened: StudyOpened, *, clock: Clock = utc_now) -> Self:
        """Return a new ledger at *path*, open for writing, with *opened* as its first event.

        Raises:
            StudyError: there is a ledger with events already, or another process is writing it.
            LedgerError: the file cannot be written, or is something else.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(path)
        try:
            with _told_as_ledger_errors(path):
                ledger = cls(path, _connected(path), lock, clock)
                ledger._refuse_a_second_opening(opened)
                ledger.append(opened)
                return ledger
        except BaseException:
            lock.close()
            raise

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False, clock: Clock = utc_now) -> Self:
        """Return the ledger at *path*; the driver's lock is taken unless *readonly*.

        Raises:
            StudyError: there is no ledger, or another process is writing it.
            LedgerError: the file is not a ledger, is damaged, or was written by a newer version.
        """
        if not path.is_file():
            raise StudyError(f"{path}: no such study")
        lock = None if readonly else _locked(path)
        try:
            with _told_as_ledger_errors(path):
                return cls(path, _connected(path, readonly=readonly), lock, clock)
        except BaseException:
            if lock:
                lock.close()
            raise

    def append(self, event: Event) -> int:
        """Record *event*, stamped by the clock if it has no time, and return its sequence number.

        It is on the disk when this returns.

        Raises:
            LedgerError: the event cannot follow what is recorded (a trial that is not open is reported or told,
                one is handed out twice), or the file cannot be written. Nothing was recorded.
        """
        payload = event.model_dump_json(exclude={"at", "kind"})
        at = event.at or self._clock()
        with _told_as_ledger_errors(self.path, what=_what(event)):
            cursor = self._database.execute(
                "INSERT INTO events (at, kind, payload) VALUES (?, ?, ?)", (at.isoformat(), event.kind, payload)
            )
        return int(cursor.lastrowid or 0)

    def events(self, since: int = 0) -> Sequence[Event]:
        """Return the events after sequence number *since*, in their order.

        Raises:
            LedgerError: the file is damaged, or holds an event that this version does not know.
        """
        with _told_as_ledger_errors(self.path):
            rows = self._database.execute(
                "SELECT seq, at, kind, payload FROM events WHERE seq > ? ORDER BY seq", (len(self._read),)
            ).fetchall()
        self._read += [_event(self.path, *row) for row in rows]  # what is written never changes: read once
        return self._read[since:]

    def record(self) -> StudyRecord:
        """Return what all events add up to.

        Raises:
            LedgerError: as ``events`` and ``fold``.
        """
        return fold(self.events())

    def close(self) -> None:
        """Close the file and give the driver's lock back."""
        self._database.close()
        if self._lock:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_a_second_opening(self, opened: StudyOpened) -> None:
        if self._database.execute("SELECT count(*) FROM events").fetchone()[0]:
            raise StudyError(f"{self.path}: this study exists; go on with fer-search resume {opened.name}")


def _event(path: Path, seq: int, at: str, kind: str, payload: str) -> Event:
    try:
        return EVENT.validate_json(f'{{"at":"{at}","kind":"{kind}",{payload[1:]}')
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        place = ".".join(map(str, mistake["loc"]))
        raise LedgerError(f"{path}: event {seq} ({kind}) cannot be read: {place}: {mistake['msg']}") from None


def _what(event: Event) -> str:
    number = getattr(event, "number", None)
    return event.kind if number is None else f"{event.kind}, trial {number}"


def _connected(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """Return a connection to a database whose schema is current; autocommit, so each statement is a transaction."""
    still = readonly and not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    mode = "?immutable=1" if still else "?mode=ro" if readonly else ""
    database = sqlite3.connect(path.resolve().as_uri() + mode, uri=True, isolation_level=None, timeout=10)
    try:
        version = _schema_version(path, database, readonly=readonly)
        if not readonly:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            _migrate(database, version)
    except BaseException:
        database.close()
        raise
    return database


def _schema_version(path: Path, database: sqlite3.Connection, *, readonly: bool) -> int:
    """Return how many migrations the file has seen, 0 for an empty one; refuse what is not a ledger of ours."""
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    mark = int(database.execute("PRAGMA application_id").fetchone()[0])
    empty = not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if mark != APPLICATION_ID and (readonly or not empty):
        raise LedgerError(f"{path}: not the ledger of a study")
    if version > len(MIGRATIONS):
        raise LedgerError(f"{path}: written by a newer version of fer-search (schema {version}); install that one")
    if version < len(MIGRATIONS) and readonly:
        raise LedgerError(f"{path}: written by an older version (schema {version}); fer-search resume brings it up")
    return version


def _migrate(database: sqlite3.Connection, version: int) -> None:
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        database.execute("BEGIN IMMEDIATE")
        try:
            migration(database)
            database.execute(f"PRAGMA user_version = {number}")
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise


@contextmanager
def _told_as_ledger_errors(path: Path, *, what: str = "") -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise LedgerError(f"{path}: refused{f' ({what})' if what else ''}: {error}") from None
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: cannot be used as the ledger of a study: {error}") from None


def is_being_written(path: Path) -> bool:
    """Say whether a driver holds the ledger at *path* right now."""
    try:
        with path.with_suffix(".lock").open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _locked(path: Path) -> TextIO:
    """Return the open lock file of *path*; the lock lives as long as that file is open in this process."""
    try:
        lock = path.with_suffix(".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip()
        lock.close()
        raise StudyError(
            f"{path.parent.name}: this study is being run{f' by process {holder}' if holder else ''}; "
            f"wait for it, or stop it, then resume"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock
