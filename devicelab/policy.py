"""The numbers that a lab is run by; ``devicelab.config`` reads them from lab.toml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of the schedule, each a key of ``[schedule]`` in lab.toml.

    A request that has waited ``aging_seconds`` counts as one class higher. One of every ``reserve_per`` phones
    (0: none) is kept for interactive requests while there was one in the last ``reserve_seconds``: a reserve
    that nobody needs would only idle. ``usual_seconds`` is what a block is taken to cost until it has ended. A question
    waits ``other_phone_seconds`` for a phone that it was not on yet, if there is one at work.
    """

    aging_seconds: float = 1800.0
    reserve_per: int = 8
    reserve_seconds: float = 600.0
    usual_seconds: float = 8.0
    other_phone_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers of a lab, each a key of lab.toml.

    Leases live ``lease_seconds`` beyond the last heartbeat, which comes every ``heartbeat_seconds``. A network that
    makes ``poison_attempts`` blocks fail on ``poison_phones`` phones is given up; one whose blocks fail by
    phones' faults after ``max_failures``. A phone measures the reference again after ``reference_blocks`` blocks or
    ``reference_seconds``; one that rests is looked at every ``watch_seconds``. A request waits ``patience_seconds``
    for a lab in which no phone that would do has worked. ``wait_for_operator``: requests stay when every phone that
    would do waits for a person, else they fail. ``weights``: shares of searches (1 if not named).
    """

    lease_seconds: float = 30.0
    heartbeat_seconds: float = 10.0
    poison_attempts: int = 3
    poison_phones: int = 2
    max_failures: int = 12
    reference_blocks: int = 20
    reference_seconds: float = 1800.0
    watch_seconds: float = 30.0
    patience_seconds: float = 2 * 3600.0
    wait_for_operator: bool = False
    weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    schedule: Rules = field(default_factory=Rules)
