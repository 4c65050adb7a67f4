"""The control channel: one JSON object a line, each answered by one, on a loopback port.

{"do": "state"}                                      every phone: port, faults that came, commands it did not know
{"do": "drop", "phone": "ZY32200001", "when": "run"} a fault of devicelab.emulator.faults; "when" may be left out
{"do": "trace", "phone": "ZY32200001"}               what adb asked of the phone lately
"""

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any

from devicelab.emulator.mischief import Mischief
from devicelab.emulator.phone import Phone
from devicelab.emulator.server import LOOPBACK, Cable
from devicelab.errors import ConfigError, DeviceLabError, NoDeviceError

ANSWER_SECONDS = 10.0


class Control:
    """Takes orders for the phones on *cables*, by serial number."""

    def __init__(self, cables: Mapping[str, Cable]) -> None:
        self._cables = cables
        self._mischief = {serial: Mischief(cable.phone, cable) for serial, cable in cables.items()}
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> int:
        """Listen on loopback *port*, any free one for 0, and return it."""
        self._server = await asyncio.start_server(self._connected, LOOPBACK, port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what *request* says and return the answer.

        Raises:
            ConfigError: the phone or the order is not known.
        """
        order = str(request.get("do", ""))
        if order == "state":
            return {"phones": [self._state(serial) for serial in self._cables]}
        serial = str(request.get("phone") or next(iter(self._cables)))
        if serial not in self._cables:
            raise ConfigError(f"no phone is called {serial!r}; there are: {', '.join(self._cables)}")
        if order == "trace":
            return {"trace": list(self._cables[serial].phone.trace)}
        await self._mischief[serial].order(order, str(request.get("when", "now")))
        return {"phone": self._state(serial)}

    def _state(self, serial: str) -> dict[str, Any]:
        cable = self._cables[serial]
        phone: Phone = cable.phone
        health = phone.health()
        return {
            "serial": serial,
            "udid": f"{LOOPBACK}:{cable.port}",
            "android": phone.config.android,
            "plugged": cable.plugged,
            "temperature_c": health.temperature_c,
            "battery_percent": health.battery_percent,
            "frequency_mhz": health.frequency_mhz,
            "boot_id": phone.boot_id,
            "armed": [f"{fault}@{when}" for fault, when in phone.faults.armed],
            "happened": list(phone.faults.happened),
            "unknown": list(phone.unknown),
        }

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    answer = {"ok": True, **await self.answer(json.loads(line))}
                except (DeviceLabError, ValueError, AttributeError) as error:
                    answer = {"ok": False, "error": str(error)}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()


def ask(port: int, **request: str) -> dict[str, Any]:
    """Send *request* to the control channel on *port* and return the answer.

    Raises:
        NoDeviceError: nobody listens there.
        ConfigError: the order was refused.
    """
    try:
        with socket.create_connection((LOOPBACK, port), ANSWER_SECONDS) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile().readline() or "{}")
    except (OSError, ValueError) as error:
        raise NoDeviceError(f"port {port}: no emulated phones answer ({error}); start some: fer-lab emulate") from None
    if not answer.get("ok"):
        raise ConfigError(str(answer.get("error", "no answer")))
    return answer
