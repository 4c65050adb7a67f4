"""Emulated phones of both systems behind Google's adb 36: what it does with them, and what faults look like to it."""

import hashlib
import json
import random
import subprocess
import urllib.request
from pathlib import Path

import pytest
from apks import apk

from devicelab.drivers.appium.server import free_port

SERVER = "io.appium.uiautomator2.server"
RUNNER = "androidx.test.runner.AndroidJUnitRunner"


def install(phone, tmp_path, name, *, streamed=True, runner=None):
    elements = [("manifest", {"package": name, "versionCode": 3, "versionName": "1.0"})]
    elements += [("instrumentation", {"name": runner, "targetPackage": SERVER})] if runner else []
    path = Path(tmp_path) / f"{name}.apk"
    path.write_bytes(apk(elements, padding=b"x" * 100_000))
    return phone.run("install", "-r", *([] if streamed else ["--no-streaming"]), str(path))


def test_adb_lists_a_moto_g6(phone):
    line = next(line for line in phone.adb.run("devices", "-l").stdout.splitlines() if phone.udid in line)
    assert "product:ali model:moto_g_6_ device:ali" in line


def test_shell_keeps_streams_and_status_apart(phone):
    said = phone.shell("echo out; ls /nope; nosuch; exit_me=1; cat /nope")
    assert said.stdout == "out\n"
    assert "ls: /nope: No such file or directory" in said.stderr
    assert said.returncode == 1
    assert phone.shell("false; echo __RC=$?").stdout == "__RC=1\n"
    assert phone.shell("nosuch").returncode == 127


def test_twenty_megabytes_come_back_as_they_went(phone, tmp_path):
    data = random.Random(7).randbytes(20_000_000)
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(data)
    assert phone.run("push", str(there), "/data/local/tmp/m.tflite").returncode == 0
    assert phone.run("pull", "/data/local/tmp/m.tflite", str(back)).returncode == 0
    assert back.read_bytes() == data
    digest = phone.shell("sha256sum /data/local/tmp/m.tflite").stdout.split()[0]
    assert digest == hashlib.sha256(data).hexdigest()
    assert phone.shell("rm /data/local/tmp/m.tflite").returncode == 0


def test_pulling_what_is_not_there_fails(phone, tmp_path):
    said = phone.run("pull", "/data/local/tmp/none", str(tmp_path / "none"))
    assert said.returncode == 1
    assert "No such file or directory" in said.stderr + said.stdout


@pytest.mark.parametrize("streamed", [True, False])
def test_apps_are_installed_by_their_own_manifest(phone, tmp_path, streamed):
    assert "Success" in install(phone, tmp_path, "org.example.app", streamed=streamed).stdout
    assert "package:org.example.app versionCode:3" in phone.shell("pm list packages --show-versioncode").stdout
    assert "Success" in phone.run("uninstall", "org.example.app").stdout
    assert "org.example.app" not in phone.shell("pm list packages").stdout


def test_what_is_no_app_is_refused(phone, tmp_path):
    (tmp_path / "bad.apk").write_bytes(b"no zip")
    said = phone.run("install", str(tmp_path / "bad.apk"))
    assert said.returncode == 1
    assert "INSTALL_PARSE_FAILED_NOT_APK" in said.stdout + said.stderr


def test_the_log_is_dumped_filtered_and_followed(phone):
    follower = phone.adb.start("-s", phone.udid, "logcat", "-v", "brief", "-s", "ActivityManager")
    try:
        phone.shell("am start -n org.tensorflow.lite.benchmark/.BenchmarkModelActivity")
        lines = iter(follower.stdout.readline, "")
        assert any("Start proc" in line for line in lines)
    finally:
        follower.terminate()
        follower.communicate()
    assert "Start proc" in phone.run("logcat", "-d").stdout
    assert "Start proc" not in phone.run("logcat", "-d", "-s", "tflite").stdout


