"""What a trial of a ledger was asked and answered, without asking Optuna again, which takes a millisecond or two."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.space import Given


class Recalled(Given):
    """Answers from *params*; ``distributions`` holds among which values each answer was one.

    Raises:
        KeyError: a question that *params* has no answer to, or one that is not among its values.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:  # noqa: ANN401 - one of the choices
        """Return what was answered for *name*."""
        self.distributions[name] = _choices(name, tuple(choices))
        answer = super().suggest_categorical(name, choices)
        return answer if answer in choices else _none_of(name)

    def suggest_int(self, name: str, low: int, high: int, /, **scale: Any) -> int:  # noqa: ANN401
        """Return what was answered for *name*."""
        self.distributions[name] = IntDistribution(low, high, **scale)
        answer = super().suggest_int(name, low, high)
        return answer if low <= answer <= high else _none_of(name)

    def suggest_float(self, name: str, low: float, high: float, /, **scale: Any) -> float:  # noqa: ANN401
        """Return what was answered for *name*."""
        self.distributions[name] = FloatDistribution(low, high, **scale)
        answer = super().suggest_float(name, low, high)
        return answer if low <= answer <= high else _none_of(name)


def _none_of(name: str) -> NoReturn:
    raise KeyError(name)


@functools.lru_cache(maxsize=256)
def _choices(_name: str, choices: tuple[Any, ...]) -> CategoricalDistribution:
    """Return the distribution of a key's *choices*: Optuna looks at each of them when one is made."""
    return CategoricalDistribution(choices)
