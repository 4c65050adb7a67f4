"""Latency from the operators of a graph, learnt from measurements: a physical law, and a Gaussian process around it.

**The law.** With T threads a graph takes the sum of its multiply-accumulates by kind over the rate of that kind, of its
bytes over a bandwidth, and of a call per operator; eleven positive constants, learnt as logarithms.

    t = (sum_k MACs_k / rate_k) / T^a  +  bytes / bandwidth / T^b  +  operators x (call + barrier if T > 1)

**What the law leaves** is a Gaussian process with a squared exponential kernel on the logarithm of the features; the
law enters it linearised around its best constants, so that their uncertainty is counted (Rasmussen & Williams, Gaussian
Processes for Machine Learning, 2006, 2.7). Length, size and noise are those of a grid with the greatest evidence (5.4).

**The interval** is the jackknife+ (Barber, Candes, Ramdas & Tibshirani, Annals of Statistics 49 (2021) 486-507), with
residuals in units of their predicted deviation: where new graphs are drawn like the measured ones it holds with the
probability that it says, whatever the law. Leaving one out needs no second fit (Rasmussen & Williams, 5.4.2).

Everything is learnt in logarithms of milliseconds. A prediction never stands in for a measurement: it says where
measuring would be in vain, and which reading is strange.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from devicelab.operators import Kind, Operator
from fer_core.specs import Spec
from search.objectives import Forecast

Floats = NDArray[np.float64]

COMPUTING: tuple[Kind, ...] = ("pointwise", "convolution", "depthwise", "dense")
COLUMNS = (
    *(f"{kind}_{numbers}" for kind in COMPUTING for numbers in ("float", "integer")),
    "bytes",
    "calls",
    "threads",
)
"""What a workload is described by: 10^6 multiply-accumulates by kind and numbers, 10^6 bytes, operators, threads."""
CENTRE = np.log([5.0, 5.0, 1.0, 5.0, 1.5, 1.5, 4.0, 0.010, 0.010, 0.6, 0.6])
"""Constants to start from, round numbers of a phone's core: GMAC/s by kind, gain of integers (all, depthwise), GB/s, ms
of a call and of a barrier, exponents of threads for computing and for moving."""
SPREAD = 1.0
"""Standard deviation of their logarithms before anything is measured: a factor of e."""
LEAST_NOISE = 0.004
LENGTHS, SIZES, NOISES = (1.0, 2.0, 4.0), (0.01, 0.03, 0.1), (0.005, 0.01, 0.02, 0.05)
"""The grid: length scale over the root of the number of features, deviation of the process, deviation of the noise."""
FEWEST, MOST = 20, 300
"""Measurements below which nothing is predicted, and how many of the latest are learnt from: a cube of time."""
MISFIT = 0.05
"""Relative deviation that the fit of the law's constants allows, for what the process around it explains."""
STEPS = 50
"""Steps of that fit at most; it takes about ten."""


class Example(Spec):
    """What was measured once: the features of a workload (``COLUMNS``) and its milliseconds."""

    features: Annotated[tuple[float, ...], Field(min_length=len(COLUMNS), max_length=len(COLUMNS))]
    median_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)]


def features_of(operators: Sequence[Operator], threads: int) -> tuple[float, ...]:
    """Return the features of a graph of *operators* on *threads* threads, in the order of ``COLUMNS``."""
    macs = {(kind, numbers): 0.0 for kind in COMPUTING for numbers in ("float", "integer")}
    for operator in operators:
        if operator.macs:
            macs[operator.kind, operator.arithmetic] += operator.macs / 1e6
    moved = sum(one.input_bytes + one.output_bytes + one.weight_bytes for one in operators) / 1e6
    return (*macs.values(), moved, float(len(operators)), float(threads))


def law(features: Floats, constants: Floats) -> Floats:
    """Return milliseconds (n,) of *features* (n, 11) by the module's law; *constants* (11,) are logarithms."""
    rate, gain, gain_depthwise = np.exp(constants[:4]), np.exp(constants[4]), np.exp(constants[5])
    bandwidth, call, barrier = np.exp(constants[6:9])
    computing, moving = np.exp(constants[9:11])
    threads = features[:, 10]
    gains = np.array([gain, gain, gain_depthwise, gain])
    compute = (features[:, 0:8:2] / rate).sum(axis=1) + (features[:, 1:8:2] / rate / gains).sum(axis=1)
    calls = features[:, 9] * (call + barrier * (threads > 1))
    times: Floats = compute / threads**computing + features[:, 8] / bandwidth / threads**moving + calls
    return times


