"""The app's run, seen through its log and the heartbeat, against a phone that fails in every way that was seen."""

import pytest

from devicelab.benchmark_output import Invocation
from devicelab.drivers.appium.benchmark import START_SECONDS, run_app, run_native
from devicelab.drivers.appium.session import LogLine
from devicelab.errors import DeviceError
from devicelab.protocols import VirtualClock

ASKED = Invocation("/data/local/tmp/ferlab/0f.tflite", 4, 20)
FINAL = "Inference timings in us: Init: 1, First inference: 2, Warmup (avg): 2, Inference (avg): 2"
PID = 4321


def line(text, pid=PID, tag="tflite"):
    return LogLine(pid, "I", tag, text)


def echo(arguments=None, pid=PID):
    text = f"Running TensorFlow Lite benchmark with args: {arguments or ASKED.arguments()}"
    return line(text, pid, "tflite_BenchmarkModelActivity")


class Phone:
    """A session whose log is a script: at each second, these lines appear. ``uptimes`` and ``pids`` by heartbeat."""

    def __init__(self, clock, script, pids=None, uptime=1000.0, restart_at=1e9, deaf_at=1e9):
        self.clock, self.script, self.restart_at, self.deaf_at = clock, dict(script), restart_at, deaf_at
        self.beats = []
        self.pids, self.uptime, self.begun = pids or (lambda now: str(PID)), uptime, clock.now()
        self.started = []

    def shell(self, command):
        now = self.clock.now() - self.begun
        self.beats += [line(command.split(";")[0].split()[-1], 1, "ferlab")] if now < self.deaf_at else []
        uptime = now - self.restart_at if now >= self.restart_at else self.uptime + now
        return f"{uptime:.2f} 99.0\n{self.pids(now)}\n"

    def start_activity(self, component, arguments):
        self.started.append((component, arguments))

    def log(self):
        now = self.clock.now() - self.begun
        due = [at for at in self.script if at <= min(now, self.deaf_at)]
        beats, self.beats = self.beats, []
        return [*beats, *(entry for at in sorted(due) for entry in self.script.pop(at))]


def run(script, seconds=60.0, **phone):
    clock = VirtualClock(0.0)
    session = Phone(clock, script, **phone)
    return run_app(session, ASKED, clock, seconds), session


def failed(script, seconds=60.0, **phone):
    with pytest.raises(DeviceError) as raised:
        run(script, seconds, **phone)
    return raised.value


def test_the_apps_own_lines_are_returned_up_to_the_last():
    script = {0.4: [echo()], 1.0: [line("Loaded model x"), line("other app", 99)], 5.0: [line(FINAL)]}
    lines, session = run(script)
    assert lines == ["Loaded model x", FINAL]
    assert session.started == [("org.tensorflow.lite.benchmark/.BenchmarkModelActivity", ASKED.arguments())]


def test_what_an_earlier_run_left_in_the_log_is_not_this_ones():
    before = [echo(pid=77), line(FINAL, pid=77)]
    lines, _ = run({0.0: before, 0.5: [*before, echo()], 2.0: [line(FINAL)]})
    assert lines == [FINAL]


def test_a_log_that_nobody_reads_any_more_is_a_lost_connection_and_noticed_soon():
    error = failed({0.4: [echo()], 20.0: [line(FINAL)]}, deaf_at=2.0)
    assert error.fault.id == "F9"
    assert "silent" in str(error)


def test_other_arguments_are_refused_at_once():
    error = failed({0.4: [echo("--graph=/data/local/tmp/ferlab/0f.tflite")]})
    assert "instead of" in str(error)
    assert error.fault.id == "F25"


def test_an_app_that_does_not_start():
    error = failed({}, seconds=300, pids=lambda now: "")
    assert "did not start" in str(error)
    assert error.fault.id == "F18"
    assert START_SECONDS < 60


def test_an_app_that_hangs():
    assert "did not end in time; its last lines: tflite_Bench" in str(failed({0.4: [echo()]}))


WARM = line("count=5 first=9 curr=7 min=7 max=9 avg=7.4 std=0")


def test_an_app_that_hangs_after_its_warm_up():
    assert failed({0.4: [echo()], 1.0: [WARM]}).fault.id == "F18"


@pytest.mark.parametrize("timed", ["count=20 first=7 curr=7 min=7 max=9 avg=7.4 std=0", "count=20 fir"])
def test_an_app_that_measured_but_whose_last_line_is_lost_did_not_hang(timed):
    error = failed({0.4: [echo()], 1.0: [WARM], 3.0: [line(timed)]}, seconds=300.0)
    assert "the end of its output is missing" in str(error)
    assert (error.fault.id, error.fault.blame) == ("F25", "phone")


def test_an_app_that_dies_tells_how():
    crash = LogLine(PID, "F", "libc", "Fatal signal 11 (SIGSEGV)")
    error = failed({0.4: [echo()], 1.5: [crash]}, pids=lambda now: str(PID) if now < 2 else "")
    assert "died" in str(error)
    assert "libc: Fatal signal 11 (SIGSEGV)" in str(error)
    assert error.fault.id == "F18"


def test_an_app_that_ended_between_its_last_line_and_our_reading_is_fine():
    lines, _ = run({0.4: [echo()], 3.9: [line(FINAL)]}, pids=lambda now: str(PID) if now < 3.5 else "")
    assert lines == [FINAL]


def test_a_phone_that_restarts_under_it():
    error = failed({0.4: [echo()]}, restart_at=3.0)
    assert "the phone restarted" in str(error)
    assert error.fault.id == "F16"


def test_a_failure_that_the_app_tells_ends_it():
    lines, _ = run({0.4: [echo()], 1.0: [line("Failed to load model /x")]})
    assert lines == ["Failed to load model /x"]


@pytest.mark.parametrize(("cpus", "prefix"), [("f0", "taskset f0 "), ("", "")])
def test_the_native_binary_is_pinned(cpus, prefix):
    class Session:
        def try_shell(self, command, seconds):
            assert (command, seconds) == (f"{prefix}/data/local/tmp/benchmark_model {ASKED.arguments()}", 30)
            return 1, "STARTING!\nERROR: Failed to load model\n"

    assert run_native(Session(), ASKED, cpus, 30) == ["STARTING!", "ERROR: Failed to load model"]
