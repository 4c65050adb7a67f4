"""No file of the project names a package registry; time is an argument, never read from the wall clock."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REGISTRIES = re.compile(r"(files\.python" + r"hosted|pypi\.org|registry\.npm" + r"js|deb\.debian)\b")
SOURCES = sorted(
    path for room in ("cluster", "devicelab", "fer_core", "search") for path in (ROOT / room).rglob("*.py")
)
CLOCKS = re.compile(r"\b(time\.sleep|time\.time\(|datetime\.now)")
MAY_READ_THE_CLOCK = {
    "cluster/launch.py",  # waits for processes of the operating system
    "fer_core/child.py",  # the same: watches whether its parent lives
    "devicelab/protocols.py",  # the real Clock
    "search/ledger.py",  # the default of its clock argument
    "search/turns.py",  # the default of its sleep argument: waits for processes of the operating system
}


def tracked_files():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listing.stdout.splitlines()]


def test_no_file_names_a_registry():
    texts = {path: path.read_bytes().decode(errors="ignore") for path in tracked_files() if path.is_file()}
    assert [str(path) for path, text in texts.items() if REGISTRIES.search(text)] == []


@pytest.mark.parametrize("path", [p for p in SOURCES if str(p.relative_to(ROOT)) not in MAY_READ_THE_CLOCK], ids=str)
def test_time_is_an_argument(path):
    assert CLOCKS.findall(path.read_text(encoding="utf-8")) == []
