"""The lab as configuration: ``lab.toml`` read into strict, frozen values.

    # lab.toml: measure with  fer-lab measure model.tflite --lab lab.toml
    [[devices]]
    driver = "simulated"
    name = "moto-g6-1"

    [[devices]]
    driver = "simulated"
    name = "moto-g6-2"
    noise = "noisy"

The numbers of the simulated phone are assumptions, each one a key here; where they come from
stands beside them.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from devicelab.device import Value
from devicelab.errors import ConfigError
from devicelab.faults import FAULTS
from devicelab.policy import Policy, Rules

NoiseName = Literal["silent", "quiet", "noisy", "bad"]


class SimulatedPhone(Value):
    """A simulated Moto G6. The same ``seed`` and ``name`` always make the same phone.

    ``factor_sd`` is the spread between phones of one product (relative standard deviation),
    ``ambient_c`` the room's temperature in Celsius, ``battery_percent`` the charge it starts with.
    ``tells_clock`` says whether the frequency it is capped to can be read. Each operation fails with the chance
    ``fault_rate``, by one of the faults of ``devicelab.simulation.injector`` in the proportion of ``fault_weights``
    (by fault, ``{"F9" = 2.0, "F25" = 1.0}``; empty means that module's).
    """

    driver: Literal["simulated"] = "simulated"
    name: Annotated[str, Field(min_length=1)]
    host: str = "local"
    room: str = "local"
    seed: Annotated[int, Field(ge=0)] = 0
    noise: NoiseName = "quiet"
    factor_sd: Annotated[float, Field(ge=0, le=0.2)] = 0.02
    ambient_c: Annotated[float, Field(ge=-20, le=60)] = 24.0
    battery_percent: Annotated[float, Field(ge=0, le=100)] = 60.0
    tells_clock: bool = True
    fault_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    fault_weights: dict[str, Annotated[float, Field(ge=0)]] = {}

    @model_validator(mode="after")
    def _faults_are_known(self) -> Self:
        unknown = sorted(set(self.fault_weights) - set(FAULTS))
        if unknown:
            raise ValueError(f"fault_weights: no fault is named {unknown[0]!r}")
        return self


class AppiumPhone(Value):
    """A phone behind adb, measured through Appium: on a cable, or one of software (``fer-lab emulate``).

    ``udid`` is what ``adb devices`` calls it: a serial number, or HOST:PORT. ``adb_port`` is the port of adb's
    server on this host, ``system_port`` the phone's own port for Appium; both are this host's, 0 picks
    8200 plus the phone's place in the list. ``route`` chooses the official benchmark app or the native binary, and
    ``cpus`` pins the latter to cores (hex mask for ``taskset``; "" for none). ``reference_ms`` is the calibrated
    time of the reference network; by default what the roofline predicts. ``settle_seconds`` is how long the
    phone is left alone after a restart. Whether it is real is never configured: the phone tells.
    """

    driver: Literal["appium"]
    name: Annotated[str, Field(min_length=1)]
    host: str = "local"
    room: str = "local"
    udid: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$")]
    adb_port: Annotated[int, Field(ge=1024, le=65535)] = 5037
    system_port: Annotated[int, Field(ge=0, le=65535)] = 0
    route: Literal["app", "native"] = "app"
    cpus: Annotated[str, Field(pattern=r"^[0-9a-f]{0,4}$")] = "f0"
    reference_ms: Annotated[float, Field(gt=0)] | None = None
    settle_seconds: Annotated[float, Field(ge=0, le=600)] = 60.0


def _kind(value: object) -> str:
    """Return the driver that a table of lab.toml names, or that a value has."""
    named = value.get("driver", "simulated") if isinstance(value, dict) else getattr(value, "driver", "")
    return str(named)


PhoneConfig = Annotated[
    Annotated[SimulatedPhone, Tag("simulated")] | Annotated[AppiumPhone, Tag("appium")], Discriminator(_kind)
]


Seconds = Annotated[float, Field(gt=0)]


class ScheduleSection(Value):
    """Who gets phones first; see ``devicelab.scheduling.Rules``. ``weights`` are the shares of searches by name."""

    aging_seconds: Seconds = 1800.0
    reserve_per: Annotated[int, Field(ge=0)] = 8
    reserve_seconds: Annotated[float, Field(ge=0)] = 600.0
    usual_seconds: Seconds = 8.0
    other_phone_seconds: Annotated[float, Field(ge=0)] = 15.0
    weights: dict[str, Seconds] = {}


class LabConfig(Value):
    """A lab: its phones, its schedule, and its leases.

    ``devices = []`` is a lab whose phones all hang on other hosts (``fer-lab agent``).
    A lease lives ``lease_seconds`` beyond its holder's last heartbeat, one every ``heartbeat_seconds``. ``tokens`` is
    the file of the service's tokens. A request waits ``patience_seconds`` for a lab in which no
    phone works. ``wait_for_operator``: requests whose phones all wait for a person wait too.
    """

    devices: tuple[PhoneConfig, ...]
    lease_seconds: Seconds = 30.0
    heartbeat_seconds: Seconds = 10.0
    reference_blocks: Annotated[int, Field(ge=1)] = 20
    reference_seconds: Seconds = 1800.0
    patience_seconds: Seconds = 7200.0
    wait_for_operator: bool = False
    schedule: ScheduleSection = ScheduleSection()
    tokens: Path | None = None

    @property
    def policy(self) -> Policy:
        """The rules of the coordinator."""
        schedule = self.schedule.model_dump(exclude={"weights"})
        own = self.model_dump(exclude={"devices", "schedule", "tokens"})
        return Policy(schedule=Rules(**schedule), weights=self.schedule.weights, **own)

    @model_validator(mode="after")
    def _heartbeats_keep_leases(self) -> Self:
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError("heartbeat_seconds must be at most half of lease_seconds: one may be late")
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [device.name for device in self.devices]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two devices are named {twice[0]!r}")
        return self

    @model_validator(mode="after")
    def _phones_share_no_port(self) -> Self:
        for key in ("udid", "system_port"):
            values = [getattr(phone, key) for phone in self.devices if isinstance(phone, AppiumPhone)]
            twice = sorted({value for value in values if value and values.count(value) > 1})
            if twice:
                raise ValueError(f"two devices have {key} = {twice[0]!r}")
        return self

    @classmethod
    def simulated(cls, devices: int = 2, seed: int = 0) -> "LabConfig":
        """Return a lab of *devices* simulated Moto G6, each with a character of its own drawn from *seed*.

        Raises:
            ConfigError: *devices* is below 1 or *seed* below 0.
        """
        if devices < 1:
            raise ConfigError(f"simulated lab: devices must be 1 or more, not {devices}")
        names = [f"moto-g6-{number}" for number in range(1, devices + 1)]
        try:
            return cls(devices=tuple(SimulatedPhone(name=name, seed=seed) for name in names))
        except ValidationError as error:
            raise ConfigError(f"simulated lab: {_first_reason(error)}") from None

    @classmethod
    def load(cls, path: Path) -> "LabConfig":
        """Read the lab.toml at *path*.

        Raises:
            ConfigError: the file is missing, is not TOML, or has a key or value that cannot be right.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from None
        except ValidationError as error:
            raise ConfigError(f"{path}: {_first_reason(error)}") from None


def _first_reason(error: ValidationError) -> str:
    """Return "key: reason" of the first thing wrong, in one line."""
    first = error.errors(include_url=False)[0]
    tags = {"simulated", "appium"}  # pydantic puts the kind of a device between its number and the key
    key = ".".join(str(part) for part in first["loc"] if part not in tags)
    reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    return f"{key}: {reason}" if key else reason
