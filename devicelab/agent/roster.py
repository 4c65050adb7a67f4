"""What an agent makes of what it sees: phones on the bus, workers that open or do not. A pure fold, without a clock.

``step`` takes the roster, what happened and when, and returns the roster after it and what is to be done. Nothing here
knows of processes or networks.

A phone is *away* (no worker), *opening* (a worker begins) or *serving* (the lab knows it). One that leaves the bus is
told as lost at once, so that its request goes elsewhere; its worker has ``AWAY_SECONDS`` to find it again, then it is
closed and the lab forgets the phone until it is back. A phone that is being restarted may be away longer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from devicelab.device import Device

AWAY_SECONDS = 3.0
"""A phone that drops and comes back does so within a second; one that was unplugged stays away."""
CONNECT_SECONDS = 1.0
"""Between two attempts to connect to a phone on the network; one on a cable comes by itself."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Before a worker that did not open is tried again; doubled each time."""
THERE = "device"
"""adb's word for a phone that can be used."""
FAULTS: Mapping[str, str] = MappingProxyType({"unauthorized": "F10"})
"""What a state of adb's means, in the lab's table; F8 if nothing else is known."""


@dataclass(frozen=True, slots=True)
class Seen:
    """adb's list of phones: {serial: state}."""

    states: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Opened:
    """The worker of *name* has begun."""

    name: str
    device: Device


@dataclass(frozen=True, slots=True)
class NotOpened:
    """The worker of *name* could not begin."""

    name: str


@dataclass(frozen=True, slots=True)
class Expected:
    """The phone *name* is about to be away for up to *seconds*: it is restarted."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Passed:
    """Time has passed."""


type Event = Seen | Opened | NotOpened | Expected | Passed


@dataclass(frozen=True, slots=True)
class Open:
    """Start the worker of the phone *name*."""

    name: str


@dataclass(frozen=True, slots=True)
class Close:
    """End the worker of the phone *name*."""

    name: str


@dataclass(frozen=True, slots=True)
class Arrive:
    """Tell the lab which phones there are now; the workers of *fresh* are new."""

    devices: tuple[Device, ...]
    fresh: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lose:
    """Tell the lab that the phone *name* left the bus."""

    name: str
    fault: str
    message: str


@dataclass(frozen=True, slots=True)
class Connect:
    """Have adb connect to the address *udid*."""

    udid: str


@dataclass(frozen=True, slots=True)
class Ignore:
    """Say once that a phone is here which is not the lab's."""

    serial: str


type Action = Open | Close | Arrive | Lose | Connect | Ignore


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone of the configuration: what adb says of it (*state*, *since* when) and what its worker does (*stage*)."""

    name: str
    udid: str
    state: str = ""
    since: float = 0.0
    stage: Literal["away", "opening", "serving"] = "away"
    device: Device | None = None
    lost: bool = False
    tries: int = 0
    retry_at: float = 0.0
    excused_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Roster:
    """All phones of the agent, by name, and the serial numbers of strangers that were named already."""

    phones: Mapping[str, Phone]
    strangers: frozenset[str] = frozenset()
    connected_at: float = field(default=-CONNECT_SECONDS)

    @classmethod
    def of(cls, phones: Iterable[Phone]) -> "Roster":
        """Return the roster of *phones*."""
        return cls(MappingProxyType({phone.name: phone for phone in phones}))


def step(roster: Roster, event: Event, now: float) -> tuple[Roster, tuple[Action, ...]]:
    """Return the roster after *event* at *now* (seconds), and what is to be done, in this order."""
    strangers: tuple[Action, ...] = ()
    if isinstance(event, Seen):
        new = set(event.states) - {phone.udid for phone in roster.phones.values()} - roster.strangers
        strangers = tuple(Ignore(serial) for serial in sorted(new))
        roster = replace(roster, strangers=roster.strangers | new)
    noted = [_noted(phone, event, now) for phone in roster.phones.values()]
    decided = [_decided(phone, now) for phone in noted]
    after = replace(roster, phones=MappingProxyType({phone.name: phone for phone, _ in decided}))
    actions = [*strangers, *(action for _, mine in decided for action in mine)]
    before = {name for name, phone in roster.phones.items() if phone.stage == "serving"}
    serving = {name: phone.device for name, phone in after.phones.items() if phone.stage == "serving"}
    if serving.keys() != before:
        devices = tuple(device for device in serving.values() if device is not None)
        actions.append(Arrive(devices, frozenset(serving.keys() - before)))
    missing = [phone.udid for phone in after.phones.values() if _is_to_be_called(phone)]
    if missing and now - after.connected_at >= CONNECT_SECONDS:
        after = replace(after, connected_at=now)
        actions += [Connect(udid) for udid in missing]
    return after, tuple(actions)


def _noted(phone: Phone, event: Event, now: float) -> Phone:
    """Return *phone* with what *event* tells about it."""
    match event:
        case Seen(states):
            state = states.get(phone.udid, "")
            lost = phone.lost and state not in FAULTS  # a phone that comes back and refuses us is another loss
            return phone if state == phone.state else replace(phone, state=state, since=now, lost=lost)
        case Opened(phone.name, device) if phone.stage == "opening":
            return replace(phone, stage="serving", device=device, lost=False, tries=0)
        case NotOpened(phone.name) if phone.stage == "opening":
            pause = min(FIRST_PAUSE * 2.0**phone.tries, LONGEST_PAUSE)
            return replace(phone, stage="away", tries=phone.tries + 1, retry_at=now + pause)
        case Expected(phone.name, seconds):
            return replace(phone, excused_until=now + seconds)
    return phone


def _decided(phone: Phone, now: float) -> tuple[Phone, list[Action]]:
    """Return *phone* as it is after what is due for it, and what that is."""
    there = phone.state == THERE
    if phone.stage == "away" and there and now >= phone.retry_at:
        return replace(phone, stage="opening"), [Open(phone.name)]
    if phone.stage == "serving" and there:
        return replace(phone, lost=False), []
    if phone.stage != "serving":
        return phone, []
    actions: list[Action] = []
    if not phone.lost:
        how = f"adb says {phone.state}" if phone.state else "it left the bus"
        actions.append(Lose(phone.name, FAULTS.get(phone.state, "F8"), f"{phone.name}: {how}"))
    if now - phone.since >= AWAY_SECONDS and now >= phone.excused_until:
        actions.append(Close(phone.name))
        return replace(phone, stage="away", device=None, lost=False, tries=0), actions
    return replace(phone, lost=True), actions


def _is_to_be_called(phone: Phone) -> bool:
    """Whether adb has to be told where *phone* is: it is on the network, and no worker is there to do that."""
    return phone.stage == "away" and phone.state != THERE and ":" in phone.udid
