"""Commands of the shell itself, of processes and of Android's settings."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from devicelab.android import UIA2_PACKAGES
from devicelab.drivers.simulator import CORES
from devicelab.emulator.options import read_options
from devicelab.emulator.phone import LAUNCHER, UPDATE
from devicelab.emulator.shell import Call, Program

_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}


async def echo(call: Call) -> int:
    """Write the arguments; ``-n`` leaves out the newline."""
    bare = call.args[:1] == ("-n",)
    await call.say(" ".join(call.args[1:] if bare else call.args) + ("" if bare else "\n"))
    return 0


async def printf(call: Call) -> int:
    """Write the first argument with its ``%s`` and ``%d`` filled in."""
    if not call.args:
        return await call.unknown("format")
    values = list(call.args[1:])
    text = re.sub(r"\\[nt\\]", lambda found: _ESCAPES[found[0]], call.args[0])
    await call.say(re.sub(r"%[sd]", lambda _: values.pop(0) if values else "", text))
    return 0


async def test(call: Call) -> int:
    """Answer a condition: ``-e -f -d -s -n -z``, ``= != -eq -ne -gt -lt -ge -le``, and ``!``."""
    words = list(call.args[:-1] if call.name == "[" else call.args)
    negated = words[:1] == ["!"]
    answer = _condition(call, words[1:] if negated else words)
    if answer is None:
        return await call.unknown("condition", 2)
    return int(answer == negated)


def _condition(call: Call, words: list[str]) -> bool | None:
    match words:
        case [("-e" | "-f" | "-d" | "-s" | "-r" | "-x") as what, name]:
            entry = call.phone.files.find(call.shell.path(name))
            sure = {"-f": entry and not entry.is_folder, "-d": entry and entry.is_folder, "-s": entry and entry.data}
            return bool(sure.get(what, entry is not None))
        case [("-n" | "-z") as what, text]:
            return bool(text) == (what == "-n")
        case [left, ("=" | "==" | "!=") as what, right]:
            return (left == right) == (what != "!=")
        case [left, what, right]:
            return _comparison(left, what, right)
        case [text]:
            return bool(text)
    return None if words else False


def _comparison(left: str, what: str, right: str) -> bool | None:
    try:
        difference = int(left) - int(right)
    except ValueError:
        return None
    answers = {
        "-eq": difference == 0,
        "-ne": difference != 0,
        "-gt": difference > 0,
        "-ge": difference >= 0,
        "-lt": difference < 0,
        "-le": difference <= 0,
    }
    return answers.get(what)


async def true(call: Call) -> int:
    """Do nothing, well."""
    del call
    return 0


async def false(call: Call) -> int:
    """Do nothing, badly."""
    del call
    return 1


async def run_rest(call: Call) -> int:
    """Run the rest of the line: ``exec``, ``nohup``, ``setsid``, ``command``."""
    return await call.shell.simple(call.args, call.streams) if call.args else 0


async def taskset(call: Call) -> int:
    """Run a command on the cores of a hexadecimal mask."""
    if len(call.args) < 2:
        return await call.unknown("use")
    try:
        mask = int(call.args[0], 16)
    except ValueError:
        return await call.complain(f"taskset: bad mask '{call.args[0]}'")
    if not 0 < mask < 1 << CORES:
        return await call.complain("taskset: failed to set pid 0's affinity: Invalid argument")
    return await call.shell.simple(call.args[1:], call.streams)


async def sh(call: Call) -> int:
    """Run the text after ``-c`` in a new shell."""
    if call.args[:1] != ("-c",) or len(call.args) < 2:
        return await call.unknown("use")
    inner = type(call.shell)(call.phone, call.shell.table)
    return await inner.run(call.args[1], call.streams)


async def sleep(call: Call) -> int:
    """Let seconds pass."""
    await call.phone.clock.sleep(float(call.args[0].removesuffix("s")))
    return 0


async def date(call: Call) -> int:
    """Tell the time, in the format after ``+``."""
    _, rest = read_options(call.args, flags="u")
    moment = datetime.fromtimestamp(call.phone.clock.now(), tz=UTC)
    style = rest[0][1:] if rest and rest[0].startswith("+") else "%a %b %e %H:%M:%S UTC %Y"
    await call.say(moment.strftime(style.replace("%N", f"{moment.microsecond * 1000:09d}")) + "\n")
    return 0


async def getprop(call: Call) -> int:
    """Tell one property, or all."""
    properties = call.phone.properties
    if call.args:
        await call.say(properties.get(call.args[0], call.args[1] if len(call.args) > 1 else "") + "\n")
    else:
        await call.say("".join(f"[{key}]: [{properties[key]}]\n" for key in sorted(properties)))
    return 0


async def setprop(call: Call) -> int:
    """Set a property, if it is one that the shell may set."""
    if len(call.args) != 2:
        return await call.unknown("use")
    name, value = call.args
    if not name.startswith(("debug.", "log.", "persist.log.")):
        return await call.complain(f"setprop: failed to set property '{name}' to '{value}'")
    call.phone.properties[name] = value
    return 0


async def settings(call: Call) -> int:
    """Read and write Android's settings."""
    kept = call.phone.settings
    match [arg for arg in call.args if not arg.startswith("--")]:
        case ["get", space, key]:
            await call.say(f"{kept.get((space, key), 'null')}\n")
        case ["put", space, key, value, *_]:
            kept[space, key] = value
        case ["delete", space, key]:
            await call.say(f"Deleted {int(kept.pop((space, key), None) is not None)} rows\n")
        case ["list", space]:
            await call.say(
                "".join(f"{key}={value}\n" for (where, key), value in sorted(kept.items()) if where == space)
            )
        case _:
            return await call.unknown("command")
    return 0


