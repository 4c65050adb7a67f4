"""Is the log as it was written? Pure: rows in, findings out."""

from collections.abc import Iterable
from dataclasses import dataclass

from devicelab.events import GENESIS, Row, chained


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found: rows read, number and hash (hex) of the newest, and everything that is wrong (none: ())."""

    rows: int
    seq: int
    head: str
    problems: tuple[str, ...]


def audit(rows: Iterable[Row], anchor: tuple[int, bytes] | None = None) -> Audit:
    """Check that *rows* are numbered without a gap, chained, unchanged, and reach the *anchor* (number, hash).

    Found: any row that was edited, removed, inserted or moved, and a tail that was cut off behind the anchor's row.
    Not found: a log and an anchor that were both written anew by somebody who knows how this is computed.
    """
    problems: list[str] = []
    count, seq, head, anchored = 0, 0, GENESIS, anchor is None or anchor[0] == 0
    for row in rows:
        count += 1
        if row.seq != seq + 1:
            problems.append(f"row {row.seq} follows row {seq}: {row.seq - seq - 1} rows are missing")
        if row.previous != head:
            problems.append(f"row {row.seq} is not chained to the row before it")
        if chained(row.previous, row.seq, row.at, row.body) != row.hash:
            problems.append(f"row {row.seq} was changed after it was written")
        if anchor is not None and row.seq == anchor[0]:
            anchored = row.hash == anchor[1]
            if not anchored:
                problems.append(f"row {row.seq} is not the one that the head file names")
                anchored = True
        seq, head = row.seq, row.hash
    if anchor is not None and not anchored:
        problems.append(f"the log ends at row {seq}, but it had {anchor[0]} rows: its end was cut off")
    return Audit(count, seq, head.hex(), tuple(problems))
