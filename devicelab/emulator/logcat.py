"""The command ``logcat``: dump or follow the log, filtered by tag, priority and process (Android's logcat.cpp)."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from devicelab.emulator.logbuffer import PRIORITIES, Line, Priority
from devicelab.emulator.options import read_options
from devicelab.emulator.shell import Call, Program

_LONG = {"--pid": "P", "--format": "v", "--buffer": "b", "--regex": "e", "--max-count": "m", "--clear": "c"}


async def logcat(call: Call) -> int:
    """Write the log: what is kept, then (without ``-d`` or ``-t``) each new line until the reader leaves."""
    chosen, specs = read_options(_short(call.args), flags="dcsgDL", valued="vtTbPem")
    log = call.phone.log
    if "c" in chosen:
        log.clear()
        return 0
    wanted = _filter(["*:S", *specs] if "s" in chosen else specs, chosen)
    style = chosen.get("v", "threadtime").split()[0]
    kept = [line for line in log.lines() if wanted(line)]
    recent = chosen.get("t", chosen.get("T", ""))
    if recent.isdigit():
        kept = kept[-int(recent) :]
    last = log.lines()[-1].number if log.lines() else -1
    await call.say("--------- beginning of main\n" + "".join(f"{line.formatted(style)}\n" for line in kept))
    if "d" in chosen or "t" in chosen:
        return 0
    async for line in log.follow(last):
        if wanted(line):
            await call.say(f"{line.formatted(style)}\n")
    return 0


def _short(args: Sequence[str]) -> list[str]:
    """Return *args* with long options as short ones."""
    result = []
    for arg in args:
        name, _, value = arg.partition("=")
        result.append(f"-{_LONG[name]}{value}" if name in _LONG else arg)
    return result


def _filter(specs: Sequence[str], chosen: Mapping[str, str]) -> Callable[[Line], bool]:
    """Return whether a line passes: ``TAG[:PRIORITY]``, ``*`` for all other tags, and ``--pid``, ``--regex``."""
    least = {tag: (priority or "V").upper() for tag, _, priority in (spec.partition(":") for spec in specs)}
    default = least.get("*", "V")
    pattern = re.compile(chosen.get("e", ""))

    def passes(line: Line) -> bool:
        enough = PRIORITIES.index(line.priority) >= PRIORITIES.index(least.get(line.tag, default))
        same = "P" not in chosen or line.pid == int(chosen["P"])
        return enough and same and bool(pattern.search(line.message))

    return passes


async def log(call: Call) -> int:
    """Write a line into the log: ``log [-p PRIORITY] [-t TAG] WORDS``."""
    chosen, words = read_options(call.args, valued="pt")
    letter = chosen.get("p", "i").upper()
    priority = next((known for known in get_args(Priority) if known == letter), None)
    if priority is None:
        return await call.unknown("priority")
    call.phone.log.write(priority, chosen.get("t", "log"), " ".join(words), call.phone.processes.spawn("log"))
    call.phone.processes.kill("log")
    return 0


LOG_COMMANDS: Mapping[str, Program] = {"log": log, "logcat": logcat}
