"""APKs are known by their own manifest, in both encodings of strings; anything else is refused in pm's words."""

import io
import struct
import zipfile

import pytest

from devicelab.emulator.apk import ApkError, ApkInfo, read_apk

NONE = 0xFFFFFFFF


def string_pool(strings, utf8):
    encoded = b""
    offsets = []
    for text in strings:
        offsets.append(len(encoded))
        if utf8:
            encoded += bytes([len(text), len(text.encode())]) + text.encode() + b"\0"
        else:
            encoded += struct.pack("<H", len(text)) + text.encode("utf-16-le") + b"\0\0"
    start = 28 + 4 * len(strings)
    head = struct.pack("<IIIII", len(strings), 0, 256 if utf8 else 0, start, 0)
    body = head + struct.pack(f"<{len(strings)}I", *offsets) + encoded
    return struct.pack("<HHI", 1, 28, 8 + len(body)) + body


def element(strings, name, attributes):
    body = struct.pack("<IIIIHHHHHH", 1, NONE, NONE, strings.index(name), 20, 20, len(attributes), 0, 0, 0)
    for key, value in attributes.items():
        if isinstance(value, int):
            body += struct.pack("<IIIII", NONE, strings.index(key), NONE, 0x10000008, value)
        else:
            body += struct.pack(
                "<IIIII", NONE, strings.index(key), strings.index(value), 0x03000008, strings.index(value)
            )
    return struct.pack("<HHI", 0x0102, 16, 8 + len(body)) + body


def apk(elements, utf8=True):
    strings = sorted(
        {
            text
            for name, attributes in elements
            for text in (name, *attributes, *attributes.values())
            if isinstance(text, str)
        }
    )
    chunks = string_pool(strings, utf8) + b"".join(element(strings, *found) for found in elements)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("AndroidManifest.xml", struct.pack("<HHI", 3, 8, 8 + len(chunks)) + chunks)
    return target.getvalue()


MANIFEST = [
    ("manifest", {"package": "a.b.c", "versionCode": 7, "versionName": "1.2"}),
    ("uses-permission", {"name": "android.permission.INTERNET"}),
    ("instrumentation", {"name": "a.Runner", "targetPackage": "a.b"}),
]


@pytest.mark.parametrize("utf8", [True, False])
def test_identity(utf8):
    info = read_apk(apk(MANIFEST, utf8))
    assert info == ApkInfo("a.b.c", 7, "1.2", ("android.permission.INTERNET",), ("a.Runner", "a.b"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no zip", "NOT_APK"),
        (apk([("manifest", {"versionCode": 1})]), "MANIFEST_MALFORMED"),
        (apk(MANIFEST)[:200], "NOT_APK"),
    ],
)
def test_refusals(data, reason):
    with pytest.raises(ApkError, match=reason):
        read_apk(data)
