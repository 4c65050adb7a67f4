"""The activity manager: ``am`` and ``cmd activity`` (AOSP: ActivityManagerShellCommand.java)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devicelab.android import BENCHMARK_ACTIVITY, BENCHMARK_PACKAGE
from devicelab.emulator.benchmark import start_app
from devicelab.emulator.shell import Call, Program

INSTRUMENT_SECONDS = 0.8
UIA2 = "io.appium.uiautomator2.server"
_PAIRS = ("--es", "-e", "--ei", "--ez", "--el", "--ef", "--eu")
_VALUED = {
    "-a": "action",
    "-n": "component",
    "-c": "category",
    "-d": "data",
    "-t": "type",
    "-f": "flags",
    "-p": "package",
}


@dataclass(slots=True)
class Intent:
    """What to start: parts by name, extras, and whether to stop what runs before (``-S``) and to wait (``-W``)."""

    parts: dict[str, str] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)
    stop: bool = False
    wait: bool = False

    def __str__(self) -> str:
        """Return the intent as ``Intent.toString`` writes it."""
        words = {"action": "act", "data": "dat", "type": "typ", "package": "pkg", "component": "cmp"}
        shown = [f"{short}={self.parts[part]}" for part, short in words.items() if part in self.parts]
        if "category" in self.parts:
            shown.insert(1, f"cat=[{self.parts['category']}]")
        return " ".join(["Intent {", *shown, *(["(has extras)"] if self.extras else []), "}"])


def read_intent(arguments: Sequence[str]) -> Intent:
    """Read the arguments of ``am start``.

    Raises:
        ValueError: an option is not known; it is the message.
    """
    intent = Intent()
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word in _PAIRS and len(waiting) > 1:
            name, value = waiting.pop(0), waiting.pop(0)
            intent.extras[name] = value
        elif word in _VALUED and waiting:
            intent.parts[_VALUED[word]] = waiting.pop(0)
        elif word in {"--user", "--display"} and waiting:
            waiting.pop(0)
        elif word in {"-S", "-W"}:
            intent.stop, intent.wait = intent.stop or word == "-S", intent.wait or word == "-W"
        elif word.startswith("-"):
            raise ValueError(word)
        elif "component" not in intent.parts and "/" in word:
            intent.parts["component"] = word
    return intent


async def am(call: Call) -> int:
    """Run a command of the activity manager."""
    name = call.args[0] if call.args else ""
    program = _COMMANDS.get(name)
    return await program(call) if program else await call.unknown("command")


async def _start(call: Call) -> int:
    """Start an activity. One that does not exist is told in words only: the exit status is 0 on these releases.

    An extra that was not quoted for this shell ends at its first blank, and what follows is no option of ``am``.
    """
    try:
        intent = read_intent(call.args[1:])
    except ValueError as error:
        call.phone.unknown.append(f"am {' '.join(call.args)}")
        thrown = f"java.lang.IllegalArgumentException: Unknown option: {error}"
        return await call.complain(f"\nException occurred while executing:\n{thrown}", 255)
    component = intent.parts.get("component", "")
    package = component.partition("/")[0]
    if intent.stop:
        call.phone.end_process(package)
    await call.say(f"Starting: {intent}\n")
    known = package in call.phone.packages.installed and (
        package != BENCHMARK_PACKAGE or component == BENCHMARK_ACTIVITY
    )
    if not known:
        await call.complain(f"Error type 3\nError: Activity class {{{component}}} does not exist.")
        return 0
    if package == BENCHMARK_PACKAGE:
        start_app(call.phone, intent.extras.get("args", intent.extras.get("--args")))
    elif not call.phone.processes.find(package):
        call.phone.processes.spawn(package)
    if intent.wait:
        await call.say(f"Status: ok\nActivity: {component}\nThisTime: 312\nTotalTime: 312\nWaitTime: 341\nComplete\n")
    return 0


async def _start_service(call: Call) -> int:
    intent = read_intent(call.args[1:])
    package = intent.parts.get("component", "").partition("/")[0]
    await call.say(f"Starting service: {intent}\n")
    if package in call.phone.packages.installed and not call.phone.processes.find(package):
        call.phone.processes.spawn(package)
    return 0


async def _broadcast(call: Call) -> int:
    await call.say(f"Broadcasting: {read_intent(call.args[1:])}\nBroadcast completed: result=0\n")
    return 0


async def _stop(call: Call) -> int:
    call.phone.end_process(call.args[-1])
    return 0


async def _user(call: Call) -> int:
    await call.say("0\n")
    return 0


async def _instrument(call: Call) -> int:
    """Run UiAutomator2's server until it ends or its caller leaves."""
    target = call.args[-1]
    package, _, runner = target.partition("/")
    phone = call.phone
    found = phone.packages.installed.get(package)
    ready = found is not None and found.info.instrumentation is not None and UIA2 in phone.packages.installed
    if not ready:
        reason = f"Unable to find instrumentation info for: ComponentInfo{{{package}/{runner}}}"
        await call.say(f"INSTRUMENTATION_STATUS: id=ActivityManagerService\nINSTRUMENTATION_STATUS: Error={reason}\n")
        await call.say("INSTRUMENTATION_STATUS_CODE: -1\n")
        return await call.complain(f"android.util.AndroidException: INSTRUMENTATION_FAILED: {target}")
    await phone.clock.sleep(INSTRUMENT_SECONDS)
    pid = phone.processes.spawn(UIA2)
    phone.uia2.start()
    phone.say("I", "appium", "[AppiumUiAutomator2Server] Server started", pid)
    try:
        await call.say("INSTRUMENTATION_STATUS: numtests=1\nINSTRUMENTATION_STATUS_CODE: 1\n")
        await phone.uia2.ended.wait()
        crashed = "uia2-crashed" in phone.tricks
        phone.tricks.discard("uia2-crashed")
        await call.say("INSTRUMENTATION_RESULT: shortMsg=Process crashed.\n" if crashed else "")
        await call.say(f"INSTRUMENTATION_CODE: {0 if crashed else -1}\n")
    finally:
        if pid in phone.processes.names:
            phone.end_process(UIA2)
    return 0


_COMMANDS: Mapping[str, Program] = {
    **dict.fromkeys(("start", "start-activity"), _start),
    **dict.fromkeys(("startservice", "start-service", "start-foreground-service"), _start_service),
    **dict.fromkeys(("force-stop", "kill", "stopservice", "stop-service"), _stop),
    "broadcast": _broadcast,
    "get-current-user": _user,
    "instrument": _instrument,
}
