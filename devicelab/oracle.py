"""Was the lab right? Judged from the rows of its log alone, with none of the coordinator's own code or bookkeeping.

The rules are written down a second time here on purpose: what the coordinator gets wrong about leases it would also
get wrong about its own state.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from devicelab import events as ev


@dataclass(slots=True)
class Findings:
    """What was found. Each list names events by number and what is wrong; all empty: the lab was right.

    ``lost`` requests that never ended, ``double`` answers or ends given twice, ``stale`` work counted without a
    lease that held, ``wrong`` work counted for another phone or question, ``unexplained`` failures without a reason,
    ``inversions`` grants past a waiting request of a higher class. ``busy`` is phone-seconds by duty.
    """

    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    inversions: list[str] = field(default_factory=list)
    requests: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    failures: int = 0
    busy: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.double or self.stale or self.wrong or self.unexplained or self.inversions)


@dataclass(slots=True)
class _Held:
    token: int
    since: float
    until: float
    question: str
    duty: str


class _Oracle:
    def __init__(self) -> None:
        self.found = Findings()
        self._held: dict[str, _Held] = {}
        self._newest: Counter[str] = Counter()
        self._open: dict[str, str] = {}
        self._ended: set[str] = set()
        self._keys: dict[str, int] = {}
        self._blocks: dict[tuple[str, int], str] = {}

    def see(self, seq: int, at: float, event: ev.Event) -> None:
        """Look at the next event."""
        match event:
            case ev.RequestSubmitted():
                self.found.requests += 1
                self._open[event.request] = event.question
            case ev.RequestEnded():
                self._end(seq, event)
            case ev.LeaseGranted():
                self._grant(seq, at, event)
            case ev.LeaseRenewed():
                if self._holds(seq, at, event.device, event.token):
                    self._held[event.device].until = event.expires_at
            case ev.LeaseEnded():
                self._return(seq, at, event)
            case ev.BlockRecorded():
                self._block(seq, at, event)
            case ev.BlockFailed():
                self.found.failures += 1
            case ev.MeasurementCommitted():
                self._commit(seq, event)

    def _holds(self, seq: int, at: float, device: str, token: int) -> bool:
        held = self._held.get(device)
        if held is None or held.token != token or at >= held.until:
            self.found.stale.append(f"{seq}: {device} under {token}")
            return False
        return True

    def _grant(self, seq: int, at: float, event: ev.LeaseGranted) -> None:
        if event.device in self._held:
            self.found.double.append(f"{seq}: {event.device} was leased already")
        if event.token <= self._newest[event.device]:
            self.found.stale.append(f"{seq}: token {event.token} of {event.device} does not grow")
        self._newest[event.device] = event.token
        self._held[event.device] = _Held(event.token, at, event.expires_at, event.question, event.duty)
        self.found.orders += 1

    def _return(self, seq: int, at: float, event: ev.LeaseEnded) -> None:
        held = self._held.pop(event.device, None)
        if held is None or held.token != event.token:
            self.found.double.append(f"{seq}: lease {event.token} of {event.device} ended twice")
        else:
            self.found.busy[held.duty] += round(1e3 * (at - held.since))

    def _block(self, seq: int, at: float, event: ev.BlockRecorded) -> None:
        self._holds(seq, at, event.device, event.token)
        held = self._held.get(event.device)
        if event.reading.device != event.device or held is None or held.question != event.question:
            self.found.wrong.append(f"{seq}: a block of {event.device}")
        if (event.device, event.token) in self._blocks:
            self.found.double.append(f"{seq}: a block of {event.device} under {event.token}")
        self._blocks[event.device, event.token] = event.question

    def _commit(self, seq: int, event: ev.MeasurementCommitted) -> None:
        if event.key in self._keys:
            self.found.double.append(f"{seq}: an answer to {event.key[:12]}")
        self._keys[event.key] = seq
        strange = [pair for pair in event.tokens if self._blocks.get(pair) != event.question]
        strange += [
            pair for pair, _ in zip(event.tokens, event.tokens[1:], strict=False) if event.tokens.count(pair) > 1
        ]
        if strange or not event.tokens:
            self.found.wrong.append(f"{seq}: made of {strange or 'nothing'}")

    def _end(self, seq: int, event: ev.RequestEnded) -> None:
        question = self._open.pop(event.request, None)
        if question is None or event.request in self._ended:
            self.found.double.append(f"{seq}: request {event.request} ended twice, or was never made")
        self._ended.add(event.request)
        self.found.endings[event.ending] += 1
        answered = event.ending in {"measured", "store"}
        if answered and event.key not in self._keys:
            self.found.wrong.append(f"{seq}: request {event.request} was answered by nothing")
        if not answered and not (event.error and event.message):
            self.found.unexplained.append(f"{seq}: request {event.request}")

    def finish(self) -> Findings:
        """Return what was found in all that was seen."""
        self.found.lost = sorted(self._open)
        return self.found


def judged(rows: Iterable[ev.Row]) -> Findings:
    """Return what is wrong with the history in *rows*, which start with the first event."""
    oracle = _Oracle()
    for row in rows:
        oracle.see(row.seq, row.at, ev.decode(row.body))
    return oracle.finish()
