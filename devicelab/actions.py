"""What a protocol asks to be done on a phone, as values, and what came of it.

A protocol is a generator that yields actions and is sent outcomes. It neither waits nor touches a phone, so a worker
can renew its lease between two actions and a simulation can drive a thousand of them.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass

from devicelab.device import Health
from devicelab.errors import RefusedError
from devicelab.faults import FAULTS
from devicelab.measurement import Burst, Workload
from devicelab.protocols import Clock, Driver


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the phone for its health. Answered with a ``Health``."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Let *seconds* pass. Answered with ``None``."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """Load *workload* in a new process. Answered with ``None``."""

    workload: Workload


@dataclass(frozen=True, slots=True)
class Reference:
    """Run the reference workload *runs* times. Answered with a ``Burst``."""

    runs: int


@dataclass(frozen=True, slots=True)
class Run:
    """Run the loaded workload *runs* times. Answered with a ``Burst``."""

    runs: int


Action = Look | Wait | Load | Reference | Run


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an action, and when (seconds since 1970)."""

    now: float
    answer: Health | Burst | None = None


type Steps[Result] = Generator[Action, Outcome, Result]
"""A protocol under way; it returns its result when it stops."""


def perform(driver: Driver, action: Action, clock: Clock) -> Outcome:
    """Do *action* on the phone behind *driver* and return what came of it; raises what the driver raises."""
    answer: Health | Burst | None = None
    match action:
        case Look():
            answer = driver.health()
        case Wait(seconds):
            clock.sleep(seconds)
        case Load(workload):
            driver.load(workload)
        case Reference(runs):
            answer = driver.reference(runs)
        case Run(runs):
            answer = driver.run(runs)
    return Outcome(clock.now(), answer)


def expect[Answer: (Health, Burst)](kind: type[Answer], outcome: Outcome) -> Answer:
    """Return the answer of *outcome*, which is a *kind*.

    Raises:
        TypeError: it is something else; whoever performs the actions has mixed them up.
    """
    if not isinstance(outcome.answer, kind):
        raise TypeError(f"the action was to be answered with a {kind.__name__}, not {outcome.answer!r}")
    return outcome.answer


def burst_of(name: str, outcome: Outcome, runs: int) -> Burst:
    """Return the burst that *outcome* answers, of *runs* runs or more on the phone *name*.

    Raises:
        RefusedError: it has fewer runs, or times that are not above 0.
    """
    burst = expect(Burst, outcome)
    times = burst.times_ms or (burst.typical_ms,)
    if burst.runs < runs or not all(math.isfinite(time) and time > 0 for time in times):
        raise RefusedError(
            f"{name}: answered {burst.runs} times for {runs} runs, or times that are not above 0",
            "garbled",
            FAULTS["F25"],
        )
    return burst
