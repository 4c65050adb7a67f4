"""Phones as values: what a device is, how it feels, and which devices would do."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from devicelab.errors import ConfigError

Source = Literal["phone", "simulated"]
"""Who produced a number: a real phone, or the arithmetic of ``drivers/simulator.py``."""


class Value(BaseModel):
    """Base of this room's values: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Platform(Value):
    """What a latency belongs to: phones of one platform are interchangeable, others are not."""

    product: str
    os_build: str
    runtime: str
    source: Source


class Device(Value):
    """The facts of one phone. ``name`` is unique in its lab (a real phone's serial number)."""

    name: str
    platform: Platform


class Health(Value):
    """How a phone is now.

    ``temperature_c`` is the battery's, in degrees Celsius (what ``dumpsys battery`` shows on an
    unrooted phone), ``battery_percent`` its charge, ``frequency_mhz`` the highest CPU clock that
    the phone allows itself at the moment and ``nominal_mhz`` the highest it has.
    """

    temperature_c: float
    battery_percent: Annotated[float, Field(ge=0, le=100)]
    frequency_mhz: float
    nominal_mhz: float


class Selector(Value):
    """Which devices would do: every field that is set must match, without regard to case."""

    name: str | None = None
    product: str | None = None
    os_build: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read ``"product=Moto G6,name=moto-g6-1"``; text without ``=`` is a device's name.

        Raises:
            ConfigError: an unknown key, or a key without a value.
        """
        fields: dict[str, str] = {}
        for part in text.split(","):
            key, separator, value = (piece.strip() for piece in part.partition("="))
            if not separator:
                key, value = "name", key
            if key not in cls.model_fields or not value:
                known = ", ".join(cls.model_fields)
                raise ConfigError(f"selector {text!r}: {part.strip()!r} is not KEY=VALUE with KEY one of {known}")
            fields[key] = value
        return cls(**fields)

    def matches(self, device: Device) -> bool:
        """Whether *device* would do."""
        wanted = [
            (self.name, device.name),
            (self.product, device.platform.product),
            (self.os_build, device.platform.os_build),
        ]
        return all(want is None or want.casefold() == have.casefold() for want, have in wanted)

    def __str__(self) -> str:
        """Return the text that :meth:`parse` reads, or ``any device``."""
        return ",".join(f"{key}={value}" for key, value in self if value is not None) or "any device"
