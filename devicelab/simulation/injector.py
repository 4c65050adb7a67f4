"""Faults on purpose: which operation of a simulated phone fails, how, and what makes it well again.

Every fault of ``devicelab.faults`` that a single phone can show is here as an ``Ailment``; those of a host or a room
(F12, F20, F23) are made by whoever simulates the host (``Surroundings``), late and double results (F24) by whoever
delivers them (``Injector.delivery``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from devicelab.faults import FAULTS, Fault, Rung

Verb = Literal["load", "run", "reference", "health", "unload"]
Effect = Literal["raise", "hang", "reboot", "heat", "drain", "fill", "cover", "disturb", "garble"]
"""What happens: the call fails at once, or after its time limit; the phone restarts, is suddenly hot and throttled,
empty, full, has a pop-up on its screen, is disturbed by a lot of background work; the output is garbled.
"""
Delivery = Literal["once", "twice", "late", "never"]


@dataclass(frozen=True, slots=True)
class Ailment:
    """How one fault shows: at which *verbs*, its *effect*, and from which rung on it goes away.

    ``heals`` is ``None`` if it is over with the call that failed. ``weight`` is how often it comes among all.
    ``stubborn`` phones need one rung more, with ``STUBBORN``'s chance.
    """

    fault: Fault
    effect: Effect
    verbs: tuple[Verb, ...]
    heals: Rung | None = None
    weight: float = 1.0


STUBBORN = 0.2
ANY: tuple[Verb, ...] = ("load", "run", "reference", "health", "unload")
_WORK: tuple[Verb, ...] = ("run", "reference")
_TABLE = (
    Ailment(FAULTS["F0"], "raise", ANY, Rung.RETRY, 0.5),
    Ailment(FAULTS["F1"], "raise", ("load",), Rung.REINSTALL),
    Ailment(FAULTS["F2"], "raise", ("run", "reference", "unload"), weight=2.0),
    Ailment(FAULTS["F3"], "raise", ("run", "reference")),
    Ailment(FAULTS["F4"], "raise", ("run",), weight=0.5),
    Ailment(FAULTS["F5"], "raise", ("load",), weight=0.5),
    Ailment(FAULTS["F6"], "raise", ("load",), weight=0.2),
    Ailment(FAULTS["F7"], "raise", ("load", "run"), Rung.REINSTALL, 0.5),
    Ailment(FAULTS["F8"], "raise", ANY, Rung.RECONNECT),
    Ailment(FAULTS["F9"], "raise", ANY, Rung.RECONNECT, 2.0),
    Ailment(FAULTS["F10"], "raise", ANY, Rung.HUB_POWER, 0.0),
    Ailment(FAULTS["F11"], "raise", ANY, weight=2.0),
    Ailment(FAULTS["F13"], "raise", ("load",), weight=0.0),
    Ailment(FAULTS["F14"], "raise", ANY, Rung.HUB_POWER, 0.0),
    Ailment(FAULTS["F15"], "hang", ANY, Rung.RECONNECT),
    Ailment(FAULTS["F16"], "reboot", ("run", "reference", "load")),
    Ailment(FAULTS["F17"], "fill", ("load",), Rung.REINSTALL),
    Ailment(FAULTS["F18"], "hang", ("run",)),
    Ailment(FAULTS["F19"], "heat", ("run", "reference", "load")),
    Ailment(FAULTS["F21"], "drain", ("load",), weight=0.2),
    Ailment(FAULTS["F21H"], "raise", ANY, Rung.HUB_POWER, 0.0),
    Ailment(FAULTS["F22"], "cover", ("load", "run"), Rung.RETRY),
    Ailment(FAULTS["F25"], "garble", _WORK, weight=2.0),
    Ailment(FAULTS["F26"], "raise", ANY, Rung.HUB_POWER, 0.0),
    Ailment(FAULTS["F27"], "disturb", _WORK, weight=0.5),
)
AILMENTS: MappingProxyType[str, Ailment] = MappingProxyType({one.fault.id: one for one in _TABLE})
"""By the fault's id. Those that no software heals have weight 0: a simulation asks for them by configuration."""


class Injector:
    """Decides at every call whether and how it fails; ``sick`` is the lasting ailment, if there is one.

    *rate* is the chance that an operation fails; *weights* overrides the table's, by the fault's id.
    """

    def __init__(self, rng: np.random.Generator, rate: float, weights: Mapping[str, float]) -> None:
        self._rng = rng
        self._rate = rate
        self._weights = {key: weights.get(key, one.weight if not weights else 0.0) for key, one in AILMENTS.items()}
        self.sick: Ailment | None = None
        self._heals: Rung | None = None
        self.injected: list[tuple[str, Verb]] = []

    def strike(self, verb: Verb) -> Ailment | None:
        """Return what makes this call of *verb* fail: what the phone suffers from, or something new, or ``None``."""
        if self.sick is not None and verb in (*self.sick.verbs, "health"):
            return self.sick
        if not self._rate or self._rng.random() >= self._rate:
            return None
        able = [one for one in AILMENTS.values() if verb in one.verbs and self._weights[one.fault.id] > 0]
        if not able:
            return None
        weights = np.array([self._weights[one.fault.id] for one in able])
        ailment = able[int(self._rng.choice(len(able), p=weights / weights.sum()))]
        self.inflict(ailment.fault.id)
        self.injected.append((ailment.fault.id, verb))
        return ailment

    def inflict(self, fault: str) -> None:
        """Make the phone suffer from *fault* until it is healed; nothing happens if that fault passes by itself.

        Raises:
            KeyError: no phone shows that fault.
        """
        ailment = AILMENTS[fault]
        if ailment.heals is None:
            return
        stubborn = ailment.fault.recoverable and self._rng.random() < STUBBORN
        self.sick, self._heals = ailment, Rung(min(ailment.heals + stubborn, Rung.HUB_POWER))

    def climb(self, rung: Rung) -> bool:
        """Try to heal with *rung*; return whether the phone is well now. What software cannot heal stays."""
        if self.sick is not None and self.sick.fault.recoverable and self._heals is not None and rung >= self._heals:
            self.sick = None
        return self.sick is None

    def repair(self) -> None:
        """Let an operator have a look: whatever it was, the phone is well."""
        self.sick = None

    def delivery(self) -> Delivery:
        """Return how a result reaches the lab (F24): *rate* of them come twice, late or, with their host, never."""
        if self._rng.random() >= self._rate:
            return "once"
        kinds: tuple[Delivery, ...] = ("twice", "late", "never")
        return kinds[int(self._rng.integers(3))]


class Surroundings:
    """What phones share: the room's air and the host with its hub; change the attributes to make an incident.

    ``extra_c`` is added to the air around every phone (F20); ``host`` is the fault of the host while it has one
    (F12, F23), ``None`` while it works.
    """

    def __init__(self) -> None:
        self.extra_c = 0.0
        self.host: Fault | None = None
