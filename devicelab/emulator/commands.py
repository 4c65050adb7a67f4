"""All commands that the phone's shell knows."""

from collections.abc import Mapping
from dataclasses import replace

from devicelab.emulator.activity import am
from devicelab.emulator.benchmark import benchmark_model
from devicelab.emulator.dumpsys import DUMP_COMMANDS
from devicelab.emulator.files import FILE_COMMANDS
from devicelab.emulator.logcat import LOG_COMMANDS
from devicelab.emulator.packages import pm
from devicelab.emulator.shell import Call, Program
from devicelab.emulator.system import SYSTEM_COMMANDS, obey


async def cmd(call: Call) -> int:
    """Send a command to a service: ``package``, ``activity``, and some whose effect is not to be seen here."""
    programs: Mapping[str, Program] = {"package": pm, "activity": am, "appops": obey, "statusbar": obey}
    program = programs.get(call.args[0] if call.args else "")
    if program is None:
        return await call.unknown("service", 20)
    return await program(replace(call, args=call.args[1:]))


async def reboot(call: Call) -> int:
    """Restart the phone."""
    if call.phone.on_fault:
        await call.phone.on_fault("reboot")
    return 0


COMMANDS: Mapping[str, Program] = {
    **DUMP_COMMANDS,
    **FILE_COMMANDS,
    **LOG_COMMANDS,
    **SYSTEM_COMMANDS,
    "am": am,
    "benchmark_model": benchmark_model,
    "cmd": cmd,
    "pm": pm,
    "reboot": reboot,
}
