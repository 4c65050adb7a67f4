"""What ``getprop`` of a Moto G6 says on Android 8.0 and 9.

From public sources: the fingerprints (props list of MagiskHide; Motorola's build names), model, names and SKU
(device trees of ``motorola/ali``, phhusson's overlays), platform msm8953 (SDM450). No complete stock ``getprop`` was
found in public: the keys of ``UNVERIFIED`` are what such a phone is believed to say, and the first day with a real one
replaces them (docs/real-phones.md).
"""

from types import MappingProxyType
from typing import Literal

from devicelab.android import EMULATOR_PROPERTIES, SIMULATED_PROPERTY

Android = Literal["8.0", "9"]
SDK: MappingProxyType[Android, int] = MappingProxyType({"8.0": 26, "9": 28})
SIMULATED_VALUE = "emulator-1"
"""Raise the number when the emulated phone's arithmetic or texts change: it becomes part of the platform."""

_BUILDS: MappingProxyType[Android, dict[str, str]] = MappingProxyType(
    {
        "8.0": {
            "ro.build.version.release": "8.0.0",
            "ro.build.id": "OPS27.82-87",
            "ro.build.version.incremental": "108",
            "ro.build.version.security_patch": "2018-08-01",
            "ro.build.fingerprint": "motorola/ali/ali:8.0.0/OPS27.82-87/108:user/release-keys",
        },
        "9": {
            "ro.build.version.release": "9",
            "ro.build.id": "PPSS29.55-37-7-6",
            "ro.build.version.incremental": "16c5a7",
            "ro.build.version.security_patch": "2020-02-01",
            "ro.build.fingerprint": "motorola/ali/ali:9/PPSS29.55-37-7-6/16c5a7:user/release-keys",
        },
    }
)

_COMMON = {
    "ro.product.brand": "motorola",
    "ro.product.manufacturer": "motorola",
    "ro.product.model": "moto g(6)",
    "ro.product.name": "ali",
    "ro.product.device": "ali",
    "ro.product.board": "msm8953",
    "ro.board.platform": "msm8953",
    "ro.boot.hardware.sku": "XT1925-5",
    "ro.hardware": "qcom",
    "ro.product.cpu.abi": "armeabi-v7a",
    "ro.product.cpu.abilist": "armeabi-v7a,armeabi",
    "ro.product.cpu.abilist32": "armeabi-v7a,armeabi",
    "ro.product.cpu.abilist64": "",
    "ro.build.version.codename": "REL",
    "ro.build.type": "user",
    "ro.build.tags": "release-keys",
    "ro.build.characteristics": "default",
    "ro.debuggable": "0",
    "ro.secure": "1",
    "ro.adb.secure": "1",
    "ro.sf.lcd_density": "400",
    "ro.crypto.state": "encrypted",
    "init.svc.bootanim": "stopped",
    "init.svc.adbd": "running",
    "dev.bootcomplete": "1",
    "sys.boot_completed": "1",
    "sys.usb.state": "adb",
    "persist.sys.locale": "en-US",
    "persist.sys.timezone": "Etc/UTC",
}

UNVERIFIED = (
    "ro.product.cpu.abi",
    "ro.product.cpu.abilist",
    "ro.product.cpu.abilist32",
    "ro.product.cpu.abilist64",
    "ro.build.version.security_patch",
    "ro.sf.lcd_density",
    "ro.build.characteristics",
    "ro.crypto.state",
    "ro.boot.bootreason",
)
"""Believed, not seen in a public dump of the stock system."""


def properties(android: Android, serial: str) -> dict[str, str]:
    """Return the properties of the phone *serial*, with those by which everybody knows that it is not real."""
    build = _BUILDS[android]
    return {
        **_COMMON,
        **build,
        "ro.build.version.sdk": str(SDK[android]),
        "ro.build.display.id": build["ro.build.id"],
        "ro.serialno": serial,
        "ro.boot.serialno": serial,
        "ro.boot.bootreason": "reboot",
        SIMULATED_PROPERTY: SIMULATED_VALUE,
        **dict.fromkeys(EMULATOR_PROPERTIES, "1"),
    }
