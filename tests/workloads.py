"""Made-up workloads and how long they take on a phone that follows the law of ``search.prediction``."""

import numpy as np

from search.prediction import CENTRE, Example, law


def workloads(count: int, seed: int = 0) -> np.ndarray:
    """Features (count, 11) of graphs of many sizes: all float or all integer, on 1, 2 or 4 threads."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(0, 3, count))[:, None]
    macs = size * rng.uniform(0.2, 1, (count, 4)) * np.array([4.0, 1.0, 0.5, 0.1])
    integer = rng.random(count) < 0.5
    both = np.zeros((count, 8))
    both[~integer, 0::2], both[integer, 1::2] = macs[~integer], macs[integer]
    others = np.stack(
        [size[:, 0] * rng.uniform(0.5, 1, count), rng.integers(40, 200, count), 2.0 ** rng.integers(3, size=count)]
    )
    return np.concatenate([both, others.T], axis=1)


def measured(features: np.ndarray, seed: int = 1) -> list[Example]:
    """Latencies of a phone that follows the law with constants of its own, and 1 % of noise."""
    rng = np.random.default_rng(seed)
    times = law(features, CENTRE + 0.3 * np.sin(np.arange(11))) * np.exp(rng.normal(0, 0.01, len(features)))
    return [Example(features=tuple(row), median_ms=float(time)) for row, time in zip(features, times, strict=True)]
