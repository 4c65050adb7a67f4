"""Incidents, many phones of a place failing the same way: when one begins, and when it is over.

Part of the lab's decisions.
"""

from devicelab import events as ev
from devicelab.draft import Draft
from devicelab.faults import Fault
from devicelab.machine import COMMON_SECONDS, INCIDENT_QUIET_SECONDS, State, is_common
from devicelab.requests import OUT, PAUSING
from devicelab.state import Incident, Phone, shared_fault


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
        if _is_over(incident, [phone for phone in draft.state.phones.values() if _is_in(phone, incident)], draft.now):
            draft.emit(ev.IncidentClosed(number=incident.number))


def is_excused(draft: Draft, phone: Phone, fault: Fault) -> bool:
    """Whether *phone* failed by *fault* as others did in an incident that is open."""
    places = {f"host:{phone.host}", f"room:{phone.room}"}
    return any(one.place in places and shared_fault(fault.id) == one.fault for one in draft.state.open_incidents())


def _is_over(incident: Incident, phones: list[Phone], now: float) -> bool:
    if any(_suffers(phone, incident) for phone in phones):
        return False
    fit = [phone.calibration for phone in phones if phone.state not in OUT]
    proven = fit and all(one is not None and one.measured_at > incident.seen_at for one in fit)
    return (incident.fault in PAUSING and bool(proven)) or now - incident.seen_at >= INCIDENT_QUIET_SECONDS


def _is_in(phone: Phone, incident: Incident) -> bool:
    return phone.present and incident.place in {f"host:{phone.host}", f"room:{phone.room}"}


def _suffers(phone: Phone, incident: Incident) -> bool:
    unwell = phone.state in {State.COOLING, State.SUSPECT, State.RECOVERING}
    return unwell and shared_fault(phone.fault) == incident.fault
