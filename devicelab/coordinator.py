"""The coordinator: the lab's one writer. A command becomes events, the events become the state, in one transaction.

    commands ──► decisions (pure) ──► events ──► store (one transaction) ──► orders to workers, answers to askers

A command either happened, and then it is in the log, or raised, and then nothing happened. Commands that are given
together share a transaction (group commit): each is as durable as if it had been alone, because nothing is told to
anybody before the commit. If the store fails, the state in memory is thrown away and folded from the log again.

Not thread-safe: whoever owns it gives one command at a time (the embedded lab by a lock, the service by a thread).
"""

from collections.abc import Callable, Iterable, Sequence

from devicelab.commands import Answer, Command, Outcome, Tick
from devicelab.decisions import decide
from devicelab.draft import Draft
from devicelab.errors import DeviceLabError, StoreError
from devicelab.events import Row
from devicelab.fold import Fold
from devicelab.policy import Policy
from devicelab.protocols import Clock
from devicelab.state import LabState
from devicelab.store import Store
from devicelab.upkeep import next_due

SNAPSHOT_EVERY = 20_000
"""Events between snapshots of the state: folding that many takes a fraction of a second."""


class LabClock:
    """Time for the log: it never runs backwards, not by a step of the wall clock and not over a restart.

    It starts at the wall's time or the log's last, whichever is later, and then follows *steady*, a clock that
    nobody sets. The pair (time in the log, steady clock) is what leases are timed by.
    """

    def __init__(self, clock: Clock, last: float, steady: Callable[[], float] | None = None) -> None:
        self._steady = steady or clock.now
        self._start = max(clock.now(), last)
        self._began = self._steady()
        self._last = self._start

    def now(self) -> float:
        """Return seconds since 1970, never less than before."""
        self._last = max(self._last, self._start + self._steady() - self._began)
        return self._last


class Coordinator:
    """The writer of *store*, with the state that its log adds up to.

    ``state`` may be read between commands and must not be changed. *listener* is called after every commit with
    the rows that were written; it must not raise.

    Raises:
        StoreError: the log cannot be read, or its chain is broken at its end.
    """

    def __init__(
        self, store: Store, policy: Policy | None = None, listener: Callable[[Sequence[Row]], None] | None = None
    ) -> None:
        self._store = store
        self._policy = policy or Policy()
        self._listener = listener
        self._fold = self._recovered()
        self._snapshot_at = self._fold.state.seq

    @property
    def state(self) -> LabState:
        """The lab as it is now."""
        return self._fold.state

    @property
    def policy(self) -> Policy:
        """The rules of this lab."""
        return self._policy

    def perform(self, command: Command, now: float) -> Outcome:
        """Let *command* happen at *now* (seconds since 1970); when this returns it is durable.

        Raises:
            LeaseError: the command speaks for a lease that no longer holds; stop that work.
            NoDeviceError, ConfigError: it asks for what this lab does not have, or for what is not allowed now.
            StoreError: it could not be written; nothing happened.
        """
        result = self.perform_all([command], now)[0]
        if isinstance(result, DeviceLabError):
            raise result
        return result

    def perform_all(self, commands: Iterable[Command], now: float) -> list[Outcome | DeviceLabError]:
        """Let *commands* happen in one transaction; return for each what followed, or why it did not happen.

        Raises:
            StoreError: they could not be written; none of them happened.
        """
        draft = Draft(self._fold, self._policy, max(now, self.state.at), self._store)
        results: list[Outcome | DeviceLabError] = []
        try:
            for command in commands:
                try:
                    decide(draft, command)
                    results.append(draft.outcome())
                except DeviceLabError as error:
                    if draft.has_pending():
                        raise
                    results.append(error)
            rows = self._commit(draft)
        except BaseException:
            self._fold = self._recovered()
            raise
        if self._listener is not None and rows:
            self._listener(rows)
        return results

    def tick(self, now: float) -> Outcome:
        """Let time pass up to *now*: see ``commands.Tick``."""
        return self.perform(Tick(), now)

    def due(self) -> float:
        """Return when the next :meth:`tick` has something to do (seconds since 1970)."""
        return next_due(self.state, self._policy)

    def answer(self, request: str) -> Answer | None:
        """Return how *request* ended; None while it is open, or if nobody made it (see ``state.requests``)."""
        return None if request in self.state.requests else self._store.answer(request)

    def _commit(self, draft: Draft) -> Sequence[Row]:
        if not draft.events:
            return ()
        due = self.state.seq - self._snapshot_at >= SNAPSHOT_EVERY
        rows = self._store.append(draft.events, draft.samples, self.state if due else None)
        self._snapshot_at = self.state.seq if due else self._snapshot_at
        return rows

    def _recovered(self) -> Fold:
        try:
            return self._store.folded(self._policy.weights, self._policy.schedule)
        except (KeyError, TypeError) as error:
            raise StoreError(f"{self._store.path}: its events do not add up to a lab: {error!r}") from error
