"""A session against a client that answers what Appium was seen to answer."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from selenium.common.exceptions import WebDriverException

from devicelab.drivers.appium.session import AppiumSession, LogLine, capabilities, parse_line
from devicelab.errors import DeviceError

SOON = 60.0
"""Seconds that nobody takes."""


class Remote:
    """Stands for the client: one answer for every script, a list of lines for the log."""

    def __init__(self, answer="", log=()):
        self.answer = answer
        self.lines = log
        self.asked = []
        self.session_id = "0a"

    def execute_script(self, script, arguments):
        self.asked.append((script, arguments))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def get_log(self, _kind):
        return [{"message": line} for line in self.lines]


def session_on(remote):
    session = AppiumSession.__new__(AppiumSession)
    session._device, session._remote, session._url = "moto-1", remote, "http://127.0.0.1:1"
    return session


def test_a_whole_answer():
    remote = Remote("moto g(6)\n__RC=0\n")
    assert session_on(remote).shell("getprop ro.product.model") == "moto g(6)\n"
    script, arguments = remote.asked[0]
    assert script == "mobile: shell"
    assert arguments == {"command": "getprop ro.product.model 2>&1; echo __RC=$?", "timeout": 20000}


@pytest.mark.parametrize("answer", ["", "moto g(6)\n", "moto g(6)\n__RC=", "__RC=0\nmore"])
def test_an_answer_without_its_exit_status_is_a_lost_connection(answer):
    with pytest.raises(DeviceError, match="cut off") as raised:
        session_on(Remote(answer)).shell("getprop")
    assert raised.value.fault.id == "F9"


def test_another_exit_status():
    session = session_on(Remote("ls: /nope: No such file or directory\n__RC=1\n"))
    assert session.try_shell("ls /nope") == (1, "ls: /nope: No such file or directory\n")
    with pytest.raises(DeviceError, match=r"'ls /nope' ended with 1: ls: /nope: No such file"):
        session.shell("ls /nope")


def test_what_the_client_raises_is_read():
    with pytest.raises(DeviceError) as raised:
        session_on(Remote(WebDriverException("adb: device offline"))).shell("true")
    assert raised.value.fault.id == "F9"


def test_arguments_reach_the_app_in_one_piece():
    remote = Remote("Starting: Intent { cmp=org.tensorflow.lite.benchmark/.BenchmarkModelActivity (has extras) }")
    session_on(remote).start_activity("p/.A", "--graph=/x --num_threads=4")
    asked = {"component": "p/.A", "stop": True, "extras": [["s", "args", "'--graph=/x --num_threads=4'"]]}
    assert remote.asked == [("mobile: startActivity", asked)]


def test_a_quote_would_end_the_quotes():
    with pytest.raises(ValueError, match="a quote"):
        session_on(Remote()).start_activity("p/.A", "--graph='x'")


def test_a_missing_activity_is_told_in_the_text_only():
    said = "Starting: Intent { cmp=p/.A }\nError type 3\nError: Activity class {p/p.A} does not exist."
    with pytest.raises(DeviceError, match=r"Activity class \{p/p.A\} does not exist"):
        session_on(Remote(said)).start_activity("p/.A", "--graph=x")


def test_log_lines_without_logcats_own():
    lines = ["--------- beginning of main", "11-25 02:00:00.123  4321  4322 I tflite  : count=1 curr=5", "x"]
    assert session_on(Remote(log=lines)).log() == [LogLine(4321, "I", "tflite", "count=1 curr=5")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("07-14 13:14:52.097 22838 22838 I tflite  : Graph: [/x]", LogLine(22838, "I", "tflite", "Graph: [/x]")),
        ("07-14 13:14:52.097     1     1 E tflite  : ", LogLine(1, "E", "tflite", "")),
        ("07-14 13:14:52.097  9  9 F libc    : Fatal signal 6: a", LogLine(9, "F", "libc", "Fatal signal 6: a")),
        ("07-14 13:14:52.097 22838 2283", None),
        ("", None),
    ],
)
def test_a_line_of_the_log(text, line):
    assert parse_line(text) == line


class Appium(BaseHTTPRequestHandler):
    """Answers DELETE and notes its path."""

    def do_DELETE(self):
        self.server.deleted.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_ending_it_is_asked_of_appium():
    with HTTPServer(("127.0.0.1", 0), Appium) as server:
        server.deleted = []
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        session = session_on(Remote())
        session._url = f"http://127.0.0.1:{server.server_port}"
        assert session.end().wait(SOON)
        answering.join()
        assert server.deleted == ["/session/0a"]


def test_an_end_is_over_where_nobody_listens():
    assert session_on(Remote()).end().wait(SOON)


def test_an_end_is_over_only_when_appium_has_answered():
    with socket.create_server(("127.0.0.1", 0)) as slow:
        session = session_on(Remote())
        session._url = f"http://127.0.0.1:{slow.getsockname()[1]}"
        ending = session.end()
        accepted, _ = slow.accept()
        with accepted:
            assert accepted.recv(100).startswith(b"DELETE /session/0a")
            assert not ending.wait(0.05)
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert ending.wait(SOON)


def test_capabilities_that_the_lab_depends_on():
    wanted = capabilities("ZY322", adb_port=5137, system_port=8201, installed=False)
    assert wanted["appium:adbPort"] == 5137
    assert wanted["appium:suppressKillServer"] is wanted["appium:noReset"] is True
    assert wanted["appium:skipServerInstallation"] is False
    assert capabilities("ZY322", adb_port=5137, system_port=8201, installed=True)["appium:skipServerInstallation"]
