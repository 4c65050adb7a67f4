"""The lab's truth in one SQLite file: the event log, what has ended, raw times. All SQL of this room.

One process writes: it holds a lock on ``<file>.lock`` for as long as the store is open, and a second
one is refused at once. Any number may read, and no reader makes the writer wait (write-ahead log).

**Durability.** What :meth:`Store.append` returned is on the disk (``synchronous = FULL``: one flush per
transaction); a killed process or a power cut loses at most what was not yet answered. A store that is not ``durable``
survives a killed process but not a power cut; simulations use it.

**Audit.** Rows of the log are chained by hashes, and triggers refuse to change or delete one. :meth:`Store.verify`
finds every row that was edited, removed, inserted or moved. Rows cut off at the end leave a whole chain: they are
found by ``<file>.head``, which has the newest row's number and hash. Who can rewrite the file *and* the head can forge
a tail, or a whole log; keep a copy of the head elsewhere (``fer-lab audit verify`` prints it) to notice that too.
"""

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from devicelab import schema
from devicelab.audit import Audit, audit
from devicelab.commands import Answer
from devicelab.device import Device
from devicelab.errors import StoreError
from devicelab.events import (
    GENESIS,
    Event,
    LeaseGranted,
    MeasurementCommitted,
    PhoneSeen,
    RequestEnded,
    Row,
    Samples,
    SamplesPruned,
    chained,
    decode,
    encode,
)
from devicelab.fold import Fold
from devicelab.lease import Lease
from devicelab.lockfile import Anchor, Lock
from devicelab.measurement import Measurement
from devicelab.policy import Rules
from devicelab.snapshot import decode_state, encode_state
from devicelab.state import LabState

PAGE = 10_000
"""Rows read at a time."""


