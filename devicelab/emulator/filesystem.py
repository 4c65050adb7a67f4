"""The phone's files, in memory: paths, contents, modes, and a storage that can be full."""

import posixpath
import stat
from dataclasses import dataclass, field

GIGABYTE = 1_000_000_000
CAPACITY = 24 * GIGABYTE
"""What is left of 32 GB eMMC for /data; the size of a full phone's storage is not what matters here."""
OCCUPIED = 15 * GIGABYTE
FOLDERS = ("/data/local/tmp", "/data/app", "/sdcard/Download", "/sdcard/Android/data", "/system/bin", "/proc", "/sys")
_SHARED = ("/storage/emulated/0", "/mnt/sdcard", "/storage/self/primary")
_FOLDER_MODE = stat.S_IFDIR | 0o771


class StorageFullError(OSError):
    """There is no room for what was to be written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder: its mode with type bits, time of change in seconds, and content (empty for folders)."""

    mode: int
    mtime: int
    data: bytes = b""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)


def normal(path: str) -> str:
    """Return *path* absolute, without dots, with the names of shared storage made one."""
    clean = posixpath.normpath(posixpath.join("/", path))
    clean = "/" + clean.lstrip("/")
    for alias in _SHARED:
        if clean == alias or clean.startswith(alias + "/"):
            return "/sdcard" + clean.removeprefix(alias)
    return clean


@dataclass(slots=True)
class FileSystem:
    """Files by their normal path. ``full`` says that nothing more can be written, whatever the sum of sizes."""

    entries: dict[str, Entry] = field(default_factory=dict)
    full: bool = False

    def __post_init__(self) -> None:
        for folder in FOLDERS:
            self.make_folder(folder)

    def find(self, path: str) -> Entry | None:
        """Return what is at *path*, or None."""
        return self.entries.get(normal(path))

    def read(self, path: str) -> bytes:
        """Return the content of the file at *path*.

        Raises:
            FileNotFoundError: nothing is there.
            IsADirectoryError: it is a folder.
        """
        entry = self.find(path)
        if entry is None:
            raise FileNotFoundError(path)
        if entry.is_folder:
            raise IsADirectoryError(path)
        return entry.data

    def write(self, path: str, data: bytes, mtime: float = 0, mode: int = 0o644) -> None:
        """Write *data* as the file at *path*, and the folders above it.

        Raises:
            StorageFullError: there is no room.
            IsADirectoryError: a folder is there.
        """
        place = normal(path)
        old = self.entries.get(place)
        if old and old.is_folder:
            raise IsADirectoryError(path)
        if len(data) > self.free():
            raise StorageFullError(path)
        self.make_folder(posixpath.dirname(place))
        self.entries[place] = Entry(stat.S_IFREG | stat.S_IMODE(mode), int(mtime), bytes(data))

    def make_folder(self, path: str, mtime: float = 0) -> None:
        """Make the folder at *path* and those above it, where there is none.

        Raises:
            FileExistsError: a file is in the way.
        """
        place = normal(path)
        while True:
            entry = self.entries.get(place)
            if entry and not entry.is_folder:
                raise FileExistsError(place)
            self.entries.setdefault(place, Entry(_FOLDER_MODE, int(mtime)))
            if place == "/":
                return
            place = posixpath.dirname(place)

    def names(self, path: str) -> list[str]:
        """Return the sorted names in the folder at *path*."""
        above = normal(path)
        return sorted(posixpath.basename(p) for p in self.entries if p != "/" and posixpath.dirname(p) == above)

    def remove(self, path: str) -> bool:
        """Remove what is at *path* and below it; return whether there was anything."""
        place = normal(path)
        below = [p for p in self.entries if p == place or p.startswith(place.rstrip("/") + "/")]
        for found in below:
            del self.entries[found]
        return bool(below)

    def used(self) -> int:
        """Return the occupied bytes."""
        return OCCUPIED + sum(len(entry.data) for entry in self.entries.values())

    def free(self) -> int:
        """Return the bytes that can still be written."""
        return 0 if self.full else max(CAPACITY - self.used(), 0)
