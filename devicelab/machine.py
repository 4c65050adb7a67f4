"""The life of a phone as data: its states, the legal moves, how long each may last, and when it is given up.

    DISCOVERED > PREPARING > CALIBRATING > READY > LEASED > MEASURING > CLEANUP > (COOLING | CHARGING) > READY
    any of these > SUSPECT > RECOVERING (a rung of the ladder) > CALIBRATING > READY
    ladder exhausted, too much evidence against it, or a fault only a hand can end > QUARANTINED
    QUARANTINED > MAINTENANCE > PREPARING | RETIRED

Everything here is pure. A phone comes back only through the golden check of CALIBRATING. Nothing is given up for
what is common in its lab: evidence is weighed against the failure rate of all phones, and a failure that many phones
of one place share is an incident of the place (``is_common``).
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from devicelab.errors import DeviceLabError
from devicelab.faults import Fault, Rung


class State(StrEnum):
    """Where a phone is in its life."""

    DISCOVERED = "DISCOVERED"
    PREPARING = "PREPARING"
    CALIBRATING = "CALIBRATING"
    READY = "READY"
    LEASED = "LEASED"
    MEASURING = "MEASURING"
    CLEANUP = "CLEANUP"
    COOLING = "COOLING"
    CHARGING = "CHARGING"
    SUSPECT = "SUSPECT"
    RECOVERING = "RECOVERING"
    QUARANTINED = "QUARANTINED"
    MAINTENANCE = "MAINTENANCE"
    RETIRED = "RETIRED"


_S = State
_OUT = frozenset({_S.SUSPECT, _S.QUARANTINED, _S.RETIRED})
_REST = frozenset({_S.COOLING, _S.CHARGING})

MOVES: MappingProxyType[State, frozenset[State]] = MappingProxyType(
    {
        _S.DISCOVERED: _OUT | {_S.PREPARING},
        _S.PREPARING: _OUT | {_S.CALIBRATING},
        _S.CALIBRATING: _OUT | _REST | {_S.READY, _S.RECOVERING},
        _S.READY: _OUT | _REST | {_S.LEASED, _S.CALIBRATING},
        _S.LEASED: _OUT | {_S.MEASURING, _S.CLEANUP},
        _S.MEASURING: _OUT | {_S.CLEANUP},
        _S.CLEANUP: _OUT | _REST | {_S.READY, _S.CALIBRATING},
        _S.COOLING: _OUT | {_S.READY, _S.CHARGING, _S.CALIBRATING},
        _S.CHARGING: _OUT | {_S.READY, _S.COOLING, _S.CALIBRATING},
        _S.SUSPECT: _OUT - {_S.SUSPECT} | {_S.RECOVERING, _S.CALIBRATING},
        _S.RECOVERING: _OUT - {_S.SUSPECT} | {_S.RECOVERING, _S.CALIBRATING, _S.SUSPECT},
        _S.QUARANTINED: frozenset({_S.MAINTENANCE, _S.RETIRED}),
        _S.MAINTENANCE: frozenset({_S.PREPARING, _S.QUARANTINED, _S.RETIRED}),
        _S.RETIRED: frozenset(),
    }
)
"""From each state, the states that may follow. ``RECOVERING`` follows itself: the next rung."""

WORKING = frozenset({_S.LEASED, _S.MEASURING, _S.CLEANUP})
"""States in which a request's work is on the phone."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a state may last (seconds), and the state that follows when it has."""

    seconds: float
    then: State


LIMITS: MappingProxyType[State, Limit] = MappingProxyType(
    {
        _S.DISCOVERED: Limit(60, _S.PREPARING),
        _S.PREPARING: Limit(600, _S.SUSPECT),
        _S.CALIBRATING: Limit(600, _S.SUSPECT),
        _S.READY: Limit(1800, _S.CALIBRATING),
        _S.LEASED: Limit(60, _S.CLEANUP),
        _S.MEASURING: Limit(1800, _S.CLEANUP),
        _S.CLEANUP: Limit(60, _S.SUSPECT),
        _S.COOLING: Limit(3600, _S.SUSPECT),
        _S.CHARGING: Limit(4 * 3600, _S.QUARANTINED),
        _S.SUSPECT: Limit(30, _S.RECOVERING),
        _S.RECOVERING: Limit(400, _S.RECOVERING),
        _S.MAINTENANCE: Limit(8 * 3600, _S.QUARANTINED),
    }
)
"""No state that waits for software is endless: a phone that idles for 30 minutes is calibrated again, one that
cannot be charged in 4 hours needs a hand. QUARANTINED is an alert until an operator acts; RETIRED is the end."""

