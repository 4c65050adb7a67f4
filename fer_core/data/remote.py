"""A mirror of the cache behind a URL (S3, GCS, HTTP, a share...): entries are fetched once, by fsspec."""

import os
import shutil
from pathlib import Path
from typing import Any

from fer_core.data.shards import ABOUT
from fer_core.errors import ConfigError, DataError


def fetch(url: str, name: str, local: Path) -> bool:
    """Copy the complete entry *name* from *url* to *local*, if it is there and not here, and tell whether it was.

    It appears by renaming: what was cut off is fetched again.

    Raises:
        ConfigError: no such kind of URL, or the package that speaks it is missing.
        DataError: it cannot be read.
    """
    system, root = _system(url)
    if (local / name / ABOUT).is_file():
        return False
    partial = local / f"{name}.{os.getpid()}.fetched"
    try:
        if not system.exists(f"{root}/{name}/{ABOUT}"):
            return False
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for path in system.find(f"{root}/{name}"):
            system.get_file(path, str(partial / Path(path).name))
        shutil.rmtree(local / name, ignore_errors=True)
        partial.rename(local / name)
    except OSError as error:
        raise DataError(f"{url}/{name}: cannot be fetched: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


def publish(url: str, folder: Path) -> bool:
    """Copy the complete entry *folder* to *url*, unless it is there, and tell whether it was not.

    What makes it complete is written last, so that nobody fetches a part.

    Raises:
        ConfigError: no such kind of URL, or the package that speaks it is missing.
        DataError: it cannot be written.
    """
    system, root = _system(url)
    target = f"{root}/{folder.name}"
    try:
        if system.exists(f"{target}/{ABOUT}"):
            return False
        system.makedirs(target, exist_ok=True)
        for path in sorted(folder.iterdir(), key=lambda path: (path.name == ABOUT, path.name)):
            system.put_file(str(path), f"{target}/{path.name}")
    except OSError as error:
        raise DataError(f"{url}: cannot be written: {error}") from error
    return True


def _system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of *url*, and the path in it."""
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"{url}: {error}") from error
    return system, str(root).rstrip("/")
