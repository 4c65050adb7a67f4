"""Files of the kernel, /proc and /sys, as a Moto G6's Linux 3.18 shows them to the shell.

Zone names and the mixed units of the thermal zones (tsens in degrees, others in thousandths) are those of Qualcomm's
kernels of that age; that ``shell`` may read them on the stock system is not known from a public source.
"""

import re
from collections.abc import Callable

from devicelab.drivers.simulator import CORES
from devicelab.emulator.phone import Phone
from devicelab.simulation.body import CLOCKS_MHZ

ZONES = ("tsens_tz_sensor4", "tsens_tz_sensor9", "pm8953_tz", "msm_therm", "quiet_therm", "battery")
_CPU = re.compile(r"/sys/devices/system/cpu/cpu([0-7])/cpufreq/(\w+)")
_ZONE = re.compile(r"/sys/class/thermal/thermal_zone(\d+)/(type|temp)")


def read_kernel_file(phone: Phone, path: str) -> str | None:
    """Return what the kernel's file at *path* says now, or None if there is none."""
    if found := _CPU.fullmatch(path):
        return _cpufreq(phone, found[2])
    if found := _ZONE.fullmatch(path):
        return _zone(phone, int(found[1]), found[2])
    writer = _FILES.get(path)
    return writer(phone) if writer else None


def _cpufreq(phone: Phone, name: str) -> str | None:
    health = phone.health()
    cap = round((health.frequency_mhz or health.nominal_mhz) * 1000)
    steps = " ".join(str(round(mhz * 1000)) for mhz in reversed(CLOCKS_MHZ))
    values = {
        "scaling_cur_freq": str(cap),
        "scaling_max_freq": str(cap),
        "scaling_min_freq": str(round(CLOCKS_MHZ[-1] * 1000)),
        "cpuinfo_max_freq": str(round(CLOCKS_MHZ[0] * 1000)),
        "cpuinfo_min_freq": str(round(CLOCKS_MHZ[-1] * 1000)),
        "scaling_available_frequencies": f"{steps} ",
        "scaling_governor": "interactive",
    }
    return f"{values[name]}\n" if name in values else None


def _zone(phone: Phone, number: int, name: str) -> str | None:
    if number >= len(ZONES):
        return None
    if name == "type":
        return f"{ZONES[number]}\n"
    degrees = phone.health().temperature_c
    return f"{round(degrees + 8)}\n" if ZONES[number].startswith("tsens") else f"{round(degrees * 1000)}\n"


def _uptime(phone: Phone) -> str:
    return f"{phone.uptime():.2f} {phone.uptime() * CORES * 0.95:.2f}\n"


def _loadavg(phone: Phone) -> str:
    load = phone.load()
    return f"{load:.2f} {load:.2f} {load:.2f} 1/{len(phone.processes.names) + 600} {phone.processes.last}\n"


def _cpuinfo(phone: Phone) -> str:
    del phone
    features = (
        "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm aes pmull sha1 sha2 crc32"
    )
    core = (
        "processor\t: {}\nmodel name\t: ARMv7 Processor rev 4 (v7l)\nBogoMIPS\t: 38.40\nFeatures\t: {}\n"
        "CPU implementer\t: 0x41\nCPU architecture: 7\nCPU variant\t: 0x0\nCPU part\t: 0xd03\nCPU revision\t: 4\n\n"
    )
    cores = "".join(core.format(number, features) for number in range(CORES))
    return f"{cores}Hardware\t: Qualcomm Technologies, Inc SDM450\n"


def _meminfo(phone: Phone) -> str:
    del phone
    return "MemTotal:        2933640 kB\nMemFree:          231204 kB\nMemAvailable:    1402112 kB\n"


def _boot_id(phone: Phone) -> str:
    raw = phone.boot_id
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}\n"


_FILES: dict[str, Callable[[Phone], str]] = {
    "/proc/uptime": _uptime,
    "/proc/loadavg": _loadavg,
    "/proc/cpuinfo": _cpuinfo,
    "/proc/meminfo": _meminfo,
    "/proc/sys/kernel/random/boot_id": _boot_id,
    "/proc/version": lambda _: "Linux version 3.18.71-perf (hudsoncm@ilclbld72) #1 SMP PREEMPT\n",
    "/sys/devices/system/cpu/online": lambda _: f"0-{CORES - 1}\n",
    "/sys/devices/system/cpu/possible": lambda _: f"0-{CORES - 1}\n",
    "/sys/devices/system/cpu/present": lambda _: f"0-{CORES - 1}\n",
}
