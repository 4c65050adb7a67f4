"""What the emulated phone says about itself: properties, battery, kernel files, screen, log, processes, settings."""

import asyncio

import emulated
import pytest

from devicelab.android import EMULATOR_PROPERTIES, SIMULATED_PROPERTY
from devicelab.drivers.appium.condition import COMMAND, read_health
from devicelab.emulator.mischief import Mischief
from devicelab.emulator.properties import UNVERIFIED, properties
from devicelab.emulator.server import Cable


def suffer(phone, *faults):
    async def scenario():
        mischief = Mischief(phone, Cable(phone, 0))
        for fault in faults:
            await mischief.order(fault, "now")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("android", "sdk", "build"),
    [
        ("8.0", "26", "motorola/ali/ali:8.0.0/OPS27.82-87/108"),
        ("9", "28", "motorola/ali/ali:9/PPSS29.55-37-7-6/16c5a7"),
    ],
)
def test_properties_are_those_of_the_build(android, sdk, build):
    phone = emulated.phone(android=android)
    assert emulated.say(phone, "getprop ro.build.version.sdk").out.strip() == sdk
    assert emulated.say(phone, "getprop ro.build.fingerprint").out == f"{build}:user/release-keys\n"
    assert "[ro.product.model]: [moto g(6)]" in emulated.say(phone, "getprop").out


@pytest.mark.parametrize("android", ["8.0", "9"])
def test_it_can_never_pass_for_a_real_phone(android):
    known = properties(android, "ZY322TEST1")
    assert known[SIMULATED_PROPERTY]
    assert [known[name] for name in EMULATOR_PROPERTIES] == ["1", "1"]
    assert emulated.say(emulated.phone(), f"setprop {SIMULATED_PROPERTY} ''").status == 1


def test_what_was_not_seen_in_public_is_marked():
    assert set(UNVERIFIED) <= set(properties("9", "X"))


def test_the_driver_reads_its_health():
    health = read_health(emulated.say(emulated.phone(), COMMAND).out)
    assert (health.temperature_c, health.battery_percent, health.battery_health) == (24.0, 60.0, "good")
    assert (health.frequency_mhz, health.nominal_mhz) == (1804.8, 1804.8)
    assert health.charging is health.screen_on is True
    assert health.free_mb > 1000
    assert health.uptime_s >= 3600
    assert len(health.boot_id) == 36


@pytest.mark.parametrize(
    ("fault", "undo", "shows"),
    [
        ("hot", "cool", lambda health: health.temperature_c > 45 and health.frequency_mhz == 652.8),
        ("throttle", "cool", lambda health: health.frequency_mhz == 1401.6),
        ("storage-full", "storage-free", lambda health: health.free_mb == 0),
        ("empty-battery", "charge", lambda health: health.battery_percent == 5 and not health.charging),
        ("sick-battery", "charge", lambda health: health.battery_health == "over_voltage"),
    ],
)
def test_faults_show_in_its_health_until_they_are_undone(fault, undo, shows):
    phone = emulated.phone()
    suffer(phone, fault)
    assert shows(read_health(emulated.say(phone, COMMAND).out))
    suffer(phone, undo)
    assert not shows(read_health(emulated.say(phone, COMMAND).out))


def test_motorolas_trap_is_there():
    lines = emulated.say(emulated.phone(), "dumpsys battery | grep level").out.split("\n")
    assert lines[:2] == ["  level: 60", "  mod level: -1"]


def test_a_pop_up_takes_the_focus_and_locks_the_screen():
    phone = emulated.phone()
    suffer(phone, "pop-up")
    window = emulated.say(phone, "dumpsys window").out
    assert "mCurrentFocus=Window{f5a0b1 u0 com.motorola.ccc.ota/" in window
    assert "mDreamingLockscreen=true" in window
    suffer(phone, "dismiss")
    assert "mDreamingLockscreen=false" in emulated.say(phone, "dumpsys window").out


