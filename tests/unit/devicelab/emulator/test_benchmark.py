"""The benchmark on the phone: its lines are those of the real tool, its times those of the simulated phone."""

import asyncio

import emulated
import pytest
from contracts.networks import small_network

from devicelab.android import BENCHMARK_PACKAGE
from devicelab.benchmark_output import Invocation, OutputRefused, Refusal, is_over, parse
from devicelab.config import SimulatedPhone
from devicelab.emulator.benchmarktext import FlagError, Times, parse_flags
from devicelab.emulator.mischief import Mischief
from devicelab.emulator.server import Cable
from devicelab.flatfile import parse as read_network
from devicelab.graph import graph_of
from devicelab.roofline import latency_ms

PATH = "/data/local/tmp/ferlab/m.tflite"
TOOL = "/data/local/tmp/benchmark_model"
ACTIVITY = "org.tensorflow.lite.benchmark/.BenchmarkModelActivity"
ASKED = Invocation(PATH, threads=4, runs=12, warmup_runs=2)


def loaded_phone(network=None, speed=emulated.FAST, **config):
    phone = emulated.phone(speed, **config)
    phone.files.write(PATH, small_network(side=64) if network is None else network)
    return phone


def app_lines(phone, arguments, seconds=60):
    async def scenario():
        said = await emulated.shell(phone, f"am start -S -n {ACTIVITY} --es args {arguments}")
        await phone.clock.sleep(seconds)
        return said

    said = asyncio.run(scenario())
    return said, [line.message for line in phone.log.lines() if line.tag.startswith("tflite")]


@pytest.mark.parametrize("dialect", ["litert", "tf2.3", "tf1.13"])
def test_native_output_is_read_by_the_parser_of_real_outputs(dialect):
    said = emulated.say(loaded_phone(dialect=dialect), f"taskset f0 {TOOL} {ASKED.arguments()}")
    assert said.status == 0
    assert said.out.splitlines()[0] == ("INFO: STARTING!" if dialect == "litert" else "STARTING!")
    output = parse(said.out.splitlines(), ASKED)
    assert (output.runs, output.warmup_runs) == (12, 2)
    assert (output.median_us is None) == (dialect != "litert")


def test_the_app_logs_the_same():
    said, lines = app_lines(loaded_phone(), f"'\"{ASKED.arguments()}\"'".replace('"', ""))
    assert said.out.startswith(f"Starting: Intent {{ cmp={ACTIVITY} (has extras) }}")
    assert lines[0] == f"Running TensorFlow Lite benchmark with args: {ASKED.arguments()}"
    assert parse(lines[1:], ASKED).runs == 12


def test_unquoted_arguments_are_no_options_of_the_activity_manager():
    said, lines = app_lines(loaded_phone(), ASKED.arguments())
    assert said.status == 255
    assert "IllegalArgumentException: Unknown option: --num_threads=4" in said.err
    assert lines == []


def test_times_are_those_of_the_simulated_phone_and_they_really_pass():
    network = small_network(side=224, filters=64)
    phone = loaded_phone(network, character=SimulatedPhone(name="silent", noise="silent", factor_sd=0))
    before = phone.clock.now()
    asked = Invocation(PATH, threads=1, runs=30, warmup_runs=20)
    said = emulated.say(phone, f"{TOOL} {asked.arguments()}")
    took = phone.clock.now() - before
    truth = 1e3 * latency_ms(graph_of(read_network(network)).operators, threads=1)
    last = next(line for line in said.out.splitlines() if "count=30" in line)
    assert f"curr={int(truth)}" in last
    assert took > 50 * truth / 1e6


def test_runs_go_on_until_the_least_seconds_have_passed():
    asked = Invocation(PATH, threads=1, runs=3, min_seconds=0.5)
    output = parse(emulated.say(loaded_phone(), f"{TOOL} {asked.arguments()}").out.splitlines(), asked)
    assert output.runs * output.mean_us == pytest.approx(0.5e6, rel=0.1)


@pytest.mark.parametrize(
    ("content", "refusal", "words"),
    [(None, Refusal.NO_FILE, "Could not open"), (b"no network", Refusal.NOT_LOADED, "Failed to load model")],
)
def test_what_cannot_be_loaded_fails_in_the_tools_words(content, refusal, words):
    phone = emulated.phone()
    if content:
        phone.files.write(PATH, content)
    said = emulated.say(phone, f"{TOOL} {ASKED.arguments()}")
    assert said.status == 1
    assert words in said.err
    assert "Benchmarking failed." in said.err
    with pytest.raises(OutputRefused) as refused:
        parse((said.out + said.err).splitlines(), ASKED)
    assert refused.value.refusal is refusal


