"""Selectors."""

import pytest

from devicelab.device import Device, Platform, Selector
from devicelab.errors import ConfigError

PLATFORM = Platform(product="Moto G6", os_build="Android 9", runtime="r", source="phone")
PHONE = Device(name="ZY1", platform=PLATFORM)


@pytest.mark.parametrize("text", ["ZY1", "zy1", "name=ZY1", "product=moto g6", "product=Moto G6, os_build=Android 9"])
def test_selects(text):
    assert Selector.parse(text).matches(PHONE)


@pytest.mark.parametrize("text", ["ZY2", "product=Pixel", "name=ZY1,product=Pixel"])
def test_does_not_select(text):
    assert not Selector.parse(text).matches(PHONE)


@pytest.mark.parametrize("text", ["colour=red", "name=", "", "a,,b"])
def test_nonsense_is_refused(text):
    with pytest.raises(ConfigError, match="is not KEY=VALUE"):
        Selector.parse(text)


def test_reads_what_it_writes():
    selector = Selector.parse("name=ZY1,product=Moto G6")
    assert Selector.parse(str(selector)) == selector
    assert str(Selector()) == "any device"
