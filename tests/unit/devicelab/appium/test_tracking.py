"""adb's list of phones, as its server sends it."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicelab.drivers.appium.adb import AdbError
from devicelab.drivers.appium.tracking import ASK, split, states, track


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("ZY1\tdevice\n127.0.0.1:15555\toffline\n", {"ZY1": "device", "127.0.0.1:15555": "offline"}),
        ("ZY1\tno permissions; see [http://developer.android.com]\n", {"ZY1": "no permissions"}),
        ("garbage\n", {}),
    ],
)
def test_states(text, expected):
    assert states(text) == expected


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=5), st.integers(0, 200))
def test_lists_are_whole_however_they_arrive(texts, cut):
    stream = b"".join(b"%04x%s" % (len(text.encode()), text.encode()) for text in texts)
    first, rest = split(stream[:cut])
    second, left = split(rest + stream[cut:])
    assert (first + second, left) == (texts, b"")


def test_what_is_no_list_is_refused():
    with pytest.raises(AdbError, match="instead of a list"):
        split(b"zzzz")


def served(script):
    """Return the port of a server that answers one client with *script*, and what it heard."""
    listening = socket.create_server(("127.0.0.1", 0))
    heard = []

    def serve():
        with listening, listening.accept()[0] as client:
            heard.append(client.recv(100))
            for part in script:
                client.sendall(part)

    threading.Thread(target=serve, daemon=True).start()
    return listening.getsockname()[1], heard


def test_it_follows_until_the_server_ends():
    port, heard = served([b"OKAY", b"000bZY1\tdevice\n", b"00", b"00"])
    told = track(port)
    assert [next(told), next(told)] == [{"ZY1": "device"}, {}]
    with pytest.raises(AdbError, match="ended"):
        next(told)
    assert heard == [b"0012" + ASK]


def test_a_refusal_is_told():
    port, _ = served([b"FAIL0004nope"])
    with pytest.raises(AdbError, match="refuses: nope"):
        next(track(port))
