"""The phone's shell: quoting, expansion, streams, and exit statuses that callers rely on."""

import asyncio

import emulated
import pytest


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("echo a  b", "a b\n"),
        ("echo 'a  b' \"c  d\" e\\ f", "a  b c  d e f\n"),
        ('echo "$(getprop ro.product.device)"-x', "ali-x\n"),
        ("X='a  b'; echo $X \"$X\" '$X' \"\\$X\"", "a b a  b $X $X\n"),
        ("false; echo $?; echo $?", "1\n0\n"),
        ("nosuch 2>/dev/null; echo __RC=$?", "__RC=127\n"),
        ("false && echo a || echo b", "b\n"),
        ("true && echo a || echo b", "a\n"),
        ("echo a | cat | wc -c", "2\n"),
        ("(echo out; nosuch) 2>&1 | grep -c .", "2\n"),
        ("echo hi > /data/local/tmp/x; echo ho >> /data/local/tmp/x; cat < /data/local/tmp/x", "hi\nho\n"),
        ("touch /sdcard/b.t /sdcard/a.t; echo /sdcard/*.t", "/sdcard/a.t /sdcard/b.t\n"),
        ("echo '*.t' *.none", "*.t *.none\n"),
        ("export ANDROID_LOG_TAGS=''; exec echo x", "x\n"),
        ("printf '%s=%d\\n' a 5", "a=5\n"),
        ("sh -c 'false; echo $?'", "1\n"),
        ("[ -e '/data/local/tmp' ] && echo __PASS__", "__PASS__\n"),
        ("[ 3 -gt 2 ] && [ ! -f /nope ] && test a != b && echo yes", "yes\n"),
        ("cat /proc/cpuinfo | grep -m1 processor", "processor\t: 0\n"),
        ("", ""),
    ],
)  # fmt: skip
def test_output(text, out):
    phone = emulated.phone()
    assert emulated.say(phone, text).out == out
    assert phone.unknown == ([] if "nosuch" not in text else [w for w in phone.unknown if w == "nosuch"])


@pytest.mark.parametrize(
    ("text", "status"),
    [("true", 0), ("false", 1), ("nosuch", 127), ("ls /nope", 1), ("exec false", 1), ("echo a | false", 1),
     ("false | true", 0), ("(false)", 1), ("taskset f0 false", 1), ("taskset 0 true", 1), ("cat /nope", 1),
     ("/data/local/tmp/none", 127), ("[ a -eq b ]", 2), ("grep x < /data/none", 1)],
)  # fmt: skip
def test_status(text, status):
    assert emulated.say(emulated.phone(), text).status == status


@pytest.mark.parametrize("text", ["nosuch --flag", "ls -Q /", "echo 'open", "(echo", "a &&", "| b", "rm --all"])
def test_what_is_not_known_is_recorded(text):
    phone = emulated.phone()
    said = emulated.say(phone, text)
    assert said.status != 0
    assert said.err
    assert phone.unknown == [text]


def test_complaints_go_to_standard_error():
    said = emulated.say(emulated.phone(), "ls /nope")
    assert (said.out, said.err) == ("", "ls: /nope: No such file or directory\n")


def test_a_pipe_into_a_short_reader_ends_an_endless_writer():
    said = asyncio.run(asyncio.wait_for(emulated.shell(emulated.phone(), "logcat | grep -m1 boot"), 5))
    assert "boot completed" in said.out


def test_a_background_command_goes_on():
    async def scenario():
        phone = emulated.phone()
        first = await emulated.shell(phone, "nohup sh -c 'sleep 20; echo done' > /data/local/tmp/o 2>&1 & echo started")
        await phone.clock.sleep(60)
        return first, await emulated.shell(phone, "cat /data/local/tmp/o")

    first, later = asyncio.run(scenario())
    assert (first.out, later.out) == ("started\n", "done\n")


def test_full_storage_is_reported_and_changes_nothing():
    phone = emulated.phone()
    phone.files.full = True
    said = emulated.say(phone, "echo x > /data/local/tmp/x")
    assert said.status == 1
    assert "No space left on device" in said.err


def test_digest_of_standard_input_and_file_agree():
    phone = emulated.phone()
    phone.files.write("/data/local/tmp/m", b"model")
    said = emulated.say(phone, "sha256sum /data/local/tmp/m; cat /data/local/tmp/m | sha256sum")
    assert len({line.split()[0] for line in said.out.splitlines()}) == 1