class Store:
    """The store at *path*; see the module. ``readonly`` takes no lock and needs the file to exist.

    Every method raises ``StoreError`` if the file cannot be read or written.
    """

    def __init__(self, path: Path, *, readonly: bool = False, durable: bool = True) -> None:
        self.path = path
        self._readonly = readonly
        self._lock = None if readonly else Lock(path)
        self._durable = durable
        try:
            with self._guarded():
                self._connection = schema.connected(path, readonly=readonly, durable=durable)
                self._head = self._newest()
        except StoreError:
            self._unlock()
            raise
        self._anchor = None if readonly else Anchor(path)

    def close(self) -> None:
        """Close the file and let go of the lock."""
        self._connection.close()
        if self._anchor is not None:
            self._anchor.close()
        self._unlock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def append(
        self,
        events: Sequence[tuple[int, float, Event]],
        samples: Sequence[Samples] = (),
        snapshot: LabState | None = None,
    ) -> Sequence[Row]:
        """Write *events* (number, time, event) with what they name, all or none; return the rows.

        Raises:
            StoreError: it could not be written (disk full, for one); the file is as it was.
        """
        rows, (seq, head) = [], self._head
        for number, at, event in events:
            if number != seq + 1:
                raise StoreError(f"{self.path}: event {number} does not follow {seq}")
            body = encode(event)
            row = Row(number, at, body, head, chained(head, number, at, body))
            seq, head = number, row.hash
            rows.append(row)
        with self._transaction() as connection:
            insert = "INSERT INTO events (seq, at, body, previous, hash) VALUES (?, ?, ?, ?, ?)"
            connection.executemany(insert, [(row.seq, row.at, row.body, row.previous, row.hash) for row in rows])
            self._project(events)
            insert = "INSERT INTO samples VALUES (?, ?, ?, ?, ?)"
            at = events[-1][1]
            connection.executemany(insert, [(one.device, one.token, at, one.digest, one.content) for one in samples])
            if snapshot is not None:
                connection.execute("DELETE FROM snapshots")
                connection.execute("INSERT INTO snapshots VALUES (?, ?)", (seq, encode_state(snapshot)))
        self._head = (seq, head)
        if self._anchor is not None:
            self._anchor.write(seq, head)
        return rows

    def _project(self, events: Sequence[tuple[int, float, Event]]) -> None:
        for seq, _, event in events:
            if isinstance(event, RequestEnded):
                row = (event.request, event.model_dump_json())
                self._connection.execute("INSERT INTO requests VALUES (?, ?)", row)
            elif isinstance(event, MeasurementCommitted):
                answer = (event.key, seq, event.measurement.model_dump_json())
                self._connection.execute("INSERT INTO answers VALUES (?, ?, ?)", answer)

    def folded(self, weights: Mapping[str, float], rules: Rules) -> Fold:
        """Return what the events add up to: the latest snapshot that can be read, and the events after it."""
        with self._guarded():
            self._head = self._newest()
            row = self._connection.execute("SELECT body FROM snapshots").fetchone()
        state = LabState()
        if row is not None:
            with suppress(ValueError):
                state = decode_state(row[0])
        fold = Fold(state, dict(weights), rules)
        for event in self.events(after=state.seq):
            fold.apply(event.seq, event.at, decode(event.body))
        return fold

    def events(self, after: int = 0, limit: int | None = None, *, device: str = "", kind: str = "") -> Iterator[Row]:
        """Yield up to *limit* rows behind number *after*, oldest first; of one *device* or *kind* if they are given."""
        query = "SELECT seq, at, body, previous, hash FROM events WHERE seq > ?"
        where = {"device": device, "kind": kind}
        query += "".join(f" AND {column} = ?" for column, value in where.items() if value) + " ORDER BY seq LIMIT ?"
        values = [value for value in where.values() if value]
        left = limit
        while left is None or left > 0:
            page = PAGE if left is None else min(left, PAGE)
            with self._guarded():
                rows = self._connection.execute(query, (after, *values, page)).fetchall()
            yield from (Row(*row) for row in rows)
            if len(rows) < page:
                return
            after, left = rows[-1][0], None if left is None else left - page

    def latest(self, device: str, limit: int) -> list[Row]:
        """Return the newest *limit* rows about *device*, newest first."""
        query = "SELECT seq, at, body, previous, hash FROM events WHERE device = ? ORDER BY seq DESC LIMIT ?"
        with self._guarded():
            return [Row(*row) for row in self._connection.execute(query, (device, limit)).fetchall()]

    def known(self, key: str) -> Measurement | None:
        """Return the measurement that answers *key*."""
        with self._guarded():
            row = self._connection.execute("SELECT body FROM answers WHERE key = ?", (key,)).fetchone()
            return Measurement.model_validate_json(row[0]) if row else None

    def has_request(self, request: str) -> bool:
        """Whether *request* has ended."""
        with self._guarded():
            return self._connection.execute("SELECT 1 FROM requests WHERE id = ?", (request,)).fetchone() is not None

    def answer(self, request: str) -> Answer | None:
        """Return how *request* ended; None if it did not, or was never made."""
        with self._guarded():
            row = self._connection.execute("SELECT body FROM requests WHERE id = ?", (request,)).fetchone()
            if row is None:
                return None
            ended = RequestEnded.model_validate_json(row[0])
        return Answer(
            request=request,
            ending=ended.ending,
            measurement=self.known(ended.key) if ended.key else None,
            error=ended.error,
            message=ended.message,
            reason=ended.reason,
        )

    def measurements(self, limit: int | None = None) -> tuple[Measurement, ...]:
        """Return the newest *limit* measurements (None: all), oldest first."""
        with self._guarded():
            query = "SELECT body FROM answers ORDER BY seq DESC LIMIT ?"
            rows = self._connection.execute(query, (-1 if limit is None else limit,)).fetchall()
            return tuple(Measurement.model_validate_json(body) for (body,) in reversed(rows))

    def leases(self, *, ended: bool = False) -> tuple[Lease, ...]:
        """Return the open leases on requests' work, or with *ended* all that ever were, oldest first."""
        if not ended:
            fold = self.folded({}, Rules())
            return tuple(phone.lease for phone in fold.state.phones.values() if phone.lease is not None)
        granted = [(row.at, decode(row.body)) for row in self.events(kind="lease_granted")]
        return tuple(
            Lease(token=one.token, device=one.device, holder=one.holder, granted_at=at, expires_at=one.expires_at)
            for at, one in granted
            if isinstance(one, LeaseGranted)
        )

    def devices(self) -> tuple[Device, ...]:
        """Return every device that was ever part of the lab, in the order in which they were first seen."""
        seen = [decode(row.body) for row in self.events(kind="phone_seen")]
        return tuple({one.device.name: one.device for one in seen if isinstance(one, PhoneSeen)}.values())

    def times(self, device: str, token: int) -> tuple[float, ...]:
        """Return the raw times (ms) of the block read on *device* under *token*; empty if there are none any more."""
        query = "SELECT content FROM samples WHERE device = ? AND token = ?"
        with self._guarded():
            row = self._connection.execute(query, (device, token)).fetchone()
            return tuple(np.frombuffer(zlib.decompress(row[0]), dtype=np.float32).tolist()) if row else ()

    def prune(self, before: float, now: float) -> int:
        """Let raw times from before *before* go (readings stay); return how many blocks had some. Itself an event."""
        with self._guarded():
            count = int(self._connection.execute("SELECT count(*) FROM samples WHERE at < ?", (before,)).fetchone()[0])
        if count:
            self.append([(self._head[0] + 1, now, SamplesPruned(before=before, count=count))])
            with self._transaction() as connection:
                connection.execute("DELETE FROM samples WHERE at < ?", (before,))
        return count

    def backup(self, target: Path) -> None:
        """Copy the store to *target* while it is used; the copy is whole, and of one moment.

        Raises:
            StoreError: *target* exists, or cannot be written.
        """
        if target.exists():
            raise StoreError(f"{target}: exists already; a backup never overwrites anything")
        with self._guarded(), closing(sqlite3.connect(target)) as copy:
            self._connection.backup(copy)

    def verify(self) -> Audit:
        """Read the whole log and say whether it, or what was derived from it, was changed; see the module."""
        with self._guarded():
            found = audit(self.events(), Anchor.read(self.path))
            problems = [*found.problems, *self._derived_problems()]
        return Audit(found.rows, found.seq, found.head, tuple(problems))

    def _derived_problems(self) -> Iterator[str]:
        """Compare answers, ended requests and raw times with the events that they came from."""
        answers = dict(self._connection.execute("SELECT key, body FROM answers WHERE seq > 0").fetchall())
        samples = self._connection.execute("SELECT device, token, digest, content FROM samples")
        for device, token, digest, content in samples:
            if hashlib.sha256(content).hexdigest() != digest:
                yield f"raw times of {device} under lease {token} were changed"
        for row in self.events(kind="measurement_committed"):
            event = decode(row.body)
            if isinstance(event, MeasurementCommitted):
                body = answers.pop(event.key, None)
                if body is None or Measurement.model_validate_json(body) != event.measurement:
                    yield f"the answer {event.key[:12]} is not the measurement of row {row.seq}"
        yield from (f"the answer {key[:12]} is in no event" for key in answers)

    def _newest(self) -> tuple[int, bytes]:
        row = self._connection.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row else (0, GENESIS)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._guarded():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

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
