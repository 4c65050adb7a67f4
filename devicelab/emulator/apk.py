"""Who an APK is: package, version and permissions from its binary manifest. No upgrade of Appium needs a table here.

Format: Android's ResourceTypes.h. A chunk is (type: u16, header size: u16, size: u32); the manifest is a chunk of
chunks, of which the string pool and the starts of elements matter. An attribute is five u32: namespace, name, raw value
(indices into the pool, or -1), type and data of the value.
"""

import io
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

_STRINGS, _START_ELEMENT = 0x0001, 0x0102
_UTF8 = 1 << 8
_NOTHING = 0xFFFFFFFF
_TYPE_STRING = 0x03


class ApkError(Exception):
    """A file that is no APK; the message is what ``pm install`` says between its brackets."""


@dataclass(frozen=True, slots=True)
class ApkInfo:
    """The identity of an app: what ``pm`` and ``dumpsys package`` tell about it."""

    package: str
    version_code: int
    version_name: str
    permissions: tuple[str, ...] = ()
    instrumentation: tuple[str, str] | None = None


def read_apk(data: bytes) -> ApkInfo:
    """Return the identity of the APK *data*. ``instrumentation`` is (runner class, target package), if it has one.

    Raises:
        ApkError: it is no APK, or its manifest cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            elements = list(_elements(archive.read("AndroidManifest.xml")))
    except (zipfile.BadZipFile, KeyError):
        raise ApkError("INSTALL_PARSE_FAILED_NOT_APK") from None
    except (struct.error, IndexError, UnicodeDecodeError):
        raise ApkError("INSTALL_PARSE_FAILED_BAD_MANIFEST") from None
    manifest = next((attributes for name, attributes in elements if name == "manifest"), {})
    if not manifest.get("package"):
        raise ApkError("INSTALL_PARSE_FAILED_MANIFEST_MALFORMED")
    runner = next((attributes for name, attributes in elements if name == "instrumentation"), None)
    return ApkInfo(
        package=manifest["package"],
        version_code=int(manifest.get("versionCode") or 0),
        version_name=manifest.get("versionName", ""),
        permissions=tuple(attributes.get("name", "") for name, attributes in elements if name == "uses-permission"),
        instrumentation=(runner.get("name", ""), runner.get("targetPackage", "")) if runner else None,
    )


def _elements(manifest: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name and attributes of each element of the binary XML *manifest*."""
    strings: list[str] = []
    place = struct.unpack_from("<HHI", manifest)[1]
    while place < len(manifest):
        kind, _, size = struct.unpack_from("<HHI", manifest, place)
        if kind == _STRINGS:
            strings = _string_pool(manifest[place : place + size])
        elif kind == _START_ELEMENT:
            yield _element(manifest[place : place + size], strings)
        place += max(size, 8)


def _element(chunk: bytes, strings: list[str]) -> tuple[str, dict[str, str]]:
    header = struct.unpack_from("<H", chunk, 2)[0]
    name, start, width, count = struct.unpack_from("<IHHH", chunk, header + 4)
    attributes = {}
    for number in range(count):
        _, key, raw, kind, value = struct.unpack_from("<IIIII", chunk, header + start + number * width)
        text = strings[value] if kind >> 24 == _TYPE_STRING else str(value)
        attributes[strings[key]] = text if raw == _NOTHING else strings[raw]
    return strings[name], attributes


def _string_pool(chunk: bytes) -> list[str]:
    header, _, count, _, flags, start = struct.unpack_from("<HIIIII", chunk, 2)
    offsets = struct.unpack_from(f"<{count}I", chunk, header)
    read = _utf8_string if flags & _UTF8 else _utf16_string
    return [read(chunk, start + offset) for offset in offsets]


def _utf8_string(chunk: bytes, place: int) -> str:
    place += 2 if chunk[place] & 0x80 else 1  # the length in UTF-16 units
    length = chunk[place]
    place += 1
    if length & 0x80:
        length = (length & 0x7F) << 8 | chunk[place]
        place += 1
    return chunk[place : place + length].decode("utf-8", "surrogatepass")


def _utf16_string(chunk: bytes, place: int) -> str:
    length = struct.unpack_from("<H", chunk, place)[0]
    place += 2
    if length & 0x8000:
        length = (length & 0x7FFF) << 16 | struct.unpack_from("<H", chunk, place)[0]
        place += 2
    return chunk[place : place + 2 * length].decode("utf-16-le", "surrogatepass")
