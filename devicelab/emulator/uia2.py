"""UiAutomator2's server on the phone: HTTP on its port 6790, spoken on a stream of adb's (no real port is opened)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from devicelab.emulator.phone import Phone

PORT = 6790
VERSION = "10.6.6"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A PNG of one pixel: what a screenshot shows."""

Write = Callable[[bytes], Awaitable[None]]
Answer = tuple[int, Any]


async def serve_http(phone: Phone, reader: asyncio.StreamReader, write: Write) -> None:
    """Answer requests of HTTP/1.1 on one connection until it or the server ends."""
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
            request, *lines = head.split("\r\n")
            headers = {
                name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            body = await _body(reader, headers)
        except asyncio.IncompleteReadError:
            return
        method, path, _ = request.split(" ", 2)
        if not phone.uia2.running:
            return
        phone.trace.append(f"uia2 {method} {path}")
        status, value = _route(phone, method, path.partition("?")[0], json.loads(body) if body.strip() else {})
        session = next(iter(phone.uia2.sessions), None)
        content = json.dumps({"sessionId": session, "value": value}).encode()
        head_out = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json; charset=UTF-8\r\n"
        await write(f"{head_out}Content-Length: {len(content)}\r\nConnection: keep-alive\r\n\r\n".encode() + content)


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    body = b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    return body


def _route(phone: Phone, method: str, path: str, body: dict[str, Any]) -> Answer:
    match path.strip("/").split("/"):
        case ["status"]:
            return 200, {
                "ready": True,
                "message": "UiAutomator2 Server is ready to accept commands",
                "build": {"version": VERSION},
            }
        case ["sessions"]:
            return 200, [{"id": name, "capabilities": found} for name, found in phone.uia2.sessions.items()]
        case ["session"] if method == "POST":
            return 200, _new_session(phone, body)
        case ["session", name, *rest] if name in phone.uia2.sessions:
            return _in_session(phone, method, "/".join(rest))
    message = "A session is either terminated or not started"
    return 404, {"error": "invalid session id", "message": message, "stacktrace": ""}


def _new_session(phone: Phone, body: dict[str, Any]) -> dict[str, Any]:
    raw = phone.rng.bytes(16).hex()
    name = f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"
    phone.uia2.sessions = {name: body}
    return {"sessionId": name, "capabilities": {}}


def _in_session(phone: Phone, method: str, path: str) -> Answer:
    if not path:
        if method == "DELETE":
            phone.uia2.sessions.clear()
            phone.start(_stop_soon(phone))
        return 200, None if method == "DELETE" else {}
    answers: dict[str, Any] = {
        "appium/device/pixel_ratio": 2.5,
        "appium/device/system_bars": {"statusBar": 60},
        "appium/device/info": _device_info(phone),
        "appium/device/battery_info": _battery_info(phone),
        "appium/settings": {} if method == "GET" else None,
        "window/current/size": {"width": 1080, "height": 2034},
        "window/rect": {"x": 0, "y": 0, "width": 1080, "height": 2034},
        "orientation": "PORTRAIT",
        "source": '<?xml version="1.0" encoding="UTF-8"?><hierarchy rotation="0"/>',
        "screenshot": PIXEL,
    }
    if path in answers:
        return 200, answers[path]
    phone.unknown.append(f"uia2 {method} {path}")
    return 404, {"error": "unknown command", "message": f"The emulated phone has no {method} {path}", "stacktrace": ""}


async def _stop_soon(phone: Phone) -> None:
    """End the server after its last answer, as the real one does when its session is deleted."""
    await asyncio.sleep(0.05)
    phone.end_process("io.appium.uiautomator2.server")


def _device_info(phone: Phone) -> dict[str, Any]:
    return {
        "androidId": phone.config.serial.encode().hex()[:16].ljust(16, "0"),
        "manufacturer": "motorola",
        "model": phone.properties["ro.product.model"],
        "brand": "motorola",
        "apiVersion": str(phone.sdk),
        "platformVersion": phone.properties["ro.build.version.release"],
        "carrierName": "",
        "realDisplaySize": "1080x2160",
        "displayDensity": 400,
        "networks": [],
        "locale": "en_US",
        "timeZone": "Etc/UTC",
        "bluetooth": {"state": "OFF"},
    }


def _battery_info(phone: Phone) -> dict[str, Any]:
    health = phone.health()
    return {"level": round(health.battery_percent) / 100, "status": 2 if health.charging else 3}
