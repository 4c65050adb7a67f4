"""The roster: what follows from what an agent sees, as a fold; time is a number."""

import pytest

from devicelab.agent import roster as ro
from devicelab.device import Device, Platform

PLATFORM = Platform(product="Moto G6", os_build="Android 9", runtime="TFLite", source="phone")
A, B = (Device(name=name, platform=PLATFORM) for name in "ab")
NEAR, FAR = "ZY1", "10.0.0.5:5555"


class Watch:
    """A roster and what was to be done since it was last asked."""

    def __init__(self):
        self.roster = ro.Roster.of([ro.Phone("a", NEAR), ro.Phone("b", FAR)])
        self.now = 100.0

    def see(self, event, after=0.0):
        self.now += after
        self.roster, actions = ro.step(self.roster, event, self.now)
        return list(actions)

    def seen(self, after=0.0, **states):
        names = {"a": NEAR, "b": FAR}
        return self.see(ro.Seen({names.get(name, name): state for name, state in states.items()}), after)


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def both(watch):
    """Two phones at work."""
    watch.seen(a="device", b="device")
    watch.see(ro.Opened("a", A))
    watch.see(ro.Opened("b", B))
    return watch


def test_a_phone_on_the_bus_is_opened_and_then_brought_to_the_lab(watch):
    assert watch.seen(a="device", b="device") == [ro.Open("a"), ro.Open("b")]
    assert watch.see(ro.Passed(), after=60) == []
    assert watch.see(ro.Opened("b", B)) == [ro.Arrive((B,), frozenset("b"))]
    assert watch.see(ro.Opened("a", A)) == [ro.Arrive((A, B), frozenset("a"))]
    assert watch.see(ro.Passed(), after=60) == []


def test_a_short_drop_is_told_and_the_worker_stays(both):
    assert both.seen(a="offline", b="device") == [ro.Lose("a", "F8", "a: adb says offline")]
    assert both.seen(b="device", after=0.5) == []
    assert both.seen(a="device", b="device", after=0.5) == []
    assert both.seen(b="device") == [ro.Lose("a", "F8", "a: it left the bus")]


def test_an_unplugged_phone_is_closed_and_opened_anew_when_it_is_back(both):
    both.seen(b="device")
    assert both.see(ro.Passed(), after=ro.AWAY_SECONDS - 0.1) == []
    assert both.see(ro.Passed(), after=0.2) == [ro.Close("a"), ro.Arrive((B,))]
    assert both.see(ro.Passed(), after=3600) == []
    assert both.seen(a="device", b="device") == [ro.Open("a")]
    assert both.see(ro.Opened("a", A)) == [ro.Arrive((A, B), frozenset("a"))]


def test_a_phone_that_is_restarted_may_be_away(both):
    both.see(ro.Expected("a", 300.0))
    both.seen(b="device", after=1)
    assert both.see(ro.Passed(), after=250) == []
    assert both.see(ro.Passed(), after=50) == [ro.Close("a"), ro.Arrive((B,))]


def test_what_does_not_open_is_tried_again_ever_more_rarely(watch):
    watch.seen(a="device")
    pauses = []
    for _ in range(9):
        watch.see(ro.NotOpened("a"))
        began = watch.now
        while ro.Open("a") not in watch.see(ro.Passed(), after=0.5):
            pass
        pauses.append(watch.now - began)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert watch.see(ro.Opened("a", A)) == [ro.Arrive((A,), frozenset("a"))]


def test_a_phone_that_refuses_this_computer_needs_a_hand(both):
    assert both.seen(a="unauthorized", b="device") == [ro.Lose("a", "F10", "a: adb says unauthorized")]


def test_a_phone_that_comes_back_and_refuses_this_computer_is_told_once_more(both):
    assert both.seen(b="device") == [ro.Lose("a", "F8", "a: it left the bus")]
    assert both.seen(a="unauthorized", b="device") == [ro.Lose("a", "F10", "a: adb says unauthorized")]
    assert both.see(ro.Passed(), after=0.5) == []
    assert both.seen(a="device", b="device") == []


def test_strangers_are_named_once_and_left_alone(watch):
    assert watch.seen(ZY9="device") == [ro.Ignore("ZY9"), ro.Connect(FAR)]
    assert watch.seen(ZY9="offline", ZY8="device") == [ro.Ignore("ZY8")]
    assert watch.seen(ZY9="device", ZY8="device") == []


def test_a_phone_on_the_network_is_called_while_no_worker_is_there_to_do_it(watch):
    assert watch.seen() == [ro.Connect(FAR)]
    assert watch.see(ro.Passed(), after=0.5) == []
    assert watch.see(ro.Passed(), after=0.5) == [ro.Connect(FAR)]
    watch.seen(b="device")
    watch.see(ro.Opened("b", B))
    assert watch.seen(after=2) == [ro.Lose("b", "F8", "b: it left the bus")]


def test_a_phone_that_leaves_while_its_worker_opens_is_lost_when_that_is_done(watch):
    watch.seen(a="device")
    assert watch.seen(b="device") == [ro.Open("b")]
    lost = ro.Lose("a", "F8", "a: it left the bus")
    assert watch.see(ro.Opened("a", A), after=1) == [lost, ro.Arrive((A,), frozenset("a"))]
    assert watch.see(ro.Passed(), after=ro.AWAY_SECONDS) == [ro.Close("a"), ro.Arrive(())]
