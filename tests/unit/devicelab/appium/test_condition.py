"""What a phone tells about itself, with Motorola's trap, with everything hidden, and with nothing at all."""

import pytest

from devicelab.drivers.appium.condition import COMMAND, COMMANDS, NOMINAL_MHZ, read_health, read_serial

BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 2610000
  status: 2
  health: 2
  present: true
  level: 87
  scale: 100
  voltage: 4236
  temperature: 284
  technology: Li-ion
  mod level: -1
  mod status: 1
  mod flag: 0
  mod type: 0
"""
WHOLE = f"""@@battery
{BATTERY}@@cap
1401600
@@nominal
1804800
@@load
1.52 1.10 0.98 1/870 12345
@@uptime
86409.93 612000.10
@@boot
0d9b6f4e-1111-4222-8333-444455556666
@@power
  mWakefulness=Awake
@@space
Filesystem     1K-blocks    Used Available Use% Mounted on
/dev/block/dm-1 24000000 9000000  14900000  38% /data
"""


def test_a_talkative_phone():
    health = read_health(WHOLE)
    assert (health.temperature_c, health.battery_percent, health.battery_health) == (28.4, 87, "good")
    assert health.charging is True
    assert (health.frequency_mhz, health.nominal_mhz) == (1401.6, 1804.8)
    assert (health.load1, health.uptime_s, health.screen_on) == (1.52, 86409.93, True)
    assert health.boot_id == "0d9b6f4e-1111-4222-8333-444455556666"
    assert health.free_mb == pytest.approx(14550.8, abs=0.1)


def test_carriage_returns_change_nothing():
    assert read_health(WHOLE.replace("\n", "\r\n")) == read_health(WHOLE)


def test_motorolas_mod_is_not_the_battery():
    before = WHOLE.replace("  level: 87\n", "").replace("  mod level: -1\n", "  mod level: -1\n  level: 55\n")
    assert read_health(before).battery_percent == 55
    with pytest.raises(ValueError, match="no battery"):
        read_health(WHOLE.replace("  level: 87\n", ""))


def test_a_phone_that_hides_everything_but_its_battery():
    hidden = f"""@@battery
{BATTERY}@@cap
cat: /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq: Permission denied
@@nominal
@@load
cat: /proc/loadavg: Permission denied
@@uptime
@@boot
cat: /proc/sys/kernel/random/boot_id: Permission denied
@@power
@@space
df: /data/local/tmp: Permission denied
"""
    health = read_health(hidden)
    assert health.frequency_mhz is health.load1 is health.uptime_s is health.free_mb is health.screen_on is None
    assert (health.nominal_mhz, health.boot_id, health.temperature_c) == (NOMINAL_MHZ, "", 28.4)


@pytest.mark.parametrize(("code", "name"), [(1, "unknown"), (3, "overheat"), (4, "dead"), (7, "cold"), (99, "unknown")])
def test_battery_health_by_androids_numbers(code, name):
    assert read_health(WHOLE.replace("health: 2", f"health: {code}")).battery_health == name


@pytest.mark.parametrize(
    ("old", "new", "charging"),
    [
        ("status: 2\n  health", "status: 3\n  health", False),
        ("status: 2\n  health", "status: 5\n  health", True),
        ("USB powered: true", "USB powered: false", False),
        ("AC powered: false", "AC powered: true", True),
    ],
)
def test_charging_needs_a_cable_and_a_current(old, new, charging):
    assert read_health(WHOLE.replace(old, new)).charging is charging


def test_asleep():
    assert read_health(WHOLE.replace("Awake", "Dozing")).screen_on is False


FREE = "mCurrentFocus=Window{f5a0b1 u0 com.motorola.launcher3/com.android.launcher3.Launcher}"
UPDATE = "com.motorola.ccc.ota/com.motorola.ccc.ota.ui.DownloadActivity"
HANGS = "Application Not Responding: com.android.systemui"


@pytest.mark.parametrize(
    ("said", "by"),
    [
        ("", ""),
        (f"  {FREE}", ""),
        ("  mCurrentFocus=null", ""),
        (f"  mCurrentFocus=Window{{9a0b u0 {UPDATE}}}", UPDATE),
        (f"  mCurrentFocus=Window{{9a0b u0 {HANGS}}}", HANGS),
        (f"    isStatusBarKeyguard=true\n  {FREE}", "the lock screen"),
        (f"  mShowingLockscreen=true mShowingDream=false mDreamingLockscreen=true\n  {FREE}", "the lock screen"),
    ],
)
def test_what_lies_over_the_apps(said, by):
    assert read_health(f"{WHOLE}@@window\n{said}\n").covered_by == by


def test_a_long_file_system_name_breaks_its_line():
    broken = WHOLE.replace("/dev/block/dm-1 24000000", "/dev/block/bootdevice/by-name/userdata\n  24000000")
    assert read_health(broken).free_mb == read_health(WHOLE).free_mb


@pytest.mark.parametrize("answer", ["", "garbage", "@@battery\n", "@@battery\nCan't find service: battery\n"])
def test_no_battery_is_no_health(answer):
    with pytest.raises(ValueError, match="no battery"):
        read_health(answer)


def test_the_command_asks_for_every_part_and_succeeds():
    assert all(f"echo @@{name}; {command}" in COMMAND for name, command in COMMANDS.items())
    assert COMMAND.endswith("; true")


@pytest.mark.parametrize(("said", "serial"), [("ZY3224AAAA", "ZY3224AAAA"), ("", "")])
def test_the_serial_number_stands_at_the_end(said, serial):
    assert read_serial(f"{WHOLE}@@serial\n{said}\n") == serial
