"""The choice of a phone."""

from hypothesis import given
from hypothesis import strategies as st

from devicelab.device import Device, Health, Platform, Selector
from devicelab.lease import DeviceStatus, Lease, allocate

PLATFORM = Platform(product="Moto G6", os_build="9", runtime="r", source="simulated")


def status(name="a", temperature=25.0, product="Moto G6", *, leased=False):
    lease = Lease(token=1, device=name, holder="h", granted_at=0, expires_at=10) if leased else None
    device = Device(name=name, platform=PLATFORM.model_copy(update={"product": product}))
    health = Health(temperature_c=temperature, battery_percent=50, frequency_mhz=1, nominal_mhz=1)
    return DeviceStatus(device=device, health=health, lease=lease)


def test_the_coolest_idle_phone_that_would_do():
    devices = [status("a", 30), status("b", 20, leased=True), status("c", 21, "Pixel"), status("d", 25)]
    chosen = allocate(devices, Selector(product="moto g6"), {})
    assert chosen is not None
    assert chosen.name == "d"


def test_a_phone_that_was_not_used_yet_comes_before_a_cooler_one():
    chosen = allocate([status("a", 20), status("b", 30)], Selector(), {"a": 1})
    assert chosen is not None
    assert chosen.name == "b"


def test_nothing_to_give():
    assert allocate([], Selector(), {}) is None
    assert allocate([status(leased=True)], Selector(), {}) is None
    assert allocate([status()], Selector(name="other"), {}) is None


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=6), st.randoms())
def test_the_choice_does_not_depend_on_the_order(phones, random):
    devices = [status(f"p{i}", temperature, leased=leased) for i, (temperature, leased) in enumerate(phones)]
    chosen = allocate(devices, Selector(), {})
    assert chosen == allocate(random.sample(devices, len(devices)), Selector(), {})
    assert (chosen is None) == all(leased for _, leased in phones)


def test_a_lease_ends_at_its_time():
    lease = Lease(token=1, device="a", holder="h", granted_at=0, expires_at=10)
    assert lease.holds_at(9.99)
    assert not lease.holds_at(10)
