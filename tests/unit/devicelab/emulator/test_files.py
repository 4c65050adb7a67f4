"""The phone's files and the commands on them."""

import emulated
import pytest

from devicelab.emulator.filesystem import FileSystem, StorageFullError, normal


@pytest.mark.parametrize(
    ("path", "same"),
    [("/a/../b", "/b"), ("b", "/b"), ("/storage/emulated/0/x", "/sdcard/x"), ("//x", "/x"), ("/sdcard", "/sdcard")],
)
def test_paths_have_one_name(path, same):
    assert normal(path) == same


def test_a_full_storage_keeps_what_was_there():
    files = FileSystem()
    files.write("/data/local/tmp/a", b"old")
    files.full = True
    with pytest.raises(StorageFullError):
        files.write("/data/local/tmp/a", b"newer")
    assert files.read("/data/local/tmp/a") == b"old"


def test_a_file_is_no_folder_and_a_folder_no_file():
    files = FileSystem()
    files.write("/data/f", b"x")
    with pytest.raises(FileExistsError):
        files.write("/data/f/g", b"x")
    with pytest.raises(IsADirectoryError):
        files.write("/data/local", b"x")
    with pytest.raises(IsADirectoryError):
        files.read("/data")
    with pytest.raises(FileNotFoundError):
        files.read("/none")


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("mkdir -p /data/local/tmp/a/b; ls /data/local/tmp/a", "b\n"),
        ("cp /data/x /sdcard/y; mv /sdcard/y /sdcard/z; cat /sdcard/z", "one\ntwo\nthree\n"),
        ("head -n 1 /data/x; tail -n1 /data/x; head -c 2 /data/x", "one\nthree\non"),
        ("stat -c '%s %n' /data/x", "14 /data/x\n"),
        ("wc -l /data/x; wc -c < /data/x", "3 /data/x\n14\n"),
        ("grep -c t /data/x; grep -v t /data/x; grep -i ONE /data/x", "2\none\none\n"),
        ("rm /data/x; [ -e /data/x ] || echo gone", "gone\n"),
        ("rm -rf /data/local/none; echo $?", "0\n"),
        ("ls -d /data/local", "/data/local\n"),
        ("md5sum < /data/x | head -c 4; sha1sum /data/x | wc -c", "deed50\n"),
        ("du -k /data/x", "1\t/data/x\n"),
        ("chmod 755 /data/x; stat -c %a /data/x; chmod +x /data/x; echo $?", "755\n0\n"),
        ("ls -l /data/x | grep -c rw-", "1\n"),
    ],
)  # fmt: skip
def test_commands(text, out):
    phone = emulated.phone()
    phone.files.write("/data/x", b"one\ntwo\nthree\n")
    assert emulated.say(phone, text).out == out
    assert phone.unknown == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rm /none", "No such file"),
        ("rm /data", "is a directory"),
        ("mkdir /data", "File exists"),
        ("mkdir /a/b/c", "No such file"),
        ("cat /data", "Is a directory"),
        ("cp /none /data/y", "No such file"),
        ("stat /none", "No such file"),
        ("chmod 644 /none", "No such file"),
        ("sha256sum /none", "No such file"),
    ],
)
def test_what_cannot_be_done_is_said(text, words):
    said = emulated.say(emulated.phone(), text)
    assert said.status == 1
    assert words in said.err
