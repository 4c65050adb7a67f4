"""The lab's truth: devices, leases, readings and measurements in one SQLite file. All SQL of this room.

One process writes: it holds a lock on ``<file>.lock`` for as long as the store is open, and a second
one is refused at once. Any number may read. The write-ahead log keeps readers and the writer apart and
a killed writer's last transaction whole.

A migration is a function and its name is its identity; it is applied with its own record in one
transaction and never edited after release.
"""

import fcntl
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from devicelab.device import Device, Platform
from devicelab.errors import DeviceError, StoreError
from devicelab.lease import Lease
from devicelab.measurement import Measurement, Reading, Workload


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


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_m0001_initial,)


class Store:
    """The store at *path*; see the module. ``readonly`` takes no lock and needs the file to exist.

    Every method raises ``StoreError`` if the file cannot be read or written.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self._lock = None if readonly else _locked(path)
        try:
            with self._guarded():
                self._connection = _connected(path, readonly=readonly)
        except StoreError:
            self._unlock()
            raise

    def close(self) -> None:
        """Close the file and let go of the lock."""
        self._connection.close()
        self._unlock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def see(self, devices: Sequence[Device], now: float) -> None:
        """Note that *devices* are part of the lab at *now*."""
        rows = [(device.name, device.platform.model_dump_json(), now) for device in devices]
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO devices VALUES (?, ?, ?)", rows)

    def devices(self) -> tuple[Device, ...]:
        """Return every device that was ever part of the lab, by name."""
        with self._guarded():
            rows = self._connection.execute("SELECT name, platform FROM devices ORDER BY name").fetchall()
            return tuple(Device(name=name, platform=Platform.model_validate_json(body)) for name, body in rows)

    def grant(self, device: str, holder: str, now: float, seconds: float) -> Lease:
        """Give *holder* the sole right to *device* for *seconds* from *now*; an expired lease on it ends.

        Raises:
            DeviceError: the device is leased.
        """
        with self._transaction() as connection:
            connection.execute(
                "UPDATE leases SET ended_at = ?, ended_why = 'expired'"
                " WHERE device = ? AND ended_at IS NULL AND expires_at <= ?",
                (now, device, now),
            )
            insert = "INSERT INTO leases (device, holder, granted_at, expires_at) VALUES (?, ?, ?, ?)"
            try:
                token = connection.execute(insert, (device, holder, now, now + seconds)).lastrowid
            except sqlite3.IntegrityError:
                raise DeviceError(f"{device}: is leased by somebody else") from None
        return Lease(token=token or 0, device=device, holder=holder, granted_at=now, expires_at=now + seconds)

    def end(self, lease: Lease, now: float, why: str) -> None:
        """End *lease* because of *why*; nothing happens if it has ended."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE leases SET ended_at = ?, ended_why = ? WHERE token = ? AND ended_at IS NULL",
                (now, why, lease.token),
            )

    def end_orphans(self, now: float) -> int:
        """End the leases that a writer left open when it died; return how many. Only the writer calls this, at start.

        Whoever holds the store's lock knows that no other writer, so no other holder of a lease, lives.
        """
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE leases SET ended_at = ?, ended_why = 'its holder died' WHERE ended_at IS NULL", (now,)
            ).rowcount

    def leases(self, *, ended: bool = False) -> tuple[Lease, ...]:
        """Return the open leases, or with *ended* all that ever were, oldest first."""
        query = "SELECT token, device, holder, granted_at, expires_at FROM leases"
        query += " ORDER BY token" if ended else " WHERE ended_at IS NULL ORDER BY token"
        with self._guarded():
            rows = self._connection.execute(query).fetchall()
        names = ("token", "device", "holder", "granted_at", "expires_at")
        return tuple(Lease(**dict(zip(names, row, strict=True))) for row in rows)

    def add_reading(
        self, lease: Lease, workload: Workload, reading: Reading, times: Sequence[float], now: float
    ) -> int:
        """Keep *reading* and the raw *times* (ms) behind it, made under *lease*; return its id.

        Raises:
            DeviceError: the lease has ended or expired: the phone may have served somebody else meanwhile.
        """
        raw = zlib.compress(np.asarray(times, dtype=np.float32).tobytes())
        with self._transaction() as connection:
            holds = "SELECT 1 FROM leases WHERE token = ? AND device = ? AND ended_at IS NULL AND expires_at > ?"
            if connection.execute(holds, (lease.token, reading.device, now)).fetchone() is None:
                raise DeviceError(f"{lease.device}: lease {lease.token} no longer holds; its reading is dropped")
            row = (lease.token, workload.fingerprint, workload.threads, reading.model_dump_json(), raw)
            insert = "INSERT INTO readings (token, fingerprint, threads, body, times) VALUES (?, ?, ?, ?, ?)"
            return connection.execute(insert, row).lastrowid or 0

    def times(self, reading: int) -> tuple[float, ...]:
        """Return the raw times, in milliseconds, behind the reading with the id *reading*; empty if there is none."""
        with self._guarded():
            row = self._connection.execute("SELECT times FROM readings WHERE id = ?", (reading,)).fetchone()
        return tuple(np.frombuffer(zlib.decompress(row[0]), dtype=np.float32).tolist()) if row else ()

    def record(self, measurement: Measurement, readings: Sequence[int]) -> None:
        """Keep *measurement*, made from the readings with these ids. There is one per graph, platform and protocol.

        Raises:
            StoreError: there is one already.
        """
        row = (*_key(measurement.fingerprint, measurement.threads, measurement.protocol, _platform(measurement)),)
        columns = "fingerprint, threads, protocol, product, os_build, runtime, source, body"
        with self._transaction() as connection:
            insert = f"INSERT INTO measurements ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
            identity = connection.execute(insert, (*row, measurement.model_dump_json())).lastrowid
            update = "UPDATE readings SET measurement = ? WHERE id = ?"
            connection.executemany(update, [(identity, reading) for reading in readings])

    def find(self, workload: Workload, platform: Platform, protocol: str) -> Measurement | None:
        """Return the measurement of *workload* on *platform*, if there is one."""
        query = "SELECT body FROM measurements WHERE fingerprint = ? AND threads = ? AND protocol = ?"
        query += " AND product = ? AND os_build = ? AND runtime = ? AND source = ?"
        key = _key(workload.fingerprint, workload.threads, protocol, platform)
        with self._guarded():
            row = self._connection.execute(query, key).fetchone()
            return Measurement.model_validate_json(row[0]) if row else None

    def measurements(self) -> tuple[Measurement, ...]:
        """Return all measurements, oldest first."""
        with self._guarded():
            rows = self._connection.execute("SELECT body FROM measurements ORDER BY id").fetchall()
            return tuple(Measurement.model_validate_json(body) for (body,) in rows)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._guarded():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn whatever SQLite or a damaged row raises into a StoreError that names the file."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, zlib.error) as error:
            raise StoreError(f"{self.path}: cannot be used as the lab's store: {error}") from error

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()


def _locked(path: Path) -> IO[str]:
    """Return the locked lock file of the store at *path*; the lock goes with the file, or with the process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("a+")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip() or "another process"
        lock.close()
        raise StoreError(f"{path}: is in use by {owner}; wait for it, or name another store") from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()}")
    lock.flush()
    return lock


def _connected(path: Path, *, readonly: bool) -> sqlite3.Connection:
    if readonly:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
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


def _key(fingerprint: str, threads: int, protocol: str, platform: Platform) -> tuple[str | int, ...]:
    return (fingerprint, threads, protocol, platform.product, platform.os_build, platform.runtime, platform.source)


def _platform(measurement: Measurement) -> Platform:
    return Platform(
        product=measurement.product,
        os_build=measurement.os_build,
        runtime=measurement.runtime,
        source=measurement.source,
    )
