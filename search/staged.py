"""The plan of a study that varies one thing after the other, as the paper did: networks first, then one of them.

Every network for every population comes first, trained alike and exported plainly: with the first choice of each other
key. When all of them have ended, the one with the best F1 is compressed: with every other choice of pruning, weight
clustering and quantization by itself, and at last with the last choice of each together. No sampler has a part in it.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

from search.config import StudyConfig
from search.errors import ConfigError
from search.objectives import Outcome
from search.space import asked, choices_of

NETWORKS = ("architecture", "population")
"""The keys of the first stage: all their combinations."""
COMPRESSION = ("pruning", "clusters", "quantization")
"""The keys of the second stage: one at a time."""

type Params = dict[str, Any]


class Staged:
    """The trials of the study *config*, in their order; what depends on outcomes is known when they are.

    Raises:
        ConfigError: the space holds a range: only lists of choices can be gone through.
    """

    def __init__(self, config: StudyConfig) -> None:
        self._config = config
        self._choices, ranges = choices_of(config)
        if ranges:
            raise ConfigError(
                f"{config.name}: sampler.name = 'staged' goes through lists of choices, but "
                f"{', '.join(ranges)} is a range; give values, or choose another sampler"
            )
        keys = [key for key in NETWORKS if key in self._choices]
        combinations = product(*(self._choices[key] for key in keys))
        self.networks = tuple(self._trial(dict(zip(keys, values, strict=True))) for values in combinations)

    def size(self, outcomes: Mapping[int, Outcome]) -> int:
        """Return how many trials there are, by what *outcomes* tell: without a network to compress, fewer."""
        networks = len(self.networks)
        if self.waiting(outcomes) or winner(outcomes, networks) is not None:
            return networks + len(self._variants({}))
        return networks

    def waiting(self, outcomes: Mapping[int, Outcome]) -> bool:
        """Whether a network of the first stage has not ended yet."""
        return any(number not in outcomes for number in range(len(self.networks)))

    def params(self, number: int, outcomes: Mapping[int, Outcome]) -> Params | None:
        """Return the parameters of trial *number*, ``None`` when there are none, or not before more has ended."""
        networks = len(self.networks)
        if number < networks:
            return self.networks[number]
        best = None if self.waiting(outcomes) else winner(outcomes, networks)
        if best is None:
            return None
        variants = self._variants({key: value for key, value in self.networks[best].items() if key in NETWORKS})
        return variants[number - networks] if number - networks < len(variants) else None

    def _variants(self, network: Params) -> list[Params]:
        keys = [key for key in COMPRESSION if key in self._choices]
        changes = [{key: choice} for key in keys for choice in self._choices[key][1:]]
        together = {key: self._choices[key][-1] for key in keys}
        return [self._trial(network | change) for change in [*changes, *([together] if len(keys) > 1 else [])]]

    def _trial(self, chosen: Params) -> Params:
        return asked(self._config, {key: choices[0] for key, choices in self._choices.items()} | chosen)


def winner(outcomes: Mapping[int, Outcome], networks: int) -> int | None:
    """Return which of the first *networks* trials is complete with the best F1, the first among equals."""
    complete = [number for number in range(networks) if number in outcomes and outcomes[number].state == "complete"]
    return max(complete, key=lambda number: outcomes[number].values["f1"], default=None)
