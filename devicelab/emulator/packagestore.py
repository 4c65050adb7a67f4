"""The apps that are installed on the phone."""

from dataclasses import dataclass

import numpy as np

from devicelab.android import BENCHMARK_PACKAGE
from devicelab.emulator.apk import ApkInfo, read_apk
from devicelab.emulator.filesystem import FileSystem

BENCHMARK_APP = ApkInfo(BENCHMARK_PACKAGE, 1, "1.0", ("android.permission.READ_EXTERNAL_STORAGE",))
"""The official benchmark app. Its APK cannot be had here, so an emulated phone comes with it (or without, to order)."""


@dataclass(frozen=True, slots=True)
class Package:
    """An installed app and the path of its APK."""

    info: ApkInfo
    path: str


class PackageStore:
    """Installed apps by package name; their APKs lie in *files*."""

    def __init__(self, files: FileSystem, rng: np.random.Generator) -> None:
        self._files = files
        self._rng = rng
        self.installed: dict[str, Package] = {}

    def install(self, apk: bytes) -> Package:
        """Install *apk*, over an older version if there is one.

        Raises:
            ApkError: it is no APK.
            StorageFullError: there is no room.
        """
        return self._add(read_apk(apk), apk)

    def preinstall(self, info: ApkInfo) -> Package:
        """Have an app without its APK."""
        return self._add(info, b"")

    def remove(self, package: str) -> bool:
        """Remove *package*; return whether it was there."""
        found = self.installed.pop(package, None)
        if found:
            self._files.remove(found.path.rsplit("/", 1)[0])
        return found is not None

    def _add(self, info: ApkInfo, apk: bytes) -> Package:
        path = f"/data/app/{info.package}-{self._rng.bytes(8).hex()}/base.apk"
        self._files.write(path, apk)
        self.remove(info.package)
        self.installed[info.package] = Package(info, path)
        return self.installed[info.package]
