"""Who may do what: tokens with a role each, kept as digests in a file that only its owner can read.

A token is 32 random bytes, so its plain SHA-256 cannot be searched backwards and needs no slow hash. The file is
read again when it has changed: a token that is added or revoked counts from the next request on.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
from pathlib import Path
from typing import Literal, get_args

from pydantic import ValidationError

from devicelab.device import Value
from devicelab.errors import ConfigError

Role = Literal["read-only", "search", "operator", "agent"]
"""``read-only`` looks, ``search`` also asks for measurements, ``operator`` also acts on phones; ``agent`` is a host."""
Right = Literal["read", "measure", "operate", "work"]
"""What a route needs: to look, to ask for measurements, to act on phones, to work for the lab as a host of phones."""

RIGHTS: dict[Role, frozenset[Right]] = {
    "read-only": frozenset({"read"}),
    "search": frozenset({"read", "measure"}),
    "operator": frozenset({"read", "measure", "operate"}),
    "agent": frozenset({"read", "work"}),
}
ROLES: tuple[Role, ...] = get_args(Role)
PREFIX = "ferlab_"
"""Begins every token, so that scanners for leaked secrets find one."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Grant(Value):
    """One token as the file keeps it: whose, what for, its SHA-256 in hex, when it was made (seconds since 1970)."""

    name: str
    role: Role
    sha256: str
    created_at: float

    def allows(self, right: Right) -> bool:
        """Whether the owner may do what needs *right*."""
        return right in RIGHTS[self.role]


class Tokens:
    """The tokens in the file at *path*; a file that is missing holds none.

    Every method raises ``ConfigError`` if the file can be read by others than its owner, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._grants: tuple[Grant, ...] = ()

    def grants(self) -> tuple[Grant, ...]:
        """Return what the file grants now, by name."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._seen, self._grants = None, ()
            return ()
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}") from None
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            if status.st_mode & 0o077:
                raise ConfigError(f"{self.path}: others can read it; run: chmod 600 {self.path}")
            self._grants, self._seen = _read(self.path), seen
        return self._grants

    def who(self, token: str) -> Grant | None:
        """Return whose *token* it is, or None; takes the same time wherever in the file it stands."""
        digest = _digest(token)
        found = None
        for grant in self.grants():
            if hmac.compare_digest(grant.sha256, digest):
                found = grant
        return found

    def add(self, name: str, role: Role, now: float) -> str:
        """Make a token for *name* and return it: the only time that it can be seen.

        Raises:
            ConfigError: *name* has a token, or is no name (letters, digits, ``.``, ``_`` and ``-``).
        """
        if not NAME.fullmatch(name):
            raise ConfigError(f"token name {name!r}: use up to 64 letters, digits, '.', '_' and '-'")
        grants = self.grants()
        if any(grant.name == name for grant in grants):
            raise ConfigError(f"{name} has a token already; revoke it first: fer-lab token revoke {name}")
        token = PREFIX + secrets.token_urlsafe(32)
        self._write((*grants, Grant(name=name, role=role, sha256=_digest(token), created_at=now)))
        return token

    def revoke(self, name: str) -> None:
        """Forget the token of *name*.

        Raises:
            ConfigError: there is none.
        """
        grants = self.grants()
        left = tuple(grant for grant in grants if grant.name != name)
        if left == grants:
            known = ", ".join(grant.name for grant in grants) or "none"
            raise ConfigError(f"{name!r} has no token in {self.path}; known: {known}")
        self._write(left)

    def _write(self, grants: tuple[Grant, ...]) -> None:
        """Replace the file in one step by one that only its owner may read."""
        body = [grant.model_dump() for grant in sorted(grants, key=lambda grant: grant.name)]
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(body, file, indent=2)
            draft.replace(self.path)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}") from None


def _read(path: Path) -> tuple[Grant, ...]:
    try:
        return tuple(Grant.model_validate(row) for row in json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, ValidationError):
        raise ConfigError(f"{path}: is no file of tokens; remove it and add tokens again: fer-lab token add") from None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
