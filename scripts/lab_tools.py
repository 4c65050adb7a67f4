"""Install what a lab of phones runs beside Python into .lab-tools: Appium, its Android driver, adb (make lab-tools).

    python scripts/lab_tools.py

About a minute and 150 MB; nothing happens if it is there already. No Android SDK, no Java, no root.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from devicelab import toolbox  # noqa: E402 - the script runs from a clone that may not be installed
from devicelab.errors import ConfigError  # noqa: E402


def main() -> int:
    """Install what is missing and say what is there."""
    home = toolbox.default_home()
    home.mkdir(parents=True, exist_ok=True)
    try:
        _install_packages(home)
        _link_adb(home)
        box = toolbox.find_toolbox(home)
    except (ConfigError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"lab-tools: {error}\n")
        return 1
    versions = ", ".join(f"{name} {toolbox.installed_version(home, name)}" for name in toolbox.pinned_versions())
    print(f"{home}: {versions}, adb {toolbox.adb_version(box.adb)}, node {box.node}")
    return 0


def _install_packages(home: Path) -> None:
    lock = toolbox.MANIFEST.with_name("package-lock.json")
    stamp = home / "installed-lock.json"
    if stamp.is_file() and stamp.read_bytes() == lock.read_bytes():
        return
    shutil.copy(toolbox.MANIFEST, home)
    shutil.copy(lock, home)
    npm = toolbox.npm_command()
    subprocess.run(
        [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=home, check=True
    )
    shutil.copy(lock, stamp)


def _link_adb(home: Path) -> None:
    source = toolbox.bundled_adb()
    if source is None:
        raise ConfigError("no adb: PyPI adbutils is not installed here; install fer-search[appium]")
    link = home / "sdk" / "platform-tools" / "adb"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(source)


if __name__ == "__main__":
    raise SystemExit(main())
