"""The helper process: answers, refusals, deaths, silence, and the death of the parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from fer_core.child import Child, ChildError

ROOT = Path(__file__).resolve().parents[3]
MODULE = """
    import os, sys, time
    from fer_core.child import serve

    def abort(words):
        print("progress")
        print(words, file=sys.stderr, flush=True)
        os.abort()

    if __name__ == "__main__":
        serve({"add": lambda a, b: a + b, "sleep": time.sleep, "abort": abort, "exit": sys.exit, "pid": os.getpid,
               "say": print})
"""


@pytest.fixture(name="environment")
def _environment(tmp_path):
    (tmp_path / "helper.py").write_text(textwrap.dedent(MODULE))
    return {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}


@pytest.fixture(name="child")
def _child(environment):
    with Child("helper", environment) as child:
        yield child


def test_calls_are_answered_by_one_warm_process(child):
    assert child.pid is None
    assert child.call("add", 2, 3, timeout=20) == 5
    assert child.call("pid", timeout=20) == child.pid != os.getpid()
    assert child.starts == 1
    assert child.cpu_seconds() > 0


def test_a_method_that_raises_or_exits_is_an_error_and_the_process_lives_on(child):
    with pytest.raises(ChildError, match="TypeError"):
        child.call("add", 2, "three", timeout=20)
    with pytest.raises(ChildError, match="SystemExit: 1"):
        child.call("exit", 1, timeout=20)
    assert child.call("add", 2, 3, timeout=20) == 5
    assert child.starts == 1


def test_a_death_is_told_with_its_signal_and_last_words_and_the_next_call_starts_anew(child):
    with pytest.raises(ChildError, match=r"SIGABRT \(operator 7 is unhappy\)"):
        child.call("abort", "operator 7 is unhappy", timeout=20)
    assert child.pid is None
    assert child.call("add", 2, 3, timeout=20) == 5
    assert child.starts == 2


def test_a_process_killed_between_two_calls_is_replaced(child):
    child.call("add", 2, 3, timeout=20)
    os.kill(child.pid, signal.SIGKILL)
    time.sleep(0.2)
    assert child.call("add", 2, 3, timeout=20) == 5


def test_silence_ends_the_process(child):
    child.call("add", 2, 3, timeout=20)
    with pytest.raises(ChildError, match=r"no answer within 0\.2 s"):
        child.call("sleep", 30, timeout=0.2)
    assert child.pid is None


def test_the_log_is_that_of_the_last_call(child):
    child.call("say", "first", timeout=20)
    child.call("say", "second", timeout=20)
    child.call("add", 1, 1, timeout=20)
    assert child.log() == ""


def test_a_busy_child_ends_with_its_parent(environment):
    script = """
        import os, sys, threading, time
        from fer_core.child import Child
        child = Child("helper")
        print(child.call("pid", timeout=20), flush=True)
        threading.Thread(target=lambda: child.call("sleep", 60, timeout=60), daemon=True).start()
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, env=os.environ | environment
    ) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break  # ended; nobody has collected it yet
        time.sleep(0.1)
    else:
        assert time.monotonic() < deadline
