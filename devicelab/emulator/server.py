"""An emulated phone at the end of its cable: a loopback port that adb connects to, and what faults do to both."""

import asyncio

from devicelab.emulator.commands import COMMANDS
from devicelab.emulator.phone import Phone
from devicelab.emulator.services import services
from devicelab.emulator.transport import Connection

LOOPBACK = "127.0.0.1"
MAX_PAYLOAD = {26: 256 * 1024, 28: 1024 * 1024}
"""By API level (AOSP adb.h: MAX_PAYLOAD grew with Android 9)."""
FEATURES = "cmd,stat_v2,shell_v2"


class Cable:
    """The connection of *phone* to whoever connects to *port* on loopback."""

    def __init__(self, phone: Phone, port: int) -> None:
        self.phone = phone
        self.port = port
        self.authorized = True
        self._serve = services(phone, COMMANDS)
        self._connections: set[Connection] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._server: asyncio.Server | None = None

    @property
    def plugged(self) -> bool:
        """Whether the phone can be connected to."""
        return self._server is not None

    async def plug(self) -> None:
        """Let hosts connect; nothing happens if they can."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, LOOPBACK, self.port, limit=1 << 22)
            self.port = self._server.sockets[0].getsockname()[1]

    def unplug(self) -> None:
        """Let nobody connect and break what is connected."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()

    def drop(self) -> None:
        """Break what is connected."""
        for connection in list(self._connections):
            connection.drop()

    def freeze(self) -> None:
        """Answer nothing and send nothing, connected."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Undo :meth:`freeze`."""
        self._thawed.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(
            reader,
            writer,
            serve=self._serve,
            banner=self._banner(),
            max_payload=MAX_PAYLOAD[self.phone.sdk],
            authorized=lambda: self.authorized,
            tokens=self.phone.rng.bytes,
            thawed=self._thawed,
        )
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def _banner(self) -> str:
        known = self.phone.properties
        facts = {name: known[f"ro.product.{name}"] for name in ("name", "model", "device")}
        return (
            "device::"
            + "".join(f"ro.product.{name}={value};" for name, value in facts.items())
            + f"features={FEATURES}"
        )
