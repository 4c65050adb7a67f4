"""The official TFLite benchmark on the phone, as app and as native binary, run on the bytes that were pushed.

The app logs with tag ``tflite`` and has no exit status; the binary writes to standard output, errors to standard error.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from devicelab.android import BENCHMARK_ECHO, BENCHMARK_PACKAGE, LOG_TAG
from devicelab.emulator.benchmarktext import (
    FlagError,
    Flags,
    Times,
    final_line,
    loaded_lines,
    memory_lines,
    parameter_lines,
    parse_flags,
    plan_line,
)
from devicelab.emulator.phone import Phone
from devicelab.emulator.shell import Call
from devicelab.errors import WorkloadError
from devicelab.simulation.body import Process

Severity = Literal["I", "W", "E"]
Emit = Callable[[Severity, str], Awaitable[None]]
APP_START_SECONDS, NATIVE_START_SECONDS = 0.4, 0.05
INIT_US, INIT_BYTES_PER_US = 12_000, 60.0
"""What loading takes: a constant and a rate. Assumptions; nobody judges networks by it."""
AT_ONCE = 20
NATIVE = "benchmark_model"
KILLED = 137
_WORDS = {"I": "INFO", "W": "WARN", "E": "ERROR"}


async def run_tool(phone: Phone, arguments: Sequence[str], emit: Emit) -> bool:
    """Run the benchmark with *arguments*, its lines going to *emit*; return whether it succeeded."""
    try:
        flags = parse_flags(arguments, phone.config.dialect)
    except FlagError as error:
        await emit("E", str(error))
        return False
    for line in parameter_lines(flags):
        await emit("W" if line.startswith("Unconsumed") else "I", line)
    loaded = await _load(phone, flags, emit)
    if loaded is None:
        return False
    process, size, init_us = loaded
    await _measure(phone, flags, process, init_us, _cut(phone, emit))
    if "truncate-log" in phone.tricks:
        phone.tricks.discard("truncate-log")
        return True
    for line in memory_lines(flags, size):
        await emit("I", line)
    return True


async def _reaching(phone: Phone, arguments: Sequence[str]) -> Sequence[str]:
    """Return those of *arguments* that reach the tool: all, unless a fault loses some."""
    await phone.reached("start")
    if "wrong-args" not in phone.tricks:
        return arguments
    phone.tricks.discard("wrong-args")
    return arguments[:1]


async def _load(phone: Phone, flags: Flags, emit: Emit) -> tuple[Process, int, int] | None:
    """Load the network; return its process, size in bytes and microseconds it took, or None after saying why not."""
    try:
        network = phone.files.read(flags.graph)
        process = phone.physics.load(network, flags.threads, phone.clock.now())
    except (FileNotFoundError, IsADirectoryError):
        await emit("E", f"Could not open '{flags.graph}'.")
    except WorkloadError:
        await emit("E", "The model is not a valid Flatbuffer buffer")
    else:
        init_us = int(INIT_US + len(network) / INIT_BYTES_PER_US)
        await phone.clock.sleep(init_us / 1e6)
        for line in loaded_lines(flags, len(network), init_us):
            await emit("I", line)
        return process, len(network), init_us
    await emit("E", f"Failed to load model {flags.graph}")
    return None


async def _measure(phone: Phone, flags: Flags, process: Process, init_us: int, emit: Emit) -> None:
    """Warm up, time, and print the figures."""
    runs, seconds = int(flags.number("warmup_runs")), flags.number("warmup_min_secs")
    await emit("I", plan_line(flags, runs, seconds))
    warmup = await _repeat(phone, flags, process, runs, seconds)
    await emit("I", warmup.line(flags.dialect) + "\n")
    await phone.reached("run")
    if "wedge-app" in phone.tricks:
        phone.tricks.discard("wedge-app")
        await asyncio.Event().wait()
    runs, seconds = int(flags.number("num_runs")), flags.number("min_secs")
    await emit("I", plan_line(flags, runs, seconds))
    timed = await _repeat(phone, flags, process, runs, seconds)
    await emit("I", timed.line(flags.dialect) + "\n")
    await phone.reached("read")
    await emit("I", final_line(flags, init_us, warmup, timed))


async def _repeat(phone: Phone, flags: Flags, process: Process, runs: int, seconds: float) -> Times:
    """Run at least *runs* times and *seconds* long, but begin no run after ``max_secs``; wait until that is over."""
    times = Times()
    spent = 0.0
    most = flags.number("max_secs") if "max_secs" in flags.values else float("inf")
    delay = max(flags.number("run_delay"), 0.0)
    phone.physics.body(phone.clock.now())
    while not flags.values.get("dry_run") and (len(times.us) < runs or spent < seconds) and spent <= most:
        single = delay > 0 or not times.us or len(times.us) >= runs
        count = 1 if single else min(runs - len(times.us), AT_ONCE)
        took, over = phone.physics.run(process, count)
        times.us += [max(int(1e3 * time), 1) for time in took]
        spent += sum(took) / 1e3
        await phone.clock.until(over)
        await phone.clock.sleep(delay)
    return times


def _cut(phone: Phone, emit: Emit) -> Emit:
    """Return *emit*, or what loses the end of the output from the middle of the timed runs' figures on."""
    figures = 0

    async def cut(severity: Severity, line: str) -> None:
        nonlocal figures
        figures += line.startswith("count=")
        if figures < 2 or "truncate-log" not in phone.tricks:
            await emit(severity, line)
        elif line.startswith("count="):
            await emit(severity, line[: len(line) // 2])

    return cut


def start_app(phone: Phone, arguments: str | None) -> None:
    """Start the app's activity with the extra ``args``; without one it crashes, as the real one does."""
    phone.end_process(BENCHMARK_PACKAGE)
    pid = phone.processes.spawn(BENCHMARK_PACKAGE)
    activity = f"{BENCHMARK_PACKAGE}/.BenchmarkModelActivity"
    phone.say("I", "ActivityManager", f"Start proc {pid}:{BENCHMARK_PACKAGE}/u0a171 for activity {activity}")
    task = phone.start(_app(phone, arguments, pid))
    phone.apps[BENCHMARK_PACKAGE] = task
    task.add_done_callback(lambda ended: _forget(phone, ended))


def _forget(phone: Phone, ended: "asyncio.Task[None]") -> None:
    if phone.apps.get(BENCHMARK_PACKAGE) is ended:
        del phone.apps[BENCHMARK_PACKAGE]


async def _app(phone: Phone, arguments: str | None, pid: int) -> None:
    async def log(severity: Severity, line: str) -> None:
        phone.say(severity, LOG_TAG, line, pid)

    await phone.clock.sleep(APP_START_SECONDS)
    if arguments is None:
        crash = f"FATAL EXCEPTION: main\nProcess: {BENCHMARK_PACKAGE}, PID: {pid}\njava.lang.NullPointerException"
        phone.say("E", "AndroidRuntime", crash, pid)
        phone.end_process(BENCHMARK_PACKAGE)
        return
    reaching = await _reaching(phone, arguments.split())
    phone.say("I", "tflite_BenchmarkModelActivity", BENCHMARK_ECHO + " ".join(reaching), pid)
    await run_tool(phone, reaching, log)


async def benchmark_model(call: Call) -> int:
    """Run the native binary as a process of its own, which can be killed."""
    phone = call.phone
    phone.processes.spawn(NATIVE)
    running: asyncio.Task[int] = phone.start(_native(call))
    phone.apps[NATIVE] = running
    try:
        return await running
    except asyncio.CancelledError:
        me = asyncio.current_task()
        if me and me.cancelling():  # the shell itself has ended
            raise
        return await call.complain("Killed", KILLED)
    finally:
        phone.end_process(NATIVE)


async def _native(call: Call) -> int:
    prefixed = call.phone.config.dialect == "litert"

    async def write(severity: Severity, line: str) -> None:
        sink = call.streams.err if severity == "E" else call.streams.out
        await sink(f"{f'{_WORDS[severity]}: ' if prefixed else ''}{line}\n".encode())

    await call.phone.clock.sleep(NATIVE_START_SECONDS)
    arguments = await _reaching(call.phone, call.args)
    await write("I", "STARTING!")
    if await run_tool(call.phone, arguments, write):
        return 0
    await write("E", "Benchmarking failed.")
    return 1
