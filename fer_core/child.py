"""A helper process for work that may crash, hang or leak: warm between calls, replaced when it dies.

The parent owns a ``Child``; the child's module ends in ``serve(...)``. They talk over a socket pair, so the child sees
the end of its parent, and it also watches its parent's process id, so that it ends even in the middle of a call. What
the child prints goes to a nameless file, whose last lines explain its death.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from fer_core.errors import FerError

_LOG_TAIL = 20_000
_PARENT_CHECK_SECONDS = 1.0


class ChildError(FerError):
    """A call that the child refused, died of, or did not answer in time; the message says which."""


class Child:
    """One process that runs *module* and answers calls, one at a time; started by the first call.

    Threads may share it. ``starts`` counts how often a process was started: a caller that keeps state in the child
    compares it to know whether that state is gone.
    """

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        self._module = module
        self._environment = dict(environment or {})
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._log: IO[bytes] | None = None
        self._log_start = 0
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id of the living child, or ``None``."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process unless it lives; it imports its libraries while the caller goes on."""
        with self._lock:
            if self.pid is None:
                self.close()
                self._spawn()

    def call(self, method: str, *arguments: object, timeout: float) -> Any:  # noqa: ANN401 - as varied as the methods
        """Return what *method* of the child's ``serve`` answers within *timeout* seconds.

        Raises:
            ChildError: the method raised, the process died, or there was no answer in time (the process is ended).
        """
        with self._lock:
            self.start()
            assert self._connection is not None  # noqa: S101 - for the type checker: start() has just set it
            assert self._log is not None  # noqa: S101 - the same
            self._log_start = os.fstat(self._log.fileno()).st_size
            try:
                self._connection.send((method, arguments))
                if not self._connection.poll(timeout):
                    self.close()
                    raise ChildError(f"no answer within {timeout:g} s; the process was ended")
                fine, answer = self._connection.recv()
            except (EOFError, ConnectionError):
                raise ChildError(self._obituary()) from None
            if not fine:
                raise ChildError(answer)
            return answer

    def cpu_seconds(self) -> float:
        """Return the CPU time, in seconds, that the process has used since its start."""
        return float(self.call("cpu_seconds", timeout=60))

    def log(self) -> str:
        """Return the last lines that the child printed during the last call."""
        if self._log is None:
            return ""
        descriptor = self._log.fileno()
        start = max(self._log_start, os.fstat(descriptor).st_size - _LOG_TAIL)
        return os.pread(descriptor, _LOG_TAIL, start).decode("utf-8", "replace")

    def close(self) -> None:
        """End the process; a later call starts a new one."""
        with self._lock:
            if self._connection:
                self._connection.close()
            if self._process:
                self._process.kill()
                self._process.wait()
            if self._log:
                self._log.close()
            self._process = self._connection = self._log = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - lives as long as the process, closed by close()
        root = str(Path(__file__).resolve().parents[1])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | self._environment,
            )
        self._connection = Connection(ours.detach())
        self.starts += 1

    def _obituary(self) -> str:
        assert self._process is not None  # noqa: S101 - only called for a process that was just spoken to
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = None
        words = [line.strip() for line in self.log().splitlines() if line.strip()]
        self.close()
        how = "closed its connection" if code is None else f"ended with {_name_of(code)}"
        return f"the process {how}" + (f" ({words[-1][:300]})" if words else "")


def serve(methods: Mapping[str, Callable[..., object]]) -> None:
    """Answer calls of the parent with *methods* (and ``cpu_seconds``) until it closes the connection or ends.

    Runs in the child. An exception of a method, even ``SystemExit``, becomes the answer; the process lives on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, which then closes the connection
    methods = {"cpu_seconds": time.process_time, **methods}
    threading.Thread(target=_end_with_parent, args=(int(sys.argv[2]),), daemon=True).start()
    with Connection(int(sys.argv[1])) as connection, contextlib.suppress(EOFError, ConnectionError):
        while True:
            method, arguments = connection.recv()
            try:
                answer = True, methods[method](*arguments)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the parent decides about it
                answer = False, f"{type(error).__name__}: {error}"
            connection.send(answer)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)


def _name_of(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"