def test_http_of_the_server_on_the_phone_goes_through_a_forward(phone, tmp_path):
    install(phone, tmp_path, SERVER)
    install(phone, tmp_path, f"{SERVER}.test", runner=RUNNER)
    port = free_port()
    assert phone.run("forward", f"tcp:{port}", "tcp:6790").returncode == 0
    runner = phone.adb.start("-s", phone.udid, "shell", f"am instrument -w {SERVER}.test/{RUNNER}")
    try:
        assert "INSTRUMENTATION_STATUS" in runner.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=10) as answer:
            assert json.load(answer)["value"]["ready"] is True
        phone.emulator.order("crash-uia2")
        assert "shortMsg=Process crashed." in runner.communicate(timeout=10)[0]
    finally:
        runner.terminate()
        runner.communicate()
        phone.run("forward", "--remove", f"tcp:{port}")


def test_an_unauthorized_phone_is_listed_as_such(phone):
    phone.emulator.order("unauthorize")
    try:
        phone.adb.run("connect", phone.udid)
        phone.adb.await_(lambda: phone.state() == "unauthorized")
        said = phone.shell("true")
        assert said.returncode == 1
        assert "unauthorized" in said.stderr
    finally:
        phone.emulator.order("authorize")
    phone.connect()


def test_a_dropped_connection_ends_what_runs_and_comes_back(phone):
    running = phone.adb.start("-s", phone.udid, "shell", "sleep 1000; echo done")
    phone.adb.await_(lambda: any("sleep 1000" in line for line in phone.emulator.trace()))
    phone.emulator.order("drop")
    out, _ = running.communicate(timeout=10)
    assert (out, running.returncode) == ("", 255)
    phone.connect()
    assert phone.shell("echo back").stdout == "back\n"


def test_an_unplugged_phone_is_gone_until_it_is_plugged_in_again(phone):
    phone.emulator.order("unplug")
    phone.adb.await_(lambda: phone.state() in {"offline", "absent"})
    assert phone.shell("true").returncode == 1
    assert "connected to" not in phone.adb.run("connect", phone.udid).stdout.replace("already connected to", "")
    phone.emulator.order("replug")
    phone.connect()
    assert phone.shell("echo back").stdout == "back\n"


def test_a_phone_that_hangs_says_nothing_and_then_everything(phone):
    phone.emulator.order("hang")
    running = phone.adb.start("-s", phone.udid, "shell", "echo late")
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(0.5)
    assert phone.state() == "device"
    phone.emulator.order("unhang")
    assert running.communicate(timeout=10)[0] == "late\n"


def test_a_push_is_cut_in_its_middle(phone, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(bytes(8_000_000))
    phone.emulator.order("drop", when="push")
    assert phone.run("push", str(big), "/data/local/tmp/big.tflite").returncode != 0
    phone.connect()
    assert phone.shell("[ -e /data/local/tmp/big.tflite ]").returncode == 1
    assert "drop@push" in phone.emulator.states()[0]["happened"]


def test_a_full_phone_takes_no_file(phone, tmp_path):
    file = tmp_path / "x"
    file.write_bytes(bytes(1000))
    phone.emulator.order("storage-full")
    said = phone.run("push", str(file), "/data/local/tmp/x.tflite")
    phone.emulator.order("storage-free")
    assert said.returncode == 1
    assert "No space left on device" in said.stdout + said.stderr


def test_a_restart_changes_the_boot_id_and_the_uptime(phone):
    before = phone.shell("cat /proc/sys/kernel/random/boot_id").stdout
    phone.run("reboot")
    phone.adb.await_(lambda: phone.state() != "device")

    def booted():
        phone.adb.run("disconnect", phone.udid)
        phone.adb.run("connect", phone.udid)
        return phone.shell("getprop sys.boot_completed").stdout == "1\n"

    phone.adb.await_(booted)
    assert phone.shell("cat /proc/sys/kernel/random/boot_id").stdout != before
    assert float(phone.shell("cat /proc/uptime").stdout.split()[0]) < 600


def test_it_knew_all_that_it_was_asked(phone):
    asked_on_purpose = {"nosuch"}
    assert set(phone.emulator.states()[0]["unknown"]) == asked_on_purpose
