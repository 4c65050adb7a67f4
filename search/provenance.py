"""Where a number comes from: digests of code, the commit, versions of the libraries that computed it."""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
"""The folder that holds the four rooms: a clone's root, or site-packages."""

LIBRARIES = ("torch", "timm", "onnx2tf", "tensorflow", "ai-edge-litert", "numpy")
"""What trained weights, converted files and scores depend on beside our own code."""


@cache
def code_digest(*rooms: str) -> str:
    """Return the hex SHA-256 of the Python sources of *rooms*: the version of a stage's code.

    Coarse on purpose: any change to a room makes its stages compute again, and none can be forgotten.
    """
    digest = hashlib.sha256()
    for room in rooms:
        for path in sorted((HOME / room).rglob("*.py")):
            digest.update(f"{path.relative_to(HOME)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def versions() -> dict[str, str]:
    """Return the versions of ``LIBRARIES``; those that are not installed are left out."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str:
    """Return the git commit of the clone that this code runs from, ``""`` when it is installed or has none."""
    try:
        own, shared = _git_folders()
        head = (own / "HEAD").read_text().strip()
        name = head.removeprefix("ref: ")
        if name == head:
            return head
        loose = shared / name
        if loose.is_file():
            return loose.read_text().strip()
        packed = (shared / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
    except OSError:
        return ""


def _git_folders() -> tuple[Path, Path]:
    """Return where git keeps this tree's HEAD and where it keeps branches: not the same in a linked worktree."""
    own = HOME / ".git"
    if own.is_file():
        own = HOME / own.read_text().strip().removeprefix("gitdir: ")
    common = own / "commondir"
    return own, own / common.read_text().strip() if common.is_file() else own


def code_version() -> str:
    """Return the version of this package, and the commit where there is one, as ``0.1.0+1a2b3c4d5e6f``."""
    try:
        package = version("fer-search")
    except PackageNotFoundError:
        package = "0"
    return f"{package}+{commit()[:12]}" if commit() else package
