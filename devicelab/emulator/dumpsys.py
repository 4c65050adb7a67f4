"""What the system's services dump, as far as Appium and this lab's driver read it.

``battery`` follows BatteryService.java with Motorola's own lines (``mod level`` is the trap: it is no battery's level),
``hardware_properties`` HardwarePropertiesManagerService.java. Android 8 has no ``thermalservice``; Android 9 has one
without a dump (not verified on a real phone).
"""

import posixpath
from collections.abc import Callable, Mapping

from devicelab.drivers.simulator import CORES
from devicelab.emulator.phone import Phone
from devicelab.emulator.shell import Call, Program

CHARGING, NOT_CHARGING = 2, 3
FULL_MICROAMPERE_HOURS = 3_000_000
THROTTLES_AT_C = 95.0


async def dumpsys(call: Call) -> int:
    """Dump a service."""
    service = call.args[0] if call.args else ""
    dump = _SERVICES.get(service)
    text = dump(call.phone, call.args[1:]) if dump else None
    if text is None:
        if dump is None:
            call.phone.unknown.append(f"dumpsys {' '.join(call.args)}".strip())
        await call.complain(f"Can't find service: {service}")
        return 0
    await call.say(text)
    return 0


def battery(phone: Phone, arguments: tuple[str, ...]) -> str:
    """Return the dump of ``battery``: level in percent, voltage in mV, temperature in tenths of a degree Celsius."""
    del arguments
    health = phone.health()
    level = round(health.battery_percent)
    return (
        "Current Battery Service state:\n"
        "  AC powered: false\n"
        f"  USB powered: {str(bool(health.charging)).lower()}\n"
        "  Wireless powered: false\n"
        "  Max charging current: 500000\n"
        "  Max charging voltage: 5000000\n"
        f"  Charge counter: {FULL_MICROAMPERE_HOURS * level // 100}\n"
        f"  status: {CHARGING if health.charging else NOT_CHARGING}\n"
        f"  health: {phone.battery_health}\n"
        "  present: true\n"
        f"  level: {level}\n"
        "  scale: 100\n"
        f"  voltage: {3500 + 9 * level}\n"
        f"  temperature: {round(health.temperature_c * 10)}\n"
        "  technology: Li-ion\n"
        "  mod level: -1\n"
        "  mod status: 1\n"
        "  mod flag: 0\n"
        "  mod type: 0\n"
    )


def dump_package(phone: Phone, name: str) -> str:
    """Return the dump of the app *name*, as ``dumpsys package`` and ``pm dump`` give it."""
    package = phone.packages.installed.get(name)
    if package is None:
        return f"Unable to find package: {name}\n"
    info = package.info
    permissions = "".join(f"      {permission}\n" for permission in info.permissions)
    granted = "".join(f"      {permission}: granted=true\n" for permission in info.permissions)
    return (
        f"Packages:\n  Package [{name}] (5d1c7b1):\n    userId=10171\n    pkg=Package{{a0b1c2 {name}}}\n"
        f"    codePath={posixpath.dirname(package.path)}\n    primaryCpuAbi=armeabi-v7a\n"
        f"    versionCode={info.version_code} minSdk=26 targetSdk=34\n    versionName={info.version_name}\n"
        "    flags=[ DEBUGGABLE HAS_CODE ALLOW_CLEAR_USER_DATA ]\n"
        f"    requested permissions:\n{permissions}    install permissions:\n{granted}"
        "    User 0: ceDataInode=123 installed=true hidden=false suspended=false stopped=false enabled=0\n"
        f"      runtime permissions:\n{granted}"
    )


def _package(phone: Phone, arguments: tuple[str, ...]) -> str:
    return dump_package(phone, arguments[0] if arguments else "")


def _window(phone: Phone, arguments: tuple[str, ...]) -> str:
    """Return the parts about lock screen and focus; ``displays`` and ``windows`` choose nothing smaller here."""
    del arguments
    screen = phone.screen
    locked, awake = str(screen.locked).lower(), str(screen.awake).lower()
    return (
        "WINDOW MANAGER POLICY STATE (dumpsys window policy)\n"
        f"    mShowingLockscreen={locked} mShowingDream=false mDreamingLockscreen={locked}\n"
        f"    isStatusBarKeyguard={locked}\n    mAwake={awake} mScreenOnEarly={awake} mScreenOnFully={awake}\n"
        f"    KeyguardServiceDelegate\n      showing={locked}\n      showingAndNotOccluded={locked}\n"
        f"  mCurrentFocus=Window{{f5a0b1 u0 {screen.focus}}}\n"
        f"  mFocusedApp=AppWindowToken{{cf3a token=Token{{1 ActivityRecord{{2 u0 {screen.focus} t7}}}}}}\n"
    )


