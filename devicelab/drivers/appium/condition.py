"""What a phone tells about itself, as text of one shell command, read into ``Health``. Pure.

``mobile: batteryInfo`` has no temperature, thermal zones and frequencies are often hidden from the shell of a
phone for sale, and Motorola prints a ``mod level`` among the battery's lines: so this reads ``dumpsys battery``, and
takes what else it is given.
"""

import re

from devicelab.device import BatteryHealth, Health

COMMANDS = {
    "battery": "dumpsys battery",
    "cap": "cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq",
    "nominal": "cat /sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
    "load": "cat /proc/loadavg",
    "uptime": "cat /proc/uptime",
    "boot": "cat /proc/sys/kernel/random/boot_id",
    "power": "dumpsys power | grep mWakefulness=",
    "window": "dumpsys window | grep -E 'mCurrentFocus=|(Showing|Dreaming)Lockscreen=true|isStatusBarKeyguard=true'",
    "space": "df /data/local/tmp",
    "serial": "getprop ro.serialno",
}
COMMAND = "; ".join(f"echo @@{name}; {command}" for name, command in COMMANDS.items()) + "; true"
"""Asks for all of it in one round trip. One that fails leaves its part empty, or with the reason in it."""
LOCKED = re.compile(r"m(?:Showing|Dreaming)Lockscreen=true|isStatusBarKeyguard=true")
"""The lock screen is shown, as Android 8 and 9 say it (the signs that appium-adb's ``isScreenLocked`` reads)."""
POP_UP = re.compile(
    r"mCurrentFocus=Window\{\w+ u\d+ "
    r"(?P<window>[^}]*(?:\bota/|SystemUpdate|Application Not Responding|Application Error)[^}]*)\}"
)
"""A window on top that no app of ours has put there: a system update's, or the notice that an app hangs or crashed.
Which launcher is a phone's own is not known, so that any other window is let pass."""

BATTERY_HEALTH: dict[int, BatteryHealth] = {
    1: "unknown",
    2: "good",
    3: "overheat",
    4: "dead",
    5: "over_voltage",
    6: "failure",
    7: "cold",
}
CHARGING, FULL = 2, 5
"""``BatteryManager.BATTERY_STATUS_CHARGING`` and ``_FULL``."""
NOMINAL_MHZ = 1804.8
"""The Moto G6's highest clock (SD450), where the phone hides it."""


def read_health(answer: str) -> Health:
    """Return the health that *answer*, the output of ``COMMAND``, tells.

    Raises:
        ValueError: it does not even tell charge and temperature of the battery.
    """
    parts = dict(re.findall(r"^@@(\w+)\r?\n(.*?)(?=^@@|\Z)", answer, re.DOTALL | re.MULTILINE))
    battery = dict(re.findall(r"^\s*([a-zA-Z][\w ]*?): (\S+)\s*$", parts.get("battery", ""), re.MULTILINE))
    if "temperature" not in battery or "level" not in battery:
        raise ValueError(f"no battery in the answer: {' '.join(answer.split())[:300]!r}")
    nominal, uptime = _number(parts.get("nominal")), _number(parts.get("uptime"))
    cap = _number(parts.get("cap"))
    wake = re.search(r"mWakefulness=(\w+)", parts.get("power", ""))
    powered = any(battery.get(f"{kind} powered") == "true" for kind in ("AC", "USB", "Wireless"))
    return Health(
        temperature_c=float(battery["temperature"]) / 10,
        battery_percent=100 * float(battery["level"]) / float(battery.get("scale", 100)),
        charging=powered and battery.get("status") in {str(CHARGING), str(FULL)},
        battery_health=BATTERY_HEALTH.get(int(battery.get("health", 1)), "unknown"),
        frequency_mhz=None if cap is None else cap / 1e3,
        nominal_mhz=NOMINAL_MHZ if nominal is None else nominal / 1e3,
        load1=_number(parts.get("load")),
        uptime_s=uptime,
        boot_id=_boot_id(parts.get("boot", "")),
        screen_on=None if wake is None else wake[1] == "Awake",
        covered_by=_covered_by(parts.get("window", "")),
        free_mb=_free_mb(parts.get("space", "")),
    )


def read_serial(answer: str) -> str:
    """Return the serial number that *answer*, the output of ``COMMAND``, tells, "" for none."""
    found = re.search(r"^@@serial\r?\n(\S+)\s*$", answer, re.MULTILINE)
    return found[1] if found and not found[1].startswith("@@") else ""


def _number(text: str | None) -> float | None:
    """Return the number that *text* begins with, None for an error message or nothing."""
    found = re.match(r"\s*(\d+(?:\.\d+)?)(?:\s|$)", text or "")
    return float(found[1]) if found else None


def _covered_by(text: str) -> str:
    window = POP_UP.search(text)
    return window["window"] if window else "the lock screen" if LOCKED.search(text) else ""


def _boot_id(text: str) -> str:
    found = re.fullmatch(r"\s*([0-9a-f-]{36})\s*", text)
    return found[1] if found else ""


def _free_mb(text: str) -> float | None:
    """Read toybox' ``df``: size, used, available in KiB, percent; a long file system's name takes a line of its own."""
    found = re.search(r"\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%\s", text + "\n")
    return float(found[3]) / 1024 if found else None