FIRST_REACH = 0.15
"""How far a phone's first golden check may be from a typical phone (share of its time)."""
GOLDEN_REACH = 0.03
"""How far a later golden check may be from the phone's own factor."""
MAX_CLIMBS = 12
"""Steps of recovery without a golden check passed, after which a phone's faults all count as one."""
GOLDEN_TRIES = 3
"""Golden checks in a row that may miss before the next rung is tried: background work makes one miss."""
BAD_PHONE = 0.8
"""Share of orders that a broken phone fails: the alternative that evidence is weighed against."""
LEAST_FAILURE_RATE = 0.02
"""No lab is taken to be better than this, so that one unlucky hour does not make a phone look broken."""
GIVE_UP = math.log(6e4)
"""Evidence (nats) at which a phone is given up. The test starts anew whenever the evidence is at 0, so now and then it
alarms falsely: at log(1e4) for 5 of 320 good phones of ``benchmarks/chaos.py``, a fifth of whose blocks fail. In a
quiet lab three failures in a row are enough: 3 log(BAD_PHONE / LEAST_FAILURE_RATE) = 11.07 > 11.00."""
COMMON_SHARE = 0.3
COMMON_SECONDS = 60.0
"""This share of a place's phones (at least two) failing the same way within this time is one incident."""
COMMON_CHANCE = 1e-3
INCIDENT_QUIET_SECONDS = 120.0
"""An incident is over when its failure was not seen for this long."""


class IllegalMoveError(DeviceLabError):
    """A move that the life of a phone does not have: a mistake of ours, never the phone's."""


def check_move(source: State, target: State) -> None:
    """Let a legal move pass.

    Raises:
        IllegalMoveError: *target* may not follow *source*.
    """
    if target not in MOVES[source]:
        allowed = ", ".join(sorted(MOVES[source])) or "nothing"
        raise IllegalMoveError(f"a phone does not go from {source} to {target}; from {source} it goes to {allowed}")


def first_rung(fault: Fault, strikes: int) -> Rung | None:
    """Return where recovery from *fault* starts for a phone with so many *strikes* in a row; None: a hand is needed.

    What failed again right after a recovery starts one rung higher each time.
    """
    if not fault.recoverable:
        return None
    start = fault.rung or Rung.RETRY
    return Rung(min(start + max(strikes - 1, 0), Rung.REBOOT))


def next_rung(rung: Rung) -> Rung | None:
    """Return the rung after *rung*; None: the ladder is exhausted.

    HUB_POWER is left to operators: it takes the power from every phone of the hub.
    """
    return None if rung >= Rung.REBOOT else Rung(rung + 1)


def golden(factor: float, known: float | None) -> bool:
    """Whether a phone whose reference took *factor* of a typical time is itself again (*known*: its usual factor)."""
    if known is None:
        return abs(factor - 1) <= FIRST_REACH
    return abs(factor / known - 1) <= GOLDEN_REACH


def weigh(suspicion: float, *, failed: bool, usual: float) -> float:
    """Return the evidence (nats, >= 0) that a phone is broken after one more order that *failed* or not.

    Wald's sequential test of a broken phone (fails ``BAD_PHONE`` of its orders) against one that fails as
    all phones here do (*usual*, the share of failed orders). In a quiet lab three failures in a row are
    enough; where everything fails often, they prove nothing about one phone.
    """
    usual = min(max(usual, LEAST_FAILURE_RATE), BAD_PHONE / 2)
    step = math.log(BAD_PHONE / usual) if failed else math.log((1 - BAD_PHONE) / (1 - usual))
    return max(suspicion + step, 0.0)


def is_common(failing: int, phones: int, usual: float) -> bool:
    """Whether so many of a place's *phones* are *failing* the same way that the place is to blame, not they.

    At least ``COMMON_SHARE`` of them and two, and more than chance makes of what is *usual*: the number of such
    failures that the place has within ``COMMON_SECONDS`` on other days (a Poisson variable's tail is compared
    with ``COMMON_CHANCE``). In a lab where everything fails often, alike failures prove nothing about a place.
    """
    if failing < max(2, math.ceil(COMMON_SHARE * phones)):
        return False
    below = math.exp(-usual) * sum(usual**count / math.factorial(count) for count in range(failing))
    return 1 - below < COMMON_CHANCE
