"""Who a phone is: its facts, read once through adb, and whether it is a phone at all."""

import re

from devicelab.android import BENCHMARK_PACKAGE, EMULATOR_PROPERTIES, NATIVE_BENCHMARK, SIMULATED_PROPERTY
from devicelab.config import AppiumPhone
from devicelab.device import Platform
from devicelab.drivers.appium.adb import Adb, AdbError

PROPERTIES = (
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.build.version.release",
    "ro.build.display.id",
    SIMULATED_PROPERTY,
    *EMULATOR_PROPERTIES,
)
PRODUCTS = {"moto g(6)": "Moto G6"}
"""Names that people use for the model names that phones report."""


def read_platform(adb: Adb, phone: AppiumPhone) -> Platform:
    """Return what latencies of *phone* belong to.

    ``source`` is derived, never configured: whatever reports a property of ours or of Google's emulator is
    ``simulated``, and only what reports none of them is a ``phone``.

    Raises:
        AdbError, subprocess.TimeoutExpired: the phone does not answer, or lacks the benchmark of its route.
    """
    answer = adb.on(phone.udid, "shell", "; ".join(f"getprop {name}" for name in PROPERTIES))
    said = dict(zip(PROPERTIES, (line.strip() for line in answer.splitlines()), strict=False))
    if not said.get("ro.product.model"):
        raise AdbError(f"{phone.udid} does not tell what it is: {answer.strip()!r}")
    return platform_of(said, _runtime(adb, phone))


def platform_of(said: dict[str, str], runtime: str) -> Platform:
    """Return the platform of a phone whose properties are *said* and which measures with *runtime*."""
    model = said["ro.product.model"]
    build = f"Android {said.get('ro.build.version.release')} {said.get('ro.build.display.id', '')}".strip()
    physics = said.get(SIMULATED_PROPERTY, "")
    emulated = bool(physics) or any(said.get(name) == "1" for name in EMULATOR_PROPERTIES)
    return Platform(
        product=PRODUCTS.get(model, f"{said.get('ro.product.manufacturer', '')} {model}".strip()),
        os_build=f"{build}, simulated {physics or 'by an emulator'}" if emulated else build,
        runtime=runtime,
        source="simulated" if emulated else "phone",
    )


def _runtime(adb: Adb, phone: AppiumPhone) -> str:
    """Return the benchmark's name with the beginning of its file's sha256: builds call themselves alike."""
    if phone.route == "native":
        digest = _sha256(adb, phone.udid, NATIVE_BENCHMARK)
        return f"TFLite benchmark_model {digest}, CPUs {phone.cpus or 'any'}, by Appium"
    path = adb.on(phone.udid, "shell", f"pm path {BENCHMARK_PACKAGE}; true").strip().removeprefix("package:")
    if not path:
        raise AdbError(f"{phone.udid}: the benchmark app is not installed; docs/real-phones.md tells how")
    return f"TFLite benchmark app {_sha256(adb, phone.udid, path)}, by Appium"


def _sha256(adb: Adb, udid: str, path: str) -> str:
    answer = adb.on(udid, "shell", f"sha256sum {path}")
    found = re.match(r"([0-9a-f]{64})\s", answer)
    if found is None:
        raise AdbError(f"{udid}: no {path}: {answer.strip()}; docs/real-phones.md tells where it comes from")
    return found[1][:12]
