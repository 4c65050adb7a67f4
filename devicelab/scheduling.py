"""Who gets which phone next: priority, then fair shares, then age; for the phone, affinity. Pure but for the queue.

    class      interactive before normal before background; waiting long raises a request by a class (aging)
    share      within a class the search that has used the fewest phone-seconds for its weight (stride scheduling)
    age        within a search the request that was asked first
    phone      one this question was not on yet, one that has the network already, the coolest, the least used

``Queue`` keeps questions in lanes so that one decision costs as many steps as there are searches, not requests.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from devicelab.events import INTERACTIVE
from devicelab.policy import Rules

LOOK_AHEAD = 16
"""Questions of a lane that are looked at for one that has not been on the free phone yet."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A question that waits for a phone. ``group`` names the platform, ``name`` the only phone that would do.

    ``order`` is the number of its first request, ``tried`` how many of its blocks each phone has
    had, ``barred`` are phones that may not have another one. Until ``fresh_until`` it waits for a
    phone that it was not on yet.
    """

    question: str
    search: str
    priority: int
    order: int
    since: float
    group: str
    name: str | None
    fingerprint: str
    tried: Mapping[str, int] = field(default_factory=dict)
    barred: tuple[str, ...] = ()
    fresh_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Free:
    """A phone that may be leased now; ``has`` are the fingerprints that were on it lately."""

    device: str
    group: str
    temperature_c: float
    used: float
    has: tuple[str, ...] = ()

    def suits(self, waiting: Waiting, now: float) -> bool:
        """Whether *waiting* may run here *now*: not where it was, while another phone may still come."""
        if self.device in waiting.tried and now < waiting.fresh_until:
            return False
        here = self.group == waiting.group and waiting.name in {None, self.device}
        return here and self.device not in waiting.barred


class Shares:
    """Virtual time of every search: phone-seconds used, over its weight. Who has the least goes first."""

    __slots__ = ("virtual", "weights")

    def __init__(self, weights: Mapping[str, float], virtual: Mapping[str, float] | None = None) -> None:
        self.weights = dict(weights)
        self.virtual = dict(virtual or {})

    def join(self, search: str, active: Iterable[str]) -> None:
        """Let *search* take part: it starts where the *active* ones are, so that idling saves nothing up."""
        floor = min((self.virtual[other] for other in active if other in self.virtual), default=0.0)
        self.virtual[search] = max(self.virtual.get(search, 0.0), floor)

    def charge(self, search: str, seconds: float) -> None:
        """Count *seconds* of a phone (negative: an estimate was too high)."""
        self.virtual[search] = self.virtual.get(search, 0.0) + seconds / self.weights.get(search, 1.0)


type _Lane = tuple[int, str, str, str]


class Queue:
    """The questions that wait, in lanes of one class, search, platform and phone; each lane oldest first."""

    def __init__(self) -> None:
        self._lanes: dict[_Lane, list[tuple[int, str]]] = {}
        self._waiting: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, question: str) -> bool:
        return question in self._waiting

    def add(self, waiting: Waiting) -> None:
        """Let *waiting* wait, at the place that its age gives it; it replaces itself."""
        known = self._waiting.get(waiting.question)
        self._waiting[waiting.question] = waiting
        if known is None or _lane(known) != _lane(waiting):
            heapq.heappush(self._lanes.setdefault(_lane(waiting), []), (waiting.order, waiting.question))

    def remove(self, question: str) -> None:
        """Let *question* wait no more; nothing happens if it does not."""
        self._waiting.pop(question, None)

    def heads(self) -> Iterator[list[Waiting]]:
        """Yield the first questions of every lane that is not empty."""
        for lane, heap in list(self._lanes.items()):
            while heap and not self._belongs(heap[0][1], lane):
                heapq.heappop(heap)
            if not heap:
                del self._lanes[lane]
                continue
            front = [self._waiting[heap[0][1]]]
            if len(heap) > 1:
                nearest = heapq.nsmallest(LOOK_AHEAD, heap[: 4 * LOOK_AHEAD])
                front = [self._waiting[name] for _, name in nearest if self._belongs(name, lane)]
            yield front

    def _belongs(self, question: str, lane: _Lane) -> bool:
        waiting = self._waiting.get(question)
        return waiting is not None and _lane(waiting) == lane


def _lane(waiting: Waiting) -> _Lane:
    return (waiting.priority, waiting.search, waiting.group, waiting.name or "")


@dataclass(frozen=True, slots=True)
class Grant:
    """This question gets this phone."""

    question: str
    device: str


def effective_class(waiting: Waiting, now: float, rules: Rules) -> int:
    """Return the class that *waiting* has after aging."""
    return min(waiting.priority + int((now - waiting.since) / rules.aging_seconds), INTERACTIVE)


def reserved(phones: int, last_interactive: float, now: float, rules: Rules) -> int:
    """Return how many of so many *phones* are kept for interactive requests, the last of which came then."""
    if not rules.reserve_per or now - last_interactive > rules.reserve_seconds:
        return 0
    return phones // rules.reserve_per


def next_grant(
    queue: Queue, free: Iterable[Free], shares: Shares, *, now: float, rules: Rules, spare: int
) -> Grant | None:
    """Return the grant that comes next, or None.

    *spare* is how many more phones may go to requests that are not interactive (the others are reserved).
    """
    phones = list(free)
    best: tuple[tuple[int, float, int], Waiting, list[Free]] | None = None
    for front in queue.heads() if phones else ():
        level = effective_class(front[0], now, rules)
        if spare <= 0 and level < INTERACTIVE:
            continue
        waiting, suited = _first_suited(front, phones, now)
        rank = (-level, shares.virtual.get(waiting.search, 0.0), waiting.order)
        if suited and (best is None or rank < best[0]):
            best = (rank, waiting, suited)
    return None if best is None else Grant(best[1].question, _phone(best[1], best[2]).device)


def _first_suited(front: list[Waiting], phones: list[Free], now: float) -> tuple[Waiting, list[Free]]:
    """Return the first question of a lane that one of the *phones* suits, with those that do."""
    for waiting in front:
        suited = [phone for phone in phones if phone.suits(waiting, now)]
        if suited:
            return waiting, suited
    return front[0], []


def _phone(waiting: Waiting, suited: list[Free]) -> Free:
    def rank(phone: Free) -> tuple[int, bool, float, float, str]:
        tried = waiting.tried.get(phone.device, 0)
        return (tried, waiting.fingerprint not in phone.has, phone.temperature_c, phone.used, phone.device)

    return min(suited, key=rank)
