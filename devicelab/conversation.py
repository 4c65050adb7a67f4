"""How a client talks a measurement out of the lab's service: a pure conversation, without a network.

A conversation is a generator: it yields what to ask (``Ask``) or how long to wait (``Wait``), is sent the answer, and
returns what was wanted. Whoever has a network walks through it, blocking or not (``devicelab.client``).

Whatever happens to the service on the way (a restart, a lost answer, a proxy's 502) the same request is put again
under the same key, so it is one request however often it is asked.
"""

import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from devicelab.api import ROOT, Problem, Submission, Ticket
from devicelab.errors import AccessError, DeviceLabError, ServiceError
from devicelab.measurement import Measurement

LONG_POLL_SECONDS = 25.0
"""How long the service may keep a question before it answers that there is nothing new; below proxies' usual 30 s."""
SHORT_SECONDS = 30.0
UPLOAD_SECONDS = 300.0
_AGAIN = {429, 502, 503, 504}
"""Statuses that say nothing about the request: the service is starting, busy or away."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One HTTP request: *file* is sent as it is, *body* as JSON; *seconds* until it counts as lost.

    *into*: a good answer is no JSON but the content of that file (``LabClient`` only).
    """

    method: Literal["GET", "PUT", "POST"]
    path: str
    body: dict[str, Any] | None = None
    file: Path | None = None
    into: Path | None = None
    query: dict[str, str] = field(default_factory=dict)
    seconds: float = SHORT_SECONDS


@dataclass(frozen=True, slots=True)
class Wait:
    """Let *seconds* pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a *status* and decoded JSON; status 0 says that nothing came and *body* why."""

    status: int
    body: Any


type Talk[Result] = Generator[Ask | Wait, Answer | None, Result]


def measuring(key: str, submission: Submission, file: Path, patience: float) -> Talk[Measurement]:
    """Ask until the request *key* has ended; send *file* if the service does not have it.

    *patience* is how many seconds in a row the service may be away.

    Raises:
        AccessError: the token is not known or may not ask for measurements.
        ServiceError: the service stayed away for longer than *patience*, or cannot be understood.
        DeviceLabError: what the measurement ended in, in its own class.
    """
    put = Ask(
        "PUT",
        f"{ROOT}/requests/{key}",
        body=submission.model_dump(mode="json"),
        query={"wait": f"{LONG_POLL_SECONDS:g}"},
        seconds=LONG_POLL_SECONDS + SHORT_SECONDS,
    )
    while True:
        ticket = _ticket((yield from asking(put, patience)))
        if ticket.measurement is not None:
            return ticket.measurement
        if ticket.problem is not None:
            raise ticket.problem.error()
        if ticket.upload:
            upload = Ask("PUT", f"{ROOT}/artifacts/{submission.sha256}", file=file, seconds=UPLOAD_SECONDS)
            yield from asking(upload, patience)


def asking(ask: Ask, patience: float) -> Talk[Any]:
    """Ask until there is an answer, and return its decoded JSON.

    Raises:
        AccessError: status 401 or 403.
        ServiceError: no answer within *patience* seconds of waiting, or one that is not the lab's.
        DeviceLabError: what the service answered, in its own class.
    """
    waited = 0.0
    for pause in _pauses(ask.path):
        answer = yield ask
        if answer is None or not (answer.status == 0 or answer.status in _AGAIN):
            break
        if waited >= patience:
            raise ServiceError(f"the lab's service has not answered for {waited:.0f} s ({_told(answer)})")
        yield Wait(pause)
        waited += pause
    if answer is None:
        raise TypeError("an Ask was answered with nothing")
    if answer.status < 400:
        return answer.body
    raise _refusal(answer)


def _pauses(seed: str) -> Iterator[float]:
    """Yield 0.1, 0.2 .. 5 s, each shortened by up to a half, so that clients do not come back all at once."""
    attempt = 0
    while True:
        spread = zlib.crc32(f"{seed}/{attempt}".encode()) / 2**32
        yield min(0.1 * 2 ** min(attempt, 10), 5.0) * (1 - spread / 2)
        attempt += 1


def _refusal(answer: Answer) -> DeviceLabError:
    if answer.status in (401, 403):
        return AccessError(_told(answer))
    try:
        return Problem.model_validate(answer.body).error()
    except ValidationError:
        return ServiceError(f"the service answered {answer.status}: {_told(answer)}")


def _told(answer: Answer) -> str:
    body = answer.body
    return str(body.get("message", body) if isinstance(body, dict) else body)[:500]


def _ticket(body: object) -> Ticket:
    try:
        return Ticket.model_validate(body)
    except ValidationError as error:
        raise ServiceError(f"no ticket of a lab's service came back: {error.errors()[0]['msg']}") from None
