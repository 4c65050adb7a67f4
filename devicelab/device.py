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


BatteryHealth = Literal["good", "overheat", "dead", "over_voltage", "failure", "cold", "unknown"]
"""Android's ``BatteryManager.BATTERY_HEALTH_*``, 2 to 7 and 1 in this order; ``unknown`` also: it does not tell."""


class Health(Value):
    """How a phone is now. ``None``, ``"unknown"`` and ``""`` say that the phone does not tell.

    ``temperature_c`` is the battery's, in degrees Celsius (what ``dumpsys battery`` shows on an
    unrooted phone), ``battery_percent`` its charge, ``charging`` whether that rises or is kept by a cable.
    ``frequency_mhz`` is the highest CPU clock that the phone allows itself at the moment, ``nominal_mhz``
    the highest it has. ``load1`` is the load average of the last minute, ``free_mb`` the space left
    where models are put, ``uptime_s`` the seconds since the phone started and ``boot_id`` the
    kernel's name for that start: either shows a phone that restarted behind our back. ``covered_by`` is what lies
    over the apps: the lock screen, an update's window.
    """

    temperature_c: float
    battery_percent: Annotated[float, Field(ge=0, le=100)]
    frequency_mhz: float | None
    nominal_mhz: float
    charging: bool | None = None
    battery_health: BatteryHealth = "unknown"
    screen_on: bool | None = None
    covered_by: str = ""
    load1: float | None = None
    free_mb: float | None = None
    uptime_s: float | None = None
    boot_id: str = ""


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
