"""What a phone has been through lately, from its rows of the event log: for the page of one phone. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

from devicelab import events as ev
from devicelab.events import Event, Row, decode
from devicelab.service.views import FactorPoint, History, Moment, Span

ROWS = 500
"""Rows of a phone that its page tells about."""
SHOWN_MOMENTS = 60


def history_of(rows: Sequence[Row], now: float) -> History:
    """Return what *rows* (newest first) tell about their phone until *now* (seconds since 1970)."""
    told = [(row, decode(row.body)) for row in rows]
    moves = [(row.at, event.target) for row, event in reversed(told) if isinstance(event, ev.PhoneMoved)]
    ends = [*(at for at, _ in moves[1:]), now]
    spans = [Span(state=state, start=at, end=max(end, at)) for (at, state), end in zip(moves, ends, strict=False)]
    points = [
        FactorPoint(at=row.at, factor=event.factor, error=event.error)
        for row, event in reversed(told)
        if isinstance(event, ev.Calibrated)
    ]
    moments = [moment_of(row, event) for row, event in told if not isinstance(event, ev.LeaseRenewed)]
    return History(spans=tuple(spans), points=tuple(points), moments=tuple(moments[:SHOWN_MOMENTS]))


def moment_of(row: Row, event: Event) -> Moment:
    """Return *event*, which *row* holds, for people."""
    kind = event.kind.replace("_", " ")
    return Moment(seq=row.seq, at=row.at, kind=kind, device=ev.device_of(event), text=in_words(event))


def in_words(event: Event) -> str:
    """Return what *event* says in a few words; "" if its kind says it all."""
    words = _WORDS.get(type(event))
    return words(event) if words is not None else ""


def _moved(event: ev.PhoneMoved) -> str:
    why = f": {event.cause}" if event.cause else ""
    seen = f" ({event.evidence})" if event.evidence else ""
    return f"{event.source.lower()} to {event.target.lower()}{why}{seen}"


def _judged(event: ev.PhoneJudged) -> str:
    return f"{'failed' if event.failed else 'did well'}, {event.strikes} strikes" + ", excused" * event.excused


_WORDS: dict[type, Callable[[Any], str]] = {
    ev.PhoneMoved: _moved,
    ev.PhoneJudged: _judged,
    ev.LeaseGranted: lambda event: f"token {event.token} to {event.holder}, to {event.duty}",
    ev.LeaseEnded: lambda event: f"token {event.token} after {event.seconds:.1f} s: {event.why}",
    ev.BlockRecorded: lambda event: (
        f"token {event.token}: {event.reading.median_ms:.2f} ms over {event.reading.runs} runs"
    ),
    ev.BlockFailed: lambda event: f"token {event.token}: {event.message} ({event.fault})",
    ev.Calibrated: lambda event: (
        f"factor {event.factor:.4f}" + ", golden" * event.golden + ", has drifted" * event.drift
    ),
    ev.OperatorActed: lambda event: f"{event.action}, by {event.who}: {event.why}",
}
