"""Who waits for which answer: requests on one side, coroutines on the other, both in the event loop."""

import asyncio
from collections.abc import Iterable

from devicelab.api import Problem, Ticket
from devicelab.commands import Answer


def ticket_of(answer: Answer) -> Ticket:
    """Return how *answer* is told to its asker."""
    problem = None
    if answer.measurement is None:
        problem = Problem(kind=answer.error or "ServiceError", message=answer.message)
    return Ticket(key=answer.request, stage=answer.ending, measurement=answer.measurement, problem=problem)


class Tickets:
    """Coroutines that wait for answers."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[Ticket]]] = {}

    def expect(self, request: str) -> asyncio.Future[Ticket]:
        """Return a future of the answer to *request*; give it back to :meth:`forget` in any case."""
        future: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request, []).append(future)
        return future

    def forget(self, request: str, future: asyncio.Future[Ticket]) -> None:
        """Wait no more."""
        left = [one for one in self._waiting.get(request, []) if one is not future]
        if left:
            self._waiting[request] = left
        else:
            self._waiting.pop(request, None)

    def answered(self, answers: Iterable[Answer]) -> None:
        """Tell everybody who waits for one of *answers*."""
        for answer in answers:
            for future in self._waiting.pop(answer.request, []):
                if not future.done():
                    future.set_result(ticket_of(answer))
