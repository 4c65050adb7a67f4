"""APKs made by hand: a zip with a binary manifest and nothing to run."""

import io
import struct
import zipfile

NONE = 0xFFFFFFFF


def apk(elements, utf8=True, padding=b""):
    """Return an APK whose manifest has *elements*, each (name, {attribute: text or number})."""
    texts = (text for name, attributes in elements for text in (name, *attributes, *attributes.values()))
    strings = sorted({text for text in texts if isinstance(text, str)})
    chunks = _string_pool(strings, utf8) + b"".join(_element(strings, *found) for found in elements)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("AndroidManifest.xml", struct.pack("<HHI", 3, 8, 8 + len(chunks)) + chunks)
        archive.writestr("classes.dex", padding)
    return target.getvalue()


def _string_pool(strings, utf8):
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


def _element(strings, name, attributes):
    body = struct.pack("<IIIIHHHHHH", 1, NONE, NONE, strings.index(name), 20, 20, len(attributes), 0, 0, 0)
    for key, value in attributes.items():
        place = strings.index(key)
        if isinstance(value, int):
            body += struct.pack("<IIIII", NONE, place, NONE, 0x10000008, value)
        else:
            text = strings.index(value)
            body += struct.pack("<IIIII", NONE, place, text, 0x03000008, text)
    return struct.pack("<HHI", 0x0102, 16, 8 + len(body)) + body
