"""The process beside a run that tells MLflow and TensorBoard about it, so that the run never waits for them."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from search.folder import StudyFolder
from search.record import StudyRecord

type OnChange = Callable[[StudyRecord], None]

END_SECONDS = 60.0
"""How long the end of a run waits for the last numbers; then they are left to ``fer-search track``."""


@contextmanager
def beside(folder: StudyFolder, show: OnChange, say: Callable[[str], None]) -> Iterator[OnChange]:
    """Yield *show* for a run of the study in *folder*; with its first call the process starts, if ``[tracking]`` asks.

    *say* gets its warnings, a line each, and at the end what to do if it is behind. It never fails.
    """
    if not folder.config.tracking.wanted:
        yield show
        return
    name = folder.path.name
    track = [sys.executable, "-m", "search.cli", "track", name, "--studies", str(folder.path.parent), "--follow"]
    companion = Companion(folder, track, say)

    def shown(record: StudyRecord) -> None:
        companion.look()
        show(record)

    try:
        yield shown
    finally:
        companion.end(END_SECONDS)


class Companion:
    """A process with *command* whose lines are read from a file in *folder* and told by *say*."""

    def __init__(self, folder: StudyFolder, command: Sequence[str], say: Callable[[str], None]) -> None:
        self._log = folder.path / "tracking.log"
        self._name = folder.path.name
        self._command = command
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._told = 0

    def look(self) -> None:
        """Start it, the first time; tell what it said since the last."""
        try:
            if self._process is None:
                with self._log.open("wb") as log:
                    self._process = subprocess.Popen(
                        self._command,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=log,
                        start_new_session=True,  # Ctrl-C is for the run; this ends after it
                    )
            self._tell()
        except OSError as error:
            self._say(f"tracking: {error.strerror or error}")

    def end(self, seconds: float) -> None:
        """Wait at most *seconds* until it is through; say so where it is not."""
        if self._process is None:
            return
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            self._process.kill()
            self._process.wait()
        self._tell()
        if code:
            self._say(f"tracking is behind ({self._log}); catch up with: fer-search track {self._name}")

    def _tell(self) -> None:
        """Tell the lines that are whole and new."""
        with self._log.open("rb") as log:
            log.seek(self._told)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._told += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            self._say(line)
