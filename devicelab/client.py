"""A lab somewhere else: ``LabClient`` for threads, ``AsyncLabClient`` for coroutines. The only module that asks HTTP.

    with LabClient("http://lab:8750", token) as lab:
        measurement = lab.measure(Workload.of(path, threads=4))

Both survive restarts of the service: an answer that was under way is asked for again (``devicelab.conversation``).
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from devicelab.api import Submission
from devicelab.conversation import Answer, Ask, Talk, Wait, asking, measuring
from devicelab.device import Selector
from devicelab.errors import AccessError, ConfigError, WorkloadError
from devicelab.measurement import Measurement, Workload
from devicelab.protocols import Clock, SystemClock

if TYPE_CHECKING:
    import httpx2

TOKEN_VARIABLE = "FER_LAB_TOKEN"  # noqa: S105 - the name of a variable
URL_VARIABLE = "FER_LAB_URL"
PATIENCE_SECONDS = 600.0
"""How long a service may be away before a client gives up: an operator restarts or moves it meanwhile."""
_CHUNK = 1 << 16


def find_token(file: Path | None = None) -> str:
    """Return the token in *file*, or else in the variable FER_LAB_TOKEN.

    Raises:
        AccessError: there is none, or the file cannot be read.
    """
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise AccessError(f"{file}: the lab's token cannot be read: {error.strerror}") from None
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise AccessError(
            f"no token for the lab's service: set {TOKEN_VARIABLE}; an operator makes one: fer-lab token add"
        )
    return token


class LabClient:
    """The lab at *url* for whoever *token* belongs to; blocking, and safe to share between threads.

    *patience* is how many seconds in a row the service may be away. Use as a context manager.
    """

    def __init__(self, url: str, token: str, *, patience: float = PATIENCE_SECONDS, clock: Clock | None = None) -> None:
        import httpx2  # the values above do not need it

        self._clock = clock or SystemClock()
        self._patience = patience
        self._http = httpx2.Client(**_http_options(url, token))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def measure(
        self,
        workload: Workload,
        *,
        selector: Selector | None = None,
        threshold_ms: float | None = None,
        search: str | None = None,
        background: bool = False,
        key: str | None = None,
    ) -> Measurement:
        """Return the latency of *workload*, measured now or before; see ``devicelab.lab.Lab.measure``.

        *key* names the request: asking again with the same key never measures twice.

        Raises:
            WorkloadError, DeviceError, NoDeviceError: as from the lab itself.
            AccessError: the token may not do this.
            ServiceError: the service stayed away, or does not speak our language.
        """
        submission = _submission(workload, selector, threshold_ms, search, background=background)
        return self._walk(measuring(key or new_key(), submission, workload.path, self._patience))

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - whatever JSON the path holds
        """Return the decoded JSON at *path*.

        Raises:
            AccessError: the token may not look.
            ServiceError: the service stayed away.
            DeviceLabError: what the service answered, in its own class.
        """
        return self.ask(Ask("GET", path, query=query))

    def post(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401
        """Send *body* to *path* and return the decoded JSON of the answer; raises what :meth:`get` raises."""
        return self.ask(Ask("POST", path, body=body))

    def ask(self, ask: Ask) -> Any:  # noqa: ANN401
        """Return the decoded JSON that answers *ask*; raises what :meth:`get` raises."""
        return self._walk(asking(ask, self._patience))

    def _walk[Result](self, talk: Talk[Result]) -> Result:
        answer: Answer | None = None
        while True:
            try:
                step = talk.send(answer)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, Wait):
                self._clock.sleep(step.seconds)
                answer = None
            else:
                answer = self._ask(step)

    def _ask(self, ask: Ask) -> Answer:
        import httpx2

        try:
            if ask.into is not None:
                with self._http.stream(ask.method, ask.path, params=ask.query, timeout=ask.seconds) as response:
                    return _kept(response, ask.into)
            if ask.file is not None:
                with _opened(ask.file) as file:
                    chunks = iter(lambda: file.read(_CHUNK), b"")
                    response = self._http.request(ask.method, ask.path, content=chunks, timeout=ask.seconds)
            else:
                response = self._http.request(
                    ask.method, ask.path, json=ask.body, params=ask.query, timeout=ask.seconds
                )
        except httpx2.TransportError as error:
            return Answer(0, _reason(error))
        return _answer(response)


class AsyncLabClient:
    """As ``LabClient``, for coroutines: any number of measurements may be awaited at once."""

    def __init__(self, url: str, token: str, *, patience: float = PATIENCE_SECONDS) -> None:
        import httpx2

        self._patience = patience
        self._http = httpx2.AsyncClient(**_http_options(url, token))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def measure(
        self,
        workload: Workload,
        *,
        selector: Selector | None = None,
        threshold_ms: float | None = None,
        search: str | None = None,
        background: bool = False,
        key: str | None = None,
    ) -> Measurement:
        """As :meth:`LabClient.measure`."""
        submission = _submission(workload, selector, threshold_ms, search, background=background)
        return await self._walk(measuring(key or new_key(), submission, workload.path, self._patience))

    async def _walk[Result](self, talk: Talk[Result]) -> Result:
        answer: Answer | None = None
        while True:
            try:
                step = talk.send(answer)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                answer = None
            else:
                answer = await self._ask(step)

    async def _ask(self, ask: Ask) -> Answer:
        import httpx2

        content = None if ask.file is None else _chunks(ask.file)
        try:
            response = await self._http.request(
                ask.method, ask.path, content=content, json=ask.body, params=ask.query, timeout=ask.seconds
            )
        except httpx2.TransportError as error:
            return Answer(0, _reason(error))
        return _answer(response)


def new_key() -> str:
    """Return a name for a request that nobody else uses."""
    return secrets.token_hex(16)


def _submission(
    workload: Workload,
    selector: Selector | None,
    threshold_ms: float | None,
    search: str | None,
    *,
    background: bool,
) -> Submission:
    with _opened(workload.path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Submission(
        sha256=digest,
        fingerprint=workload.fingerprint,
        threads=workload.threads,
        selector=selector or Selector(),
        threshold_ms=threshold_ms,
        search=search,
        background=background,
    )


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        yield file


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with _opened(path) as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


def _base(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is no address of a lab's service; it looks like http://host:8750")
    return url.rstrip("/")


def _http_options(url: str, token: str) -> dict[str, Any]:
    import httpx2

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
    return {"base_url": _base(url), "headers": {"Authorization": f"Bearer {token}"}, "limits": limits}


def _answer(response: "httpx2.Response") -> Answer:
    try:
        return Answer(response.status_code, response.json())
    except ValueError:
        return Answer(response.status_code, response.text[:500] or response.reason_phrase)


def _kept(response: "httpx2.Response", path: Path) -> Answer:
    """Write a good *response* to *path*, as it arrives."""
    if response.status_code >= 400:
        response.read()
        return _answer(response)
    with path.open("wb") as file:
        for chunk in response.iter_bytes(_CHUNK):
            file.write(chunk)
    return Answer(response.status_code, None)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
