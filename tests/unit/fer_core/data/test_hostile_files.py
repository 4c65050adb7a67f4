"""What a folder may hold against us: through `fer-data prepare`, nothing crashes, each is told with file and reason."""

import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, PngImagePlugin

from fer_core.cli import cli

GOOD = 7


def grain(seed=0, side=40):
    small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side))


@pytest.fixture
def folder(tmp_path):
    """A folder per class with seven good images; a place for the hostile one."""
    for number in range(GOOD):
        path = tmp_path / "set" / ("happy", "sad")[number % 2] / f"good{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        grain(number).save(path)
    return tmp_path / "set"


def prepare(folder, layout="folders", *options):
    cache = folder.parent / "cache"
    command = ["prepare", str(folder), "--layout", layout, "--cache", str(cache), "--size", "32", "--json", *options]
    answer = CliRunner().invoke(cli, command)
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return answer


def told(folder, layout="folders", *options):
    answer = prepare(folder, layout, *options)
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    return found["sources"][0], found


def jpeg(image=None, **options):
    stream = io.BytesIO()
    (image or grain(99)).save(stream, format="JPEG", **options)
    return stream.getvalue()


def png(image, **options):
    stream = io.BytesIO()
    image.save(stream, format="PNG", **options)
    return stream.getvalue()