@dataclass(frozen=True)
class Predictor:
    """What was learnt from n measurements: features and Jacobian (n, 11), constants (11,), the process's matrices."""

    features: Floats
    constants: Floats
    jacobian: Floats
    weights: Floats
    inverse: Floats
    length: float
    size: float
    noise: float

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Self:
        """Learn from *examples*, at least ``FEWEST``.

        Raises:
            ValueError: there are fewer.
        """
        if len(examples) < FEWEST:
            raise ValueError(f"{len(examples)} measurements are too few to learn from; {FEWEST} are needed")
        features = np.array([one.features for one in examples])
        target = np.log([one.median_ms for one in examples])
        constants = _fitted(features, target)
        jacobian = _jacobian(features, constants)
        prior = np.log(law(features, constants)) + jacobian @ (CENTRE - constants)
        linear = SPREAD**2 * jacobian @ jacobian.T
        near = {length: _kernel(features, features, length, 1.0) for length in LENGTHS}

        def covariance(setting: tuple[float, float, float]) -> Floats:
            length, size, noise = setting
            return linear + size**2 * near[length] + noise**2 * np.eye(len(target))

        grid = product(LENGTHS, SIZES, NOISES)
        best = max(grid, key=lambda setting: _evidence(covariance(setting), target - prior))
        length, size, noise = best
        inverse: Floats = np.linalg.inv(covariance(best)).astype(np.float64)
        return cls(features, constants, jacobian, inverse @ (target - prior), inverse, length, size, noise)

    @cached_property
    def left_out(self) -> tuple[Floats, Floats]:
        """Return each measurement's deviation from what the others predict, and the predicted size of it, both (n,)."""
        diagonal = np.diag(self.inverse)
        return self.weights / diagonal, 1 / np.sqrt(diagonal)

    def predict(self, features: Sequence[Sequence[float]], level: float = 0.95) -> tuple[Forecast, ...]:
        """Return a forecast for each row of *features*; infinitely wide where n is too small for *level*."""
        rows = np.asarray(features, dtype=np.float64)
        jacobian = _jacobian(rows, self.constants)
        shared = SPREAD**2 * jacobian @ self.jacobian.T + _kernel(rows, self.features, self.length, self.size)
        own = SPREAD**2 * np.square(jacobian).sum(axis=1) + self.size**2 + self.noise**2
        explained = shared @ self.inverse
        middle = np.log(law(rows, self.constants)) + jacobian @ (CENTRE - self.constants) + shared @ self.weights
        deviation = np.sqrt(np.maximum(own - (explained * shared).sum(axis=1), LEAST_NOISE**2))
        residuals, scales = self.left_out
        without = middle[:, None] - explained * residuals
        reach = np.abs(residuals / scales) * deviation[:, None]
        low, high = _jackknife(without - reach, without + reach, level)
        return tuple(
            Forecast(median_ms=math.exp(m), low_ms=math.exp(a), high_ms=math.exp(b), level=level, learnt=len(residuals))
            for m, a, b in zip(middle, low, high, strict=True)
        )


def _jackknife(lows: Floats, highs: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the ends of the jackknife+ interval from those of each left-out prediction (rows, n)."""
    count = lows.shape[1]
    place = math.ceil(level * (count + 1))
    if place > count:
        return np.full(len(lows), -math.inf), np.full(len(lows), math.inf)
    return np.sort(lows, axis=1)[:, count - place], np.sort(highs, axis=1)[:, place - 1]


def _fitted(features: Floats, target: Floats) -> Floats:
    """Return the constants of the law that are most likely given *target*, in logarithms: Levenberg's method."""

    def off(constants: Floats) -> Floats:
        misses = (np.log(law(features, constants)) - target) / MISFIT
        return np.concatenate([misses, (constants - CENTRE) / SPREAD])

    constants, damping = CENTRE, 1.0
    misses = off(constants)
    for _ in range(STEPS):
        slopes = np.concatenate([_jacobian(features, constants) / MISFIT, np.eye(len(CENTRE)) / SPREAD])
        step = np.linalg.solve(slopes.T @ slopes + damping * np.eye(len(CENTRE)), -slopes.T @ misses)
        tried = off(constants + step)
        gain = misses @ misses - tried @ tried
        if gain < 0:
            damping *= 10
            continue
        constants, misses, damping = constants + step, tried, damping / 10
        if gain < 1e-6 * (tried @ tried):
            break
    return constants


def _jacobian(features: Floats, constants: Floats) -> Floats:
    """Return the derivatives (n, 11) of the logarithm of the law by *constants*, from central differences."""
    step = 1e-4
    columns = [
        (np.log(law(features, constants + shift)) - np.log(law(features, constants - shift))) / (2 * step)
        for shift in step * np.eye(len(constants))
    ]
    return np.stack(columns, axis=1)


def _kernel(left: Floats, right: Floats, length: float, size: float) -> Floats:
    """Return the covariances (n, m) of what the law leaves."""
    a, b = _coordinates(left), _coordinates(right)
    squares = np.square(a[:, None, :] - b[None, :, :]).sum(axis=2)
    covariances: Floats = size**2 * np.exp(-squares / (2 * length**2 * a.shape[1]))
    return covariances


def _coordinates(features: Floats) -> Floats:
    """Return where workloads lie beside each other: logarithms of totals, shares of kinds and of integers."""
    macs = features[:, :8]
    total = macs.sum(axis=1, keepdims=True) + 1e-6  # one multiply-accumulate, for a graph that has none
    shares = (macs[:, ::2] + macs[:, 1::2]) / total
    integer = macs[:, 1::2].sum(axis=1, keepdims=True) / total
    logs = np.log(np.concatenate([total, features[:, 8:11]], axis=1))
    return np.concatenate([logs, np.sqrt(shares), integer], axis=1)


def _evidence(covariance: Floats, target: Floats) -> float:
    """Return the logarithm of the probability of *target* (n,) under *covariance* (n, n), less a constant."""
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # rounding took it out of the positive definite
        return -math.inf
    return float(-0.5 * np.square(np.linalg.solve(root, target)).sum() - np.log(np.diag(root)).sum())
