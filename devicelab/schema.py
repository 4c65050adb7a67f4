"""The tables of the lab's store, and how a file gets them.

A migration is a function and its name is its identity; it is applied with its own record in one
transaction and never edited after release.
"""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

from devicelab.measurement import answer_digest


def _m0001_initial(connection: sqlite3.Connection) -> None:
    schema = """
        CREATE TABLE devices (name TEXT PRIMARY KEY, platform TEXT NOT NULL, seen_at REAL NOT NULL);
        CREATE TABLE leases (
            token INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, holder TEXT NOT NULL,
            granted_at REAL NOT NULL, expires_at REAL NOT NULL, ended_at REAL, ended_why TEXT);
        CREATE UNIQUE INDEX one_open_lease_per_device ON leases (device) WHERE ended_at IS NULL;
        CREATE TABLE measurements (
            id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, threads INTEGER NOT NULL, protocol TEXT NOT NULL,
            product TEXT NOT NULL, os_build TEXT NOT NULL, runtime TEXT NOT NULL, source TEXT NOT NULL,
            body TEXT NOT NULL,
            UNIQUE (fingerprint, threads, protocol, product, os_build, runtime, source));
        CREATE TABLE readings (
            id INTEGER PRIMARY KEY, token INTEGER NOT NULL REFERENCES leases (token),
            fingerprint TEXT NOT NULL, threads INTEGER NOT NULL, body TEXT NOT NULL, times BLOB NOT NULL,
            measurement INTEGER REFERENCES measurements (id))
    """
    for statement in schema.split(";"):
        connection.execute(statement)


def _m0002_event_log(connection: sqlite3.Connection) -> None:
    """The log becomes the truth. Measurements of before stay as answers (number 0); tables of before are let go."""
    schema = """
        CREATE TABLE events (
            seq INTEGER PRIMARY KEY, at REAL NOT NULL, body TEXT NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL,
            kind TEXT GENERATED ALWAYS AS (json_extract(body, '$.kind')) VIRTUAL,
            device TEXT GENERATED ALWAYS AS
                (coalesce(json_extract(body, '$.device.name'), json_extract(body, '$.device'))) VIRTUAL)|
        CREATE INDEX events_by_device ON events (device, seq) WHERE device IS NOT NULL|
        CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
            BEGIN SELECT raise(ABORT, 'the event log is append-only'); END|
        CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
            BEGIN SELECT raise(ABORT, 'the event log is append-only'); END|
        CREATE TABLE requests (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID|
        CREATE TABLE answers (key TEXT PRIMARY KEY, seq INTEGER NOT NULL, body TEXT NOT NULL)|
        CREATE INDEX answers_by_age ON answers (seq)|
        CREATE TABLE samples (
            device TEXT NOT NULL, token INTEGER NOT NULL, at REAL NOT NULL, digest TEXT NOT NULL,
            content BLOB NOT NULL, PRIMARY KEY (device, token))|
        CREATE INDEX samples_by_age ON samples (at)|
        CREATE TABLE snapshots (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)
    """
    for statement in schema.split("|"):
        connection.execute(statement)
    for (body,) in connection.execute("SELECT body FROM measurements ORDER BY id").fetchall():
        key = _key_of(json.loads(body))
        connection.execute("INSERT OR IGNORE INTO answers VALUES (?, 0, ?)", (key, body))
    for table in ("readings", "measurements", "leases", "devices"):
        connection.execute(f"DROP TABLE {table}")


def _key_of(body: dict[str, object]) -> str:
    """Return the key of a measurement kept before there was a log; its protocol of then is part of it."""
    parts = [body[name] for name in ("fingerprint", "threads", "protocol", "product", "os_build", "runtime", "source")]
    return answer_digest([*parts, None])


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_m0001_initial, _m0002_event_log)


def connected(path: Path, *, readonly: bool, durable: bool) -> sqlite3.Connection:
    """Return a connection to the store at *path*, which has every table afterwards (unless *readonly*).

    Raises:
        sqlite3.Error: it is no store, or cannot be used.
        ValueError: it was written by a newer version.
    """
    if readonly:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
    applied = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    unknown = applied - {migration.__name__ for migration in MIGRATIONS}
    if unknown:
        raise ValueError(f"it was written by a newer version (migration {min(unknown)})")
    for migration in MIGRATIONS:
        if migration.__name__ not in applied:
            connection.execute("BEGIN IMMEDIATE")
            migration(connection)
            connection.execute("INSERT INTO migrations VALUES (?)", (migration.__name__,))
            connection.execute("COMMIT")