def _power(phone: Phone, arguments: tuple[str, ...]) -> str:
    del arguments
    awake = phone.screen.awake
    return (
        f"POWER MANAGER (dumpsys power)\n  mWakefulness={'Awake' if awake else 'Asleep'}\n"
        f"  mHoldingDisplaySuspendBlocker={str(awake).lower()}\nDisplay Power: state={'ON' if awake else 'OFF'}\n"
    )


def _activity(phone: Phone, arguments: tuple[str, ...]) -> str:
    match arguments:
        case ("services", *packages):
            return _services(phone, packages[0] if packages else "")
        case ("processes", *_):
            records = "".join(
                f"  *APP* UID 10171 ProcessRecord{{4b29bd6 {pid}:{name}/u0a171}}\n"
                for pid, name in phone.processes.names.items()
            )
            return f"ACTIVITY MANAGER RUNNING PROCESSES (dumpsys activity processes)\n{records}"
        case () | ("activities" | "top", *_):
            focus = phone.screen.focus
            return f"ACTIVITY MANAGER ACTIVITIES\n  mResumedActivity: ActivityRecord{{2 u0 {focus} t7}}\n"
    phone.unknown.append(f"dumpsys activity {' '.join(arguments)}")
    return f"Bad activity command, or no activities match: {arguments[0]}\n"


def _services(phone: Phone, package: str) -> str:
    head = "ACTIVITY MANAGER SERVICES (dumpsys activity services)\n"
    if not phone.processes.find(package):
        return f"{head}  (nothing)\n"
    record = f"ServiceRecord{{86af0 u0 {package}/.ForegroundService}}"
    return f"{head}  User 0 active services:\n  * {record}\n    isForeground=true foregroundId=1\n"


def _hardware(phone: Phone, arguments: tuple[str, ...]) -> str:
    del arguments
    degrees = phone.health().temperature_c
    cpu = ", ".join([f"{degrees + 8:.1f}"] * CORES)
    limits = ", ".join([f"{THROTTLES_AT_C:.1f}"] * CORES)
    usage = "".join(f"Cpu usage of core: {core}, active = 1000, total = 10000\n" for core in range(CORES))
    return (
        "****** Dump of HardwarePropertiesManagerService ******\n"
        f"CPU temperatures: [{cpu}]\nCPU throttling temperatures: [{limits}]\nCPU shutdown temperatures: []\n"
        f"CPU vr throttling temperatures: []\nGPU temperatures: [{degrees + 6:.1f}]\n"
        f"Battery temperatures: [{degrees:.1f}]\nSkin temperatures: [{degrees:.1f}]\nFan speed: []\n{usage}\n"
    )


def _thermal(phone: Phone, arguments: tuple[str, ...]) -> str | None:
    del arguments
    return "" if phone.sdk >= 28 else None


def _cpuinfo(phone: Phone, arguments: tuple[str, ...]) -> str:
    del arguments
    load = phone.load()
    return f"Load: {load:.1f} / {load:.1f} / {load:.1f}\nCPU usage from 10ms to 5ms ago:\n  3.1% system_server\n"


def _meminfo(phone: Phone, arguments: tuple[str, ...]) -> str:
    del arguments
    uptime = round(phone.uptime() * 1000)
    return f"Applications Memory Usage (in Kilobytes):\nUptime: {uptime} Realtime: {uptime}\nTotal RAM: 2,933,640K\n"


def _deviceidle(phone: Phone, arguments: tuple[str, ...]) -> str:
    del phone
    return "".join(f"Added: {name[1:]}\n" for name in arguments[1:] if name.startswith("+"))


_SERVICES: Mapping[str, Callable[[Phone, tuple[str, ...]], str | None]] = {
    "activity": _activity,
    "battery": battery,
    "cpuinfo": _cpuinfo,
    "deviceidle": _deviceidle,
    "hardware_properties": _hardware,
    "meminfo": _meminfo,
    "package": _package,
    "power": _power,
    "thermalservice": _thermal,
    "window": _window,
}

DUMP_COMMANDS: Mapping[str, Program] = {"dumpsys": dumpsys}