def test_a_serial_number_can_be_anothers():
    phone = emulated.phone()
    suffer(phone, "duplicate-serial")
    assert emulated.say(phone, "getprop ro.serialno").out != "ZY322TEST1\n"
    suffer(phone, "true-serial")
    assert emulated.say(phone, "getprop ro.serialno").out == "ZY322TEST1\n"


@pytest.mark.parametrize(("android", "missing"), [("8.0", True), ("9", False)])
def test_the_thermal_service_came_with_android_9(android, missing):
    said = emulated.say(emulated.phone(android=android), "dumpsys thermalservice")
    assert ("Can't find service: thermalservice" in said.err) == missing


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("hardware_properties", "Battery temperatures: [24.0]"),
        ("cpuinfo", "Load: 0.3"),
        ("meminfo", "Total RAM"),
        ("power", "mWakefulness=Awake"),
        ("activity processes", ":system_server/"),
        ("activity services io.appium.settings", "(nothing)"),
        ("deviceidle whitelist +a.b", "Added: a.b"),
        ("package a.b", "Unable to find package: a.b"),
    ],
)
def test_services_dump(service, words):
    phone = emulated.phone()
    assert words in emulated.say(phone, f"dumpsys {service}").out
    assert phone.unknown == []


@pytest.mark.parametrize("text", ["dumpsys surfaceflinger", "dumpsys activity nonsense", "cmd nonsense", "pm nonsense"])
def test_what_is_not_known_of_the_system_is_recorded(text):
    phone = emulated.phone()
    emulated.say(phone, text)
    assert len(phone.unknown) == 1


def test_the_screen_sleeps_and_wakes():
    phone = emulated.phone()
    emulated.say(phone, "input keyevent SLEEP")
    assert "mWakefulness=Asleep" in emulated.say(phone, "dumpsys power").out
    emulated.say(phone, "input keyevent KEYCODE_WAKEUP")
    assert "mWakefulness=Awake" in emulated.say(phone, "dumpsys power").out


def test_settings_are_kept():
    phone = emulated.phone()
    said = emulated.say(phone, "settings put global a 1; settings get global a; settings delete global a")
    assert said.out == "1\nDeleted 1 rows\n"
    assert emulated.say(phone, "settings get global a").out == "null\n"


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("logcat -d -v tag", ["a", "b", "a"]),
        ("logcat -d -v tag -s a", ["a", "a"]),
        ("logcat -d -v tag a:W '*:S'", ["a"]),
        ("logcat -d -v tag -t 1", ["a"]),
        ("logcat -d -v tag -e beta", ["b"]),
        ("logcat -d -v tag b:S", ["a", "a"]),
    ],
)
def test_the_log_is_filtered(text, tags):
    phone = emulated.phone()
    emulated.say(phone, "logcat -c; log -t a alpha; log -p w -t b beta; log -p e -t a gamma")
    lines = emulated.say(phone, text).out.splitlines()
    assert [line[2] for line in lines[1:]] == tags


@pytest.mark.parametrize(
    ("style", "line"),
    [
        ("brief", "I/a       ("),
        ("tag", "I/a       : x"),
        ("raw", "x"),
        ("time", " I/a       ("),
        ("threadtime", " I a       : x"),
    ],
)
def test_the_log_is_written_in_styles(style, line):
    phone = emulated.phone()
    emulated.say(phone, "logcat -c; log -t a x")
    assert line in emulated.say(phone, f"logcat -d -v {style}").out


def test_processes_are_found_and_ended():
    phone = emulated.phone()
    pid = phone.processes.spawn("some.app")
    said = emulated.say(phone, "pidof some.app; pgrep -f some; ps | grep some.app")
    assert said.out.splitlines()[:2] == [str(pid), str(pid)]
    assert said.out.splitlines()[2].endswith(" some.app")
    assert emulated.say(phone, f"kill -9 {pid}; pidof some.app").status == 1


def test_storage_is_told_and_shrinks():
    phone = emulated.phone()
    before = int(emulated.say(phone, "df /data").out.split()[-3])
    phone.files.write("/data/local/tmp/big", bytes(10_000_000))
    assert int(emulated.say(phone, "df /data").out.split()[-3]) < before - 9000
