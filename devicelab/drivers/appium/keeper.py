"""A child that runs Appium and ends it, with all that it started, when its own parent is gone.

    python -m devicelab.drivers.appium.keeper LOG COMMAND...

Its standard input is a pipe that the parent holds and never writes to: its end, which comes however the parent
died, SIGKILL included, is the sign to clean up. So no lab leaves an Appium behind, not even one that was killed.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from devicelab.drivers.appium.processes import MARK, end_marked

LOOK_SECONDS = 0.5


def main(arguments: list[str]) -> int:
    """Run ``COMMAND...`` with its output in ``LOG`` until it ends or the parent does."""
    log, *command = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then lets go of the pipe
    with Path(log).open("ab") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        while child.poll() is None and not _parent_is_gone():
            pass
    finally:
        end_marked(os.environ[MARK], spare_adb_server=True)
        child.wait()
    return 0


def _parent_is_gone() -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], LOOK_SECONDS)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
