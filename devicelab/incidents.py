"""Incidents, many phones of a place failing the same way: when one begins, and when it is over.

Part of the lab's decisions.
"""

import math

from devicelab import events as ev
from devicelab.draft import Draft
from devicelab.faults import Fault
from devicelab.machine import COMMON_SECONDS, INCIDENT_QUIET_SECONDS, State, is_common
from devicelab.requests import OUT, PAUSING
from devicelab.state import Incident, LabState, Phone, shared_fault


def find_incidents(draft: Draft) -> None:
    """Open an incident for every place whose phones fail the same way, as seen after the latest failures."""
    for name, fault in draft.failing:
        phone = draft.state.phones[name]
        by_room = shared_fault(fault) == "F20"
        place = f"room:{phone.room}" if by_room else f"host:{phone.host}"
        there = [
            other.device.name
            for other in draft.state.phones.values()
            if other.present and (other.room == phone.room if by_room else other.host == phone.host)
        ]
        since = draft.now - COMMON_SECONDS
        failing = {one for at, one, what in draft.state.recent if at >= since and what == fault} & set(there)
        usual = draft.state.counts.usual(fault, len(failing), len(there))
        if is_common(len(failing), len(there), usual) and not _is_open(draft, place, shared_fault(fault)):
            number = 1 + max(draft.state.incidents, default=0)
            draft.emit(
                ev.IncidentOpened(number=number, place=place, fault=shared_fault(fault), phones=tuple(sorted(failing)))
            )
    draft.failing = []


def _is_open(draft: Draft, place: str, fault: str) -> bool:
    return any(one.place == place and one.fault == fault for one in draft.state.open_incidents())


def close_incidents(draft: Draft) -> None:
    """Close the incidents that are over: no phone of the place suffers, and the failure was not seen for a while.

    One that keeps a host's phones from work is over as well when all of them have measured the reference since: that
    took the same adb and Appium.
    """
    for incident in list(draft.state.open_incidents()):
        phones = _of(draft.state, incident)
        proven = incident.fault in PAUSING and _is_proven(phones, incident.seen_at)
        if not _is_felt(phones, incident) and (proven or draft.now >= incident.seen_at + INCIDENT_QUIET_SECONDS):
            draft.emit(ev.IncidentClosed(number=incident.number))


def next_close(state: LabState) -> float:
    """Return when time alone closes an incident (seconds since 1970), infinity if it does not.

    What keeps one open beyond that is a phone that suffers, which ends with a command of its own.
    """
    resting = [one for one in state.open_incidents() if not _is_felt(_of(state, one), one)]
    return min((one.seen_at + INCIDENT_QUIET_SECONDS for one in resting), default=math.inf)


def is_excused(draft: Draft, phone: Phone, fault: Fault) -> bool:
    """Whether *phone* failed by *fault* as others did in an incident that is open."""
    places = {f"host:{phone.host}", f"room:{phone.room}"}
    return any(one.place in places and shared_fault(fault.id) == one.fault for one in draft.state.open_incidents())


def _of(state: LabState, incident: Incident) -> list[Phone]:
    """Return the phones of the place."""
    places = ((phone, {f"host:{phone.host}", f"room:{phone.room}"}) for phone in state.phones.values())
    return [phone for phone, mine in places if phone.present and incident.place in mine]


def _is_felt(phones: list[Phone], incident: Incident) -> bool:
    unwell = {State.COOLING, State.SUSPECT, State.RECOVERING}
    return any(phone.state in unwell and shared_fault(phone.fault) == incident.fault for phone in phones)


def _is_proven(phones: list[Phone], since: float) -> bool:
    """Whether all of *phones* that work here have measured the reference *since*."""
    known = [phone.calibration for phone in phones if phone.state not in OUT]
    return bool(known) and all(one is not None and one.measured_at > since for one in known)
