"""When an incident is over: by the clock, or as soon as the host's phones have shown that it works again."""

import math

import pytest

from devicelab.device import Device, Platform
from devicelab.draft import Draft
from devicelab.fold import Fold
from devicelab.incidents import close_incidents, next_close
from devicelab.machine import INCIDENT_QUIET_SECONDS, State
from devicelab.normalisation import calibrated
from devicelab.policy import Policy
from devicelab.state import Incident, LabState, Phone

SEEN_AT = 1000.0
PLATFORM = Platform(product="Moto G6", os_build="9", runtime="TFLite", source="simulated")


def lab(fault="F23", place="host:shelf", measured_at=(SEEN_AT - 50, SEEN_AT - 50)):
    phones = {
        name: Phone(
            device=Device(name=name, platform=PLATFORM),
            host="shelf",
            room="cellar",
            state=State.READY,
            fault=fault,
            calibration=calibrated(None, 1.0, 0.001, at),
        )
        for name, at in zip("ab", measured_at, strict=True)
    }
    incident = Incident(1, place, fault, ("a", "b"), SEEN_AT, SEEN_AT)
    return LabState(phones=phones, incidents={1: incident})


def is_closed(state, seconds):
    draft = Draft(Fold(state, {}, Policy().schedule), Policy(), SEEN_AT + seconds, lambda _: None)
    close_incidents(draft)
    return not list(state.open_incidents())


def test_time_closes_it_and_says_when_that_will_be():
    state = lab()
    due = next_close(state) - SEEN_AT
    assert due == INCIDENT_QUIET_SECONDS
    assert not is_closed(state, due - 1)
    assert is_closed(state, due)
    assert next_close(state) == math.inf


def test_a_phone_that_suffers_keeps_it_open_and_time_does_not_matter():
    state = lab()
    state.phones["a"].state = State.SUSPECT
    assert next_close(state) == math.inf
    assert not is_closed(state, 10 * INCIDENT_QUIET_SECONDS)


def test_a_host_whose_phones_have_all_measured_the_reference_since_works():
    assert is_closed(lab(measured_at=(SEEN_AT + 5, SEEN_AT + 6)), 7)
    assert not is_closed(lab(measured_at=(SEEN_AT + 5, SEEN_AT - 6)), 7)


def test_a_phone_that_is_out_proves_nothing_and_is_not_waited_for():
    state = lab(measured_at=(SEEN_AT + 5, SEEN_AT - 6))
    state.phones["b"].state = State.QUARANTINED
    assert is_closed(state, 7)
    state = lab()
    for phone in state.phones.values():
        phone.state = State.QUARANTINED
    assert not is_closed(state, 7)


@pytest.mark.parametrize("fault", ["F20", "F8"])
def test_what_keeps_no_phone_from_work_takes_its_time(fault):
    assert not is_closed(lab(fault, measured_at=(SEEN_AT + 5, SEEN_AT + 6)), 7)


def test_phones_elsewhere_do_not_count():
    assert not is_closed(lab(place="host:other", measured_at=(SEEN_AT + 5, SEEN_AT + 6)), 7)
