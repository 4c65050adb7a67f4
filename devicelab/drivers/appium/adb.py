"""adb for what Appium does not do: find phones, connect, push files, reboot. Every call has a time limit.

Models are pushed with ``adb push`` rather than Appium's ``push_file``, which sends a file as base64 in one HTTP
request: 20 MB take 0.1 s instead of 1.5 to 3 s, and Appium's memory does not grow with them. What arrived is verified
through the session all the same (``sha256sum``), so the phone that was pushed to is the phone that measures.
"""

import os
import subprocess
from pathlib import Path

from devicelab.protocols import Clock

QUICK = 20.0
BOOT_SECONDS = 240.0
"""A Moto G6 boots in less than two minutes; the double is for one that optimises its apps on the way."""
PUSH_FLOOR, PUSH_RATE = 20.0, 1e6
"""A push may take so many seconds, plus one for so many bytes: USB 2 carries 8 MB/s and more."""


class AdbError(Exception):
    """adb failed; its words."""


class Adb:
    """The adb at *path*, talking to the server on *port* of this host, which it starts where there is none.

    *environment* is what a server that it starts inherits.
    """

    def __init__(self, path: Path, port: int, environment: dict[str, str] | None = None) -> None:
        self.port = port
        self._path = path
        self._environment = {**os.environ, **(environment or {})}

    def call(self, *arguments: str, seconds: float = QUICK) -> str:
        """Return what ``adb ARGUMENTS`` prints.

        Raises:
            AdbError: it failed; the text is its own.
            subprocess.TimeoutExpired: it did not end in *seconds*, and was ended.
        """
        command = [str(self._path), "-P", str(self.port), *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env=self._environment,
            timeout=seconds,
            check=False,
        )
        if done.returncode != 0:
            raise AdbError(f"adb {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip() or 'failed'}")
        return done.stdout

    def start_server(self) -> None:
        """Make sure that the server runs.

        Raises:
            AdbError: it does not start.
        """
        self.call("start-server")

    def devices(self) -> dict[str, str]:
        """Return {serial: state} of all phones that the server knows: ``device``, ``offline``, ``unauthorized``..."""
        lines = self.call("devices").splitlines()[1:]
        return dict(line.split("\t")[:2] for line in lines if "\t" in line)

    def on(self, serial: str, *arguments: str, seconds: float = QUICK) -> str:
        """Return what ``adb -s SERIAL ARGUMENTS`` prints; raises as :meth:`call`."""
        return self.call("-s", serial, *arguments, seconds=seconds)

    def push(self, serial: str, source: Path, target: str) -> None:
        """Copy *source* to *target* on the phone; raises as :meth:`call`."""
        self.on(serial, "push", str(source), target, seconds=PUSH_FLOOR + source.stat().st_size / PUSH_RATE)

    def reconnect(self, serial: str) -> None:
        """Begin the transport anew.

        A phone on the network is let go first: of one that is offline ``adb connect`` only says that it is connected.

        Raises:
            AdbError, subprocess.TimeoutExpired: as :meth:`call`; a refused connection also.
        """
        if not is_address(serial):
            self.on(serial, "reconnect")
            return
        self.forget(serial)
        answer = self.call("connect", serial)
        if not answer.startswith(("connected to", "already connected to")):
            raise AdbError(f"adb connect {serial}: {answer.strip()}")

    def connect(self, serial: str) -> None:
        """Connect to *serial* if it is an address and not there yet; a phone on a cable connects itself."""
        if is_address(serial) and self.devices().get(serial) != "device":
            self.reconnect(serial)

    def forget(self, serial: str) -> None:
        """Let go of a phone on the network; nothing happens if it is not known."""
        try:
            self.call("disconnect", serial)
        except AdbError:
            return

    def release_port(self, serial: str, port: int) -> None:
        """Remove the forward from *port* of this host to *serial*, if there is one left over."""
        try:
            self.on(serial, "forward", "--remove", f"tcp:{port}")
        except AdbError:
            return

    def reboot(self, serial: str, clock: Clock) -> None:
        """Restart the phone and return when it has booted; raises as :meth:`wait`."""
        before = self.boot_id(serial)
        self.on(serial, "reboot")
        self.wait(serial, clock, BOOT_SECONDS, other_than=before)

    def wait(self, serial: str, clock: Clock, seconds: float, other_than: str = "") -> None:
        """Return when the phone is there and booted, since another start than *other_than* if that is given.

        Raises:
            AdbError: it is not within *seconds*.
        """
        deadline, said = clock.now() + seconds, ""
        while clock.now() < deadline:
            try:
                self.connect(serial)
                booted = self.on(serial, "shell", "getprop", "sys.boot_completed").strip() == "1"
                if booted and (not other_than or self.boot_id(serial) != other_than):
                    return
                said = "it has not booted"
            except (AdbError, subprocess.TimeoutExpired) as error:
                said = str(error)
            clock.sleep(0.5)
        raise AdbError(f"The device is not ready after {seconds:.0f}s: {said}")

    def boot_id(self, serial: str) -> str:
        """Return the kernel's name for this start of the phone; raises as :meth:`call`."""
        return self.on(serial, "shell", "cat", "/proc/sys/kernel/random/boot_id").strip()


def is_address(serial: str) -> bool:
    """Whether *serial* is HOST:PORT, which has to be connected to; a phone on a cable has a serial number."""
    return ":" in serial
