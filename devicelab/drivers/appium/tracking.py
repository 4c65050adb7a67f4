"""Which phones are on the bus, told by adb's server the moment that it changes: its service ``host:track-devices``.

The server sends a list at once and another after every change: four hexadecimal digits with the length of what
follows, then a line ``serial<TAB>state`` for each phone (adb's docs: SERVICES.TXT and OVERVIEW.TXT).
"""

import socket
from collections.abc import Iterator

from devicelab.drivers.appium.adb import AdbError

ASK = b"host:track-devices"
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 0.5
"""How long ``track`` waits for news before it lets its caller have a look around."""


def track(port: int) -> Iterator[dict[str, str] | None]:
    """Yield {serial: state} at every change, and None whenever there was none for ``SILENCE_SECONDS``.

    Raises:
        AdbError: the server on *port* ended, or refuses.
        OSError: there is no server on *port*.
    """
    with socket.create_connection(("127.0.0.1", port), CONNECT_SECONDS) as server:
        server.sendall(b"%04x%s" % (len(ASK), ASK))
        server.settimeout(SILENCE_SECONDS)
        heard = b""
        while True:
            try:
                news = server.recv(1 << 16)
            except TimeoutError:
                yield None
                continue
            if not news:
                raise AdbError(f"adb's server on port {port} ended")
            heard += news
            if heard[:4] == b"FAIL":
                raise AdbError(f"adb's server on port {port} refuses: {heard[8:].decode(errors='replace')}")
            lists, heard = split(heard.removeprefix(b"OKAY"))
            yield from map(states, lists)


def split(heard: bytes) -> tuple[list[str], bytes]:
    """Return the whole lists that *heard* begins with, and the rest.

    Raises:
        AdbError: it is not what a server sends.
    """
    lists = []
    while len(heard) >= 4:
        try:
            size = int(heard[:4], 16)
        except ValueError:
            raise AdbError(f"adb's server sent {heard[:40]!r} instead of a list of phones") from None
        if len(heard) < 4 + size:
            break
        lists.append(heard[4 : 4 + size].decode(errors="replace"))
        heard = heard[4 + size :]
    return lists, heard


def states(text: str) -> dict[str, str]:
    """Return {serial: state} of one list; a phone without permissions brings a reason, which is left out."""
    lines = (line.split("\t") for line in text.splitlines())
    return {parts[0]: parts[1].split(";")[0].strip() for parts in lines if len(parts) >= 2}
