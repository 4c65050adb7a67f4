"""The figures that the paper published, read from ``published.toml``: the one place where they stand."""

from functools import cache
from pathlib import Path

from fer_core.specs import ArchitectureName, Population, Spec
from search.toml import read_toml, validated

_FILE = Path(__file__).with_name("published.toml")


class Source(Spec):
    """Where the figures are from, on which faces they were got, and what could not be found."""

    title: str
    doi: str
    set: str
    not_found: str


class PublishedModel(Spec):
    """One model: rates in percent, latency in milliseconds; ``None`` where nothing was found. ``where`` it stands."""

    architecture: ArchitectureName
    population: Population
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    f1: float | None = None
    latency_ms: float | None = None
    where: str


class PublishedGap(Spec):
    """By how many points *groups* (CAFE's codes) are below the others, at most."""

    accuracy: float
    f1: float
    groups: tuple[str, ...]
    where: str


class PublishedBetter(Spec):
    """The better and larger model that the paper compares with: points of accuracy, times as many parameters."""

    accuracy: float
    parameters: float
    where: str


class Published(Spec):
    """Everything that ``published.toml`` holds."""

    source: Source
    model: tuple[PublishedModel, ...]
    gap: PublishedGap
    better: PublishedBetter

    def of(self, architecture: str, population: str) -> PublishedModel | None:
        """Return the figures of *architecture* trained on *population*, if there are any."""
        return next((m for m in self.model if (m.architecture, m.population) == (architecture, population)), None)


@cache
def published() -> Published:
    """Return the published figures."""
    return validated(Published, read_toml(_FILE), _FILE)