def header_only_png(width, height):
    """A PNG of some kilobytes that claims to be *width* x *height*."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(100_000))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def text_bomb():
    about = PngImagePlugin.PngInfo()
    about.add_text("bomb", "x" * 3_000_000, zip=True)
    return png(grain(5), pnginfo=about)


def floats():
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).random((40, 40), dtype=np.float32)).save(stream, format="TIFF")
    return stream.getvalue()


def gif():
    stream = io.BytesIO()
    grain(60).convert("P").save(stream, format="GIF")
    return stream.getvalue()


def turned():
    exif = grain().getexif()
    exif[0x0112] = 6
    return jpeg(grain(61), exif=exif)


def sixteen_bits():
    return Image.fromarray(np.random.default_rng(0).integers(0, 65535, (40, 40), dtype=np.uint16))


REFUSED = {
    "truncated.jpg": (lambda: jpeg()[:-300], "truncated"),
    "empty.jpg": (lambda: b"", "empty"),
    "bomb.png": (lambda: header_only_png(10_000, 10_000), "100000000 pixels) exceeds limit"),
    "larger-bomb.png": (lambda: header_only_png(60_000, 60_000), "limit|pixels"),
    "text-bomb.png": (text_bomb, "too large|Decompressed"),
    "page.jpg": (lambda: b"<html>404 Not Found</html>", "cannot identify"),
    "words.png": ("gesicht \u263a".encode, "cannot identify"),
    "noise.jpg": (lambda: b"\xff\xd8\xff" + bytes(range(256)) * 40, "cannot be decoded"),
    "cut-header.png": (lambda: png(grain(1))[:20], "cannot be decoded"),
    "cut-data.png": (lambda: png(grain(1, 300))[:-900], "cannot be decoded"),
    "float.tif": (floats, "floating-point"),
    "line\nbreak.jpg": (lambda: b"no", "cannot identify"),
}

USED = {
    "png-named.jpg": (lambda: png(grain(50)), "PNG named .jpg"),
    "gif-named.png": (gif, "GIF named .png"),
    "print.jpg": (lambda: jpeg(grain(51).convert("CMYK")), "CMYK"),
    "deep.png": (lambda: png(sixteen_bits()), "16 bits a pixel"),
    "turned.jpg": (turned, "turned by its EXIF orientation"),
    "UPPER.JPEG": (lambda: jpeg(grain(52)), None),
    "MiXeD.JpG": (lambda: jpeg(grain(53)), None),
    "gr\u00fc\u00dfe \u7b11\u9854.jpg": (lambda: jpeg(grain(54)), None),
    "two\nlines.png": (lambda: png(grain(55)), None),
    "broken-exif.jpg": (lambda: jpeg(grain(56), exif=b"Exif\x00\x00garbage"), None),
    "see-through.png": (lambda: png(grain(57).convert("P"), transparency=b"\x00" * 9), None),
    "one-pixel.png": (lambda: png(Image.new("RGB", (1, 1))), None),
    "strip.png": (lambda: png(grain(58).resize((3000, 2))), None),
    os.fsdecode(b"latin-\xe9.png"): (lambda: png(grain(59)), None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_used_is_skipped_with_its_reason(folder, name):
    make, reason = REFUSED[name]
    (folder / "happy" / name).write_bytes(make())
    source, _ = told(folder)
    (skipped,) = source["skipped"]
    assert skipped["path"] == str(folder / "happy" / name).replace("\n", r"\n")
    assert any(words in skipped["reason"] for words in reason.split("|")), skipped["reason"]
    assert source["images"] == GOOD


@pytest.mark.parametrize("name", USED)
def test_an_odd_file_is_used_and_told(folder, name):
    make, remark = USED[name]
    (folder / "happy" / name).write_bytes(make())
    source, _ = told(folder)
    assert source["images"] == GOOD + 1
    assert [item["remark"] for item in source["remarks"]] == ([remark] if remark else [])
    assert all(item["first"].endswith(name) for item in source["remarks"])


def links_out(path):
    outside = path.parents[2] / "outside.png"
    grain(70).save(outside)
    path.symlink_to(outside)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (links_out, "leads out of"),
        (lambda path: path.symlink_to(path.parent / "nowhere.png"), "No such file"),
        (lambda path: path.symlink_to(path), "symbolic links"),
        (os.mkfifo, "no regular file"),
        (Path.mkdir, "no regular file|cannot|Is a directory"),
    ],
    ids=["link out of the folder", "dangling link", "link to itself", "pipe", "folder named like an image"],
)
def test_what_is_no_file_is_skipped(folder, make, reason):
    make(folder / "happy" / "odd.png")
    source, _ = told(folder)
    assert source["images"] == GOOD
    assert [Path(item["path"]).name for item in source["skipped"]] == ["odd.png"]
    assert any(words in source["skipped"][0]["reason"] for words in reason.split("|")), source["skipped"]


def test_an_archive_is_neither_opened_nor_followed(folder):
    archive = folder.parent / "evil.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("../escaped.png", png(grain(3)))
    answer = prepare(archive)
    assert answer.exit_code == 1
    assert "is a file, not a folder" in answer.output
    assert not list(folder.parents[1].glob("escaped.png"))


def table(folder, text, encoding="utf-8"):
    (folder / "faces.csv").write_text(text, encoding=encoding)
    return folder


def test_a_table_with_a_byte_order_mark_is_read(folder):
    rows = "path,expression\nhappy/good0.png,happy\nsad/good1.png,sad\n"
    source, _ = told(table(folder, rows, "utf-8-sig"), "table")
    assert source["images"] == 2


def test_a_table_without_the_column_names_it(folder):
    answer = prepare(table(folder, "file,label\nhappy/good0.png,happy\n"), "table")
    assert answer.exit_code == 1
    assert "has no column" in answer.output
    assert "faces.csv" in answer.output


@pytest.mark.parametrize(
    ("row", "used"),
    [
        ("happy/good0.png,9,,", False),
        ("happy/good0.png,happy,8-10,", True),
        ("happy/good0.png,happy,old,", False),
        ("../../etc/passwd.png,happy,,", False),
        ("happy/good0.png,,,", False),
        ("nowhere.png,happy,,", False),
    ],
    ids=["label 9", "age 8-10", "age in words", "path out of the folder", "no label", "no such file"],
)
def test_a_row_of_a_table_is_used_or_told(folder, row, used):
    source, _ = told(table(folder, f"path,expression,age,subject\nsad/good1.png,sad,4,a\n{row}\n"), "table")
    assert source["images"] == 1 + used
    left_out = [item["path"] for item in source["skipped"]] + [item["label"] for item in source["dropped"]]
    assert bool(left_out) is not used


def test_one_subject_code_in_two_sexes_and_sets_is_no_crash(folder):
    rows = "path,expression,subject\nhappy/good0.png,happy,S1\nsad/good1.png,sad,S1\nsad/good3.png,sad,s1 \n"
    source, _ = told(table(folder, rows), "table")
    assert source["images"] == 3


@pytest.mark.parametrize(
    ("emotion", "pixels"),
    [("9", "0 " * 2303 + "1"), ("3", "1 2 3"), ("3", "x " * 2303 + "x"), ("3", "300 " * 2303 + "1"), ("", "0")],
    ids=["label 9", "too few pixels", "words for pixels", "pixel 300", "empty"],
)
def test_a_broken_row_of_fer2013_is_told_by_its_place(tmp_path, emotion, pixels):
    folder = tmp_path / "fer"
    folder.mkdir()
    good = " ".join(map(str, np.random.default_rng(0).integers(0, 255, 2304)))
    rows = f"emotion,pixels,Usage\n3,{good},Training\n{emotion},{pixels},Training\n"
    (folder / "fer2013.csv").write_text(rows)
    source, _ = told(folder, "fer2013")
    assert source["images"] == 1
    (skipped,) = source["skipped"]
    assert skipped["path"] in {f"{folder / 'fer2013.csv'}:3", f"{folder / 'fer2013.csv'}#1"}


def film(path, frames=20):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for number in range(frames):
            picture = np.asarray(grain(number, 64))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("keep", [0.0, 0.4, 0.8], ids=["empty", "cut early", "cut late"])
def test_a_film_that_breaks_off_is_told(tmp_path, keep):
    folder = tmp_path / "films"
    folder.mkdir()
    film(folder / "S1_happy.avi")
    content = (folder / "S1_happy.avi").read_bytes()
    (folder / "S2_fear.avi").write_bytes(content[: int(len(content) * keep)])
    source, _ = told(folder, "liris-cse", "--frame-rate", "5", "--faces", "centre")
    assert source["images"] >= 10
    assert source["skipped"]
    assert all("S2_fear.avi" in item["path"] for item in source["skipped"])


@pytest.mark.parametrize(
    "box", ["900 900 950 950", "-90 -90 -10 -10", "nan 0 10 10", "30 30 10 10", "0 0 99999 99999"], ids=str
)
def test_a_box_outside_of_its_picture_is_told(tmp_path, box):
    origin = tmp_path / "expw" / "origin"
    origin.mkdir(parents=True)
    grain(1).save(origin / "a.jpg")
    lines = f"a.jpg 0 0 0 30 30 9 3\na.jpg 1 {box} 9 3\n"
    (tmp_path / "expw" / "label.lst").write_text(lines)
    source, _ = told(tmp_path / "expw", "expw")
    assert source["images"] == 1
    assert len(source["skipped"]) == 1
