"""Installed apps, what starts them, and UiAutomator2's server on the phone."""

import asyncio
import json

import emulated
import pytest
from apks import apk

from devicelab.emulator.uia2 import serve_http

SERVER = "io.appium.uiautomator2.server"
TARGET = f"{SERVER}.test/androidx.test.runner.AndroidJUnitRunner"


def manifest(name, code=1):
    return [("manifest", {"package": name, "versionCode": code, "versionName": "1.0"})]


def server_phone():
    phone = emulated.phone()
    phone.packages.install(apk(manifest(SERVER)))
    runner = ("instrumentation", {"name": "androidx.test.runner.AndroidJUnitRunner", "targetPackage": SERVER})
    phone.packages.install(apk([*manifest(f"{SERVER}.test"), runner]))
    return phone


@pytest.mark.parametrize("options", ["-r", "-g", "-r -d -t"])
def test_installs_from_the_stream_and_from_a_file(options):
    phone = emulated.phone()
    file = apk(manifest("a.b", 5))
    assert emulated.say(phone, f"cmd package 'install' {options} -S {len(file)}", file).out == "Success\n"
    assert "package:a.b versionCode:5" in emulated.say(phone, "pm list packages --show-versioncode").out
    phone.files.write("/data/local/tmp/x.apk", apk(manifest("a.b", 6)))
    assert emulated.say(phone, f"pm install {options} /data/local/tmp/x.apk").out == "Success\n"
    dump = emulated.say(phone, "dumpsys package a.b").out
    assert "versionCode=6" in dump
    assert emulated.say(phone, "pm path a.b").out.startswith("package:/data/app/a.b-")
    assert emulated.say(phone, "pm uninstall a.b").out == "Success\n"
    assert emulated.say(phone, "pm path a.b").status == 1


def test_a_full_phone_and_a_broken_file_are_refused():
    phone = emulated.phone()
    file = apk(manifest("a.b"))
    phone.files.full = True
    said = emulated.say(phone, f"pm install -S {len(file)}", file)
    assert (said.status, said.out) == (1, "Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE]\n")
    assert emulated.say(phone, "pm install -S 3", b"bad").out == "Failure [INSTALL_PARSE_FAILED_NOT_APK]\n"
    assert "Unable to open file" in emulated.say(phone, "pm install /none.apk").err


def test_instrumentation_is_listed_by_its_manifest():
    assert (
        emulated.say(server_phone(), "pm list instrumentation").out == f"instrumentation:{TARGET} (target={SERVER})\n"
    )
    said = emulated.say(emulated.phone(), f"am instrument -w {TARGET}")
    assert said.status == 1
    assert "INSTRUMENTATION_FAILED" in said.err


def ask(phone, requests):
    """Answer raw HTTP *requests* while the server runs; return status and value of each."""

    async def scenario():
        running = asyncio.ensure_future(emulated.shell(phone, f"am instrument -w -e a b {TARGET}"))
        await emulated.until(lambda: phone.uia2.running)
        reader, answers = asyncio.StreamReader(), []
        for method, path, body in requests:
            session = next(iter(phone.uia2.sessions), "none")
            content = json.dumps(body).encode() if body is not None else b""
            head = f"{method} {path.replace('SESSION', session)} HTTP/1.1\r\nContent-Length: {len(content)}\r\n\r\n"
            reader = asyncio.StreamReader()
            reader.feed_data(head.encode() + content)
            reader.feed_eof()
            await serve_http(phone, reader, collect(answers))
        phone.end_process(SERVER)
        return answers, await running

    return asyncio.run(scenario())


def collect(answers):
    async def write(data):
        head, _, content = data.partition(b"\r\n\r\n")
        answers.append((int(head.split()[1]), json.loads(content)["value"]))

    return write


def test_the_server_answers_in_a_session_and_only_there():
    phone = server_phone()
    answers, said = ask(
        phone,
        [
            ("GET", "/status", None),
            ("GET", "/session/none/source", None),
            ("POST", "/session", {"capabilities": {}}),
            ("GET", "/sessions", None),
            ("GET", "/session/SESSION/window/current/size", None),
            ("GET", "/session/SESSION/appium/device/battery_info", None),
            ("DELETE", "/session/SESSION", None),
        ],
    )
    statuses = [status for status, _ in answers]
    assert statuses == [200, 404, 200, 200, 200, 200, 200]
    assert answers[1][1]["error"] == "invalid session id"
    assert answers[4][1] == {"width": 1080, "height": 2034}
    assert answers[5][1] == {"level": 0.6, "status": 2}
    assert "INSTRUMENTATION_CODE: -1" in said.out
    assert phone.unknown == []


def test_an_unknown_route_is_recorded():
    phone = server_phone()
    answers, _ = ask(phone, [("POST", "/session", {}), ("POST", "/session/SESSION/nonsense", {})])
    assert answers[1][0] == 404
    assert phone.unknown == ["uia2 POST nonsense"]


def test_apps_start_once_and_stop():
    phone = emulated.phone()
    phone.packages.install(apk(manifest("io.appium.settings")))
    said = emulated.say(phone, "am start-activity -W -n io.appium.settings/.Settings -a android.intent.action.MAIN")
    assert "Status: ok" in said.out
    assert "isForeground=true" in emulated.say(phone, "dumpsys activity services io.appium.settings").out
    emulated.say(phone, "am start -n io.appium.settings/.Settings; am force-stop io.appium.settings")
    assert emulated.say(phone, "pidof io.appium.settings").status == 1


@pytest.mark.parametrize("text", ["am broadcast -a x.y", "am get-current-user", "am start-service -n a/.B"])
def test_other_orders_to_the_activity_manager(text):
    phone = emulated.phone()
    assert emulated.say(phone, text).status == 0
    assert phone.unknown == []