def test_an_app_without_arguments_crashes():
    phone = loaded_phone()

    async def scenario():
        await emulated.shell(phone, f"am start -n {ACTIVITY}")
        await phone.clock.sleep(5)

    asyncio.run(scenario())
    assert "java.lang.NullPointerException" in [line.message for line in phone.log.lines()]
    assert phone.processes.find("org.tensorflow.lite.benchmark") == []


def test_an_unknown_activity_is_told_in_words_only():
    said = emulated.say(emulated.phone(app_installed=False), f"am start -n {ACTIVITY} --es args x")
    assert said.status == 0
    assert f"Activity class {{{ACTIVITY}}} does not exist." in said.err


def test_a_hot_phone_is_slower():
    def mean(heat):
        phone = loaded_phone(small_network(side=224, filters=64))
        if heat:
            phone.physics.heat(phone.clock.now())
        return parse(emulated.say(phone, f"{TOOL} {ASKED.arguments()}").out.splitlines(), ASKED).mean_us

    assert mean(heat=True) > 2 * mean(heat=False)


@pytest.mark.parametrize("fault", ["truncate-log", "wrong-args"])
def test_spoilt_output_is_refused(fault):
    phone = loaded_phone()
    phone.tricks.add(fault)
    _, lines = app_lines(phone, f"'{ASKED.arguments()}'")
    assert lines
    with pytest.raises(OutputRefused):
        parse(lines[1:], ASKED)
    assert phone.tricks == set()


@pytest.mark.parametrize(("when", "figures"), [("start", 0), ("run", 1), ("read", 2)])
def test_an_app_that_is_killed_says_nothing_more(when, figures):
    phone = loaded_phone()
    mischief = Mischief(phone, Cable(phone, 0))
    asyncio.run(mischief.order("crash-app", when))
    _, lines = app_lines(phone, f"'{ASKED.arguments()}'")
    assert sum(line.startswith("count=") for line in lines) == figures
    assert not any(is_over(line) for line in lines)
    assert phone.processes.find(BENCHMARK_PACKAGE) == []


def test_all_equal_times_are_printed_as_the_tool_does():
    assert Times([7, 7]).line("tf2.3") == "count=2 curr=7(all same)"
    assert Times([7]).line("litert") == "count=1 curr=7 p5=7 median=7 p95=7"
    assert Times([]).line("litert") == "count=0 p5=0 median=0 p95=0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--num_runs=4"], "--graph"), (["--graph=x", "--num_threads=four"], "Failed to parse flag 'num_threads'")],
)
def test_arguments_that_stop_it(arguments, words):
    with pytest.raises(FlagError, match=words):
        parse_flags(arguments, "litert")


def test_what_is_no_flag_is_named_by_new_releases_and_ignored_by_old_ones():
    arguments = ["--graph=x", "stray", "--use_xnnpack", "--no_such=1", "--num_runs"]
    assert parse_flags(arguments, "litert").unconsumed == ("stray", "--no_such=1", "--num_runs")
    old = emulated.say(loaded_phone(dialect="tf1.13"), f"{TOOL} --graph={PATH} --no_such=1")
    assert old.status == 0
    assert "Unconsumed" not in old.out


def test_no_run_is_begun_after_the_most_seconds():
    said = emulated.say(loaded_phone(), f"{TOOL} --graph={PATH} --num_runs=100000 --max_secs=1 --warmup_runs=1")
    figures = next(line for line in reversed(said.out.splitlines()) if "count=" in line)
    count, mean = (float(figures.split(f"{name}=")[1].split()[0]) for name in ("count", "avg"))
    assert count * mean == pytest.approx(1e6, rel=0.1)


def test_the_native_binary_is_a_process_that_can_be_found_and_killed():
    async def scenario():
        phone = loaded_phone(speed=1.0)
        running = asyncio.ensure_future(emulated.shell(phone, f"{TOOL} --graph={PATH} --num_runs=100000; echo __RC=$?"))
        await emulated.until(lambda: phone.processes.find("benchmark_model"))
        killed = await emulated.shell(phone, "kill -9 $(pidof benchmark_model); pidof benchmark_model")
        return killed, await running

    killed, said = asyncio.run(scenario())
    assert (killed.status, killed.out) == (1, "")
    assert said.out.endswith("__RC=137\n")
    assert "Killed" in said.err


def test_the_native_binary_ends_with_its_shell():
    async def scenario():
        phone = loaded_phone(speed=1.0)
        running = asyncio.ensure_future(emulated.shell(phone, f"{TOOL} --graph={PATH} --num_runs=100000"))
        await emulated.until(lambda: phone.processes.find("benchmark_model"))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return phone.processes.find("benchmark_model"), phone.apps

    assert asyncio.run(scenario()) == ([], {})