async def whoami(call: Call) -> int:
    """Tell who the shell is."""
    identity = "uid=2000(shell) gid=2000(shell) groups=2000(shell),1004(input),1007(log) context=u:r:shell:s0"
    await call.say(f"{identity if call.name == 'id' and not call.args else 'shell'}\n")
    return 0


async def uname(call: Call) -> int:
    """Tell the kernel."""
    await call.say("Linux localhost 3.18.71-perf #1 SMP PREEMPT armv7l\n" if call.args else "Linux\n")
    return 0


async def nproc(call: Call) -> int:
    """Tell the number of cores."""
    await call.say(f"{CORES}\n")
    return 0


async def uptime(call: Call) -> int:
    """Tell how long the phone has been up."""
    hours, minutes = divmod(int(call.phone.uptime() // 60), 60)
    await call.say(f" up {hours}:{minutes:02d},  load average: 0.30, 0.30, 0.30\n")
    return 0


async def ps(call: Call) -> int:
    """List the processes; Appium asks for ``--help`` to learn the dialect (toybox since Android 8)."""
    if call.args == ("--help",):
        await call.say("usage: ps [-AadefLlnwZ] [-gG GROUP,] [-k FIELD,] [-o FIELD,] [-p PID,] [-t TTY,] [-uU USER,]\n")
        return 0
    chosen, _ = read_options(call.args, flags="Aef", valued="op")
    del chosen
    await call.say("USER           PID  PPID     VSZ    RSS WCHAN            ADDR S NAME\n")
    for pid, name in list(call.phone.processes.names.items()):
        await call.say(f"u0_a171      {pid:5d}     1 1234568  98765 SyS_epoll_wait      0 S {name}\n")
    return 0


async def pidof(call: Call) -> int:
    """Tell the ids of the processes with a name; ``pgrep`` takes a pattern and ``-f`` makes no difference."""
    _, rest = read_options(call.args, flags="fxl")
    names = call.phone.processes.names
    if call.name == "pidof":
        found = [pid for pid, name in names.items() if name == rest[0]]
    else:
        found = [pid for pid, name in names.items() if re.search(rest[0], name)]
    if found:
        await call.say((" " if call.name == "pidof" else "\n").join(map(str, found)) + "\n")
    return 0 if found else 1


async def kill(call: Call) -> int:
    """End processes by id (``kill``) or pattern (``pkill``)."""
    wanted = [arg for arg in call.args if not re.fullmatch(r"-(\d+|[A-Z]+|f|x|l)", arg)]
    names = call.phone.processes.names
    if call.name == "pkill":
        ended = {name for name in names.values() if wanted and re.search(wanted[0], name)}
    else:
        ended = {names[int(pid)] for pid in wanted if pid.isdigit() and int(pid) in names}
    for name in ended:
        call.phone.end_process(name)
    if not ended and call.name == "kill":
        return await call.complain(f"kill: {' '.join(wanted)}: No such process")
    return 0 if ended else 1


async def press(call: Call) -> int:
    """Press a key (``input keyevent``): wake, sleep, home; taps and swipes dismiss what is in the way."""
    match call.args:
        case ["keyevent", *keys] if keys:
            for key in keys:
                _key(call, key.removeprefix("KEYCODE_"))
        case [("tap" | "swipe" | "text"), *_]:
            pass
        case _:
            return await call.unknown("command")
    return 0


def _key(call: Call, key: str) -> None:
    screen = call.phone.screen
    if key in {"WAKEUP", "224"}:
        screen.awake = True
    elif key in {"SLEEP", "223"}:
        screen.awake = False
    elif key in {"POWER", "26"}:
        screen.awake = not screen.awake
    elif key in {"MENU", "82"}:
        screen.locked = False
    elif key in {"HOME", "3"} and screen.focus != UPDATE:
        screen.focus = LAUNCHER


async def wm(call: Call) -> int:
    """Tell size or density of the display, or dismiss the lock screen."""
    match call.args:
        case ["size"]:
            await call.say("Physical size: 1080x2160\n")
        case ["density"]:
            await call.say("Physical density: 400\n")
        case ["dismiss-keyguard"]:
            call.phone.screen.locked = False
        case _:
            return await call.unknown("command")
    return 0


async def obey(call: Call) -> int:
    """Accept a command whose effect is not to be seen here: ``appops``, ``svc``, ``ime``."""
    return 0 if call.args else await call.unknown("command")


async def run_as(call: Call) -> int:
    """Run a command as an app, which a user build allows for debuggable apps only."""
    package = call.args[0] if call.args else ""
    known = package in call.phone.packages.installed and package not in UIA2_PACKAGES
    reason = "is not debuggable" if known else "is unknown"
    return await call.complain(f"run-as: package '{package}' {reason}")


SYSTEM_COMMANDS: Mapping[str, Program] = {
    **dict.fromkeys(("exec", "nohup", "setsid", "command"), run_rest),
    **dict.fromkeys(("[", "test"), test),
    **dict.fromkeys(("true", ":", "sync", "export", "cd", "umask", "wait"), true),
    **dict.fromkeys(("appops", "svc", "ime"), obey),
    **dict.fromkeys(("id", "whoami"), whoami),
    **dict.fromkeys(("pidof", "pgrep"), pidof),
    **dict.fromkeys(("kill", "pkill"), kill),
    "date": date,
    "echo": echo,
    "false": false,
    "getprop": getprop,
    "input": press,
    "nproc": nproc,
    "printf": printf,
    "ps": ps,
    "run-as": run_as,
    "setprop": setprop,
    "settings": settings,
    "sh": sh,
    "sleep": sleep,
    "taskset": taskset,
    "uname": uname,
    "uptime": uptime,
    "wm": wm,
}
