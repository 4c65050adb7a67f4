"""One agent per phone: a lock file for each, which goes with the process that holds it, however that ends."""

import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path

from devicelab.errors import ConfigError, StoreError
from devicelab.lockfile import Lock


def default_folder() -> Path:
    """Return the folder of this user's locks: the same for all agents of a host."""
    return Path(tempfile.gettempdir()) / f"fer-lab-phones-{os.getuid()}"


def locked(udids: Iterable[str], folder: Path) -> ExitStack:
    """Return what holds the phones *udids* until it is closed.

    Raises:
        ConfigError: another process has one of them; then none is held.
    """
    with ExitStack() as stack:
        for udid in udids:
            try:
                stack.enter_context(closing(Lock(folder / udid)))
            except StoreError as error:
                raise ConfigError(f"phone {udid}: another agent drives it ({error})") from None
        return stack.pop_all()
