"""A phone of software never passes for a real one."""

import pytest

from devicelab.android import EMULATOR_PROPERTIES, SIMULATED_PROPERTY
from devicelab.drivers.appium.identity import PROPERTIES, platform_of

REAL = {
    "ro.product.manufacturer": "motorola",
    "ro.product.model": "moto g(6)",
    "ro.build.version.release": "9",
    "ro.build.display.id": "PPSS29.55-37-7-6",
}


def test_a_real_phone():
    platform = platform_of(REAL, "TFLite benchmark app 0123")
    assert (platform.product, platform.os_build, platform.source) == ("Moto G6", "Android 9 PPSS29.55-37-7-6", "phone")
    assert platform.runtime == "TFLite benchmark app 0123"


def test_another_product_keeps_the_name_it_reports():
    assert platform_of({**REAL, "ro.product.model": "moto g(7)"}, "x").product == "motorola moto g(7)"


@pytest.mark.parametrize(
    "mark", [{SIMULATED_PROPERTY: "moto-g6 2"}, *({name: "1"} for name in EMULATOR_PROPERTIES)], ids=str
)
def test_any_sign_of_software_makes_it_simulated(mark):
    platform = platform_of({**REAL, **mark}, "x")
    assert platform.source == "simulated"
    assert "simulated" in platform.os_build
    assert platform != platform_of(REAL, "x")


def test_the_signs_are_always_asked_for():
    assert {SIMULATED_PROPERTY, *EMULATOR_PROPERTIES} <= set(PROPERTIES)


@pytest.mark.parametrize("value", ["", "0"])
def test_an_empty_property_is_no_sign(value):
    assert platform_of({**REAL, "ro.kernel.qemu": value}, "x").source == "phone"
