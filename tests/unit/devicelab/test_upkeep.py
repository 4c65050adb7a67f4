"""What a phone is sent to that is not fit after its duty, and does not get fit by waiting."""

from dataclasses import replace

import pytest

from devicelab.commands import Done, Lost
from devicelab.device import Device, Health, Platform
from devicelab.draft import Draft
from devicelab.fold import Fold
from devicelab.machine import State
from devicelab.policy import Policy
from devicelab.state import LabState, Phone
from devicelab.upkeep import done, lost

PLATFORM = Platform(product="Moto G6", os_build="9", runtime="TFLite", source="simulated")
FIT = Health(temperature_c=28, battery_percent=80, frequency_mhz=1804.8, nominal_mhz=1804.8, battery_health="good")
COVERED = FIT.model_copy(update={"screen_on": True, "covered_by": "com.motorola.ccc.ota/.ui.DownloadActivity"})
FULL = FIT.model_copy(update={"free_mb": 1.0})
SWOLLEN = FIT.model_copy(update={"battery_health": "over_voltage"})


class Shelf:
    """One phone in a lab, and what it is told to do."""

    def __init__(self):
        self.phone = Phone(device=Device(name="a", platform=PLATFORM), host="shelf", room="cellar")
        self.state = LabState(phones={"a": self.phone})
        self.draft = Draft(Fold(self.state, {}, Policy().schedule), Policy(), 1000.0, lambda _: None)
        self.phone.state = State.CLEANUP
        self.draft.grant(self.phone, "clean")

    def told(self, health):
        """Let the duty that is under way be done on a phone of this *health*."""
        done(self.draft, self.phone, Done("a", self.phone.token, health))
        return self.phone.state


@pytest.mark.parametrize(("health", "fault", "first"), [(COVERED, "F22", 1), (FULL, "F17", 3)])
def test_what_a_step_of_recovery_does_not_end_is_met_by_the_next_until_a_hand_is_needed(health, fault, first):
    shelf = Shelf()
    assert shelf.told(health) is State.RECOVERING
    rungs = []
    while shelf.phone.state is State.RECOVERING:
        assert shelf.phone.fault == fault
        rungs.append(shelf.phone.rung)
        assert shelf.told(health) is State.CALIBRATING
        shelf.told(health)
    assert rungs == list(range(first, 6))
    assert shelf.phone.state is State.QUARANTINED


def test_what_a_step_of_recovery_ended_is_over_once_the_phone_is_calibrated():
    shelf = Shelf()
    assert shelf.told(COVERED) is State.RECOVERING
    assert shelf.told(FIT) is State.CALIBRATING
    done(shelf.draft, shelf.phone, replace(Done("a", shelf.phone.token, FIT), factor=1.0, error=0.001))
    assert (shelf.phone.state, shelf.phone.rung) == (State.READY, 0)


def test_a_battery_that_only_a_hand_can_change_is_not_climbed_for():
    shelf = Shelf()
    assert shelf.told(SWOLLEN) is State.QUARANTINED


def test_a_phone_that_is_looked_for_and_refuses_this_computer_needs_a_hand_at_once():
    shelf = Shelf()
    lost(shelf.draft, shelf.phone, Lost("a", "F8", "a: it left the bus"))
    assert (shelf.phone.state, shelf.phone.rung) == (State.RECOVERING, 2)
    lost(shelf.draft, shelf.phone, Lost("a", "F8", "a: it left the bus"))
    assert shelf.phone.state is State.RECOVERING
    lost(shelf.draft, shelf.phone, Lost("a", "F10", "a: adb says unauthorized"))
    assert shelf.phone.state is State.QUARANTINED
    lost(shelf.draft, shelf.phone, Lost("a", "F10", "a: adb says unauthorized"))
    assert shelf.phone.state is State.QUARANTINED
