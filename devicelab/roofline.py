"""How long a graph takes on a CPU: a roofline per operator, as a pure function.

An operator takes the longer of computing and moving its bytes, plus a fixed cost of being called:

    t = max( MACs / (rate x r_kind x q x S(T) x f/f0),  bytes / bandwidth(T) )  +  (overhead + barrier if T > 1) x f0/f

with T threads, clock f, and S(T) the speed-up of T threads. Operators that only move bytes have
no computing term. The sum over operators times one calibration factor is the latency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from devicelab.operators import Kind, Operator


@dataclass(frozen=True, slots=True)
class Processor:
    """The constants of one processor and runtime.

    ``gmacs`` is float32 multiply-accumulates of a 1 x 1 convolution in 10^9/s per core at
    ``nominal_mhz``; ``relative`` the speed of the other kinds relative to it; ``integer_gain`` the
    speed of int8 over float32, and ``integer_gain_depthwise`` that of depthwise convolutions.
    ``overhead_us`` is per operator, ``barrier_us`` comes on top with several threads.
    ``bandwidth`` is GB/s of one thread, ``bandwidth_gain`` that of several over one.
    ``thread_gain`` is what each thread up to ``cluster`` adds, ``second_cluster_gain`` what using
    all cores of a second cluster of the same size multiplies. ``calibration`` scales the sum.
    """

    nominal_mhz: float
    gmacs: float
    relative: MappingProxyType[Kind, float]
    integer_gain: float
    integer_gain_depthwise: float
    overhead_us: float
    barrier_us: float
    bandwidth: float
    bandwidth_gain: float
    thread_gain: float
    cluster: int
    second_cluster_gain: float
    calibration: float


SNAPDRAGON_450 = Processor(
    nominal_mhz=1804.8,
    gmacs=4.767,
    relative=MappingProxyType({"pointwise": 1.0, "convolution": 1.29, "depthwise": 0.086, "dense": 0.479}),
    integer_gain=1.155,
    integer_gain_depthwise=1.70,
    overhead_us=15.2,
    barrier_us=9.4,
    bandwidth=3.13,
    bandwidth_gain=2.1,
    thread_gain=0.638,
    cluster=4,
    second_cluster_gain=1.15,
    calibration=0.8765,
)
"""Eight Cortex-A53 in two clusters of four on one clock: the Moto G6.

Fitted to 33 public latencies of seven networks on Cortex-A53 (Paddle-Lite 2.11 on SD625, ncnn on QRB2210
and NanoPi M3, XNNPACK on Raspberry Pi 3), mean error 6.9 %; then scaled by ``calibration`` so that
MobileNetV3-Large, float32, 224 px, 7 classes, one thread, in the graph that this project exports,
takes the 90 ms that Banerjee et al. (JMIR Form Res 2023;7:e39917) measured on a Moto G6.
``gmacs`` is 66 % of the 7.2 that A53's NEON can do at 1.8 GHz.
``bandwidth_gain`` is clamped to what LPDDR3-1866 delivers, ``second_cluster_gain`` to measured 1.0-1.26.
1.8 GHz in the fit and the phone's 1804.8 MHz step are taken as the same clock.
"""


def speedup(threads: int, processor: Processor) -> float:
    """Return how much faster *threads* threads compute than one; 1.0 for one thread."""
    within = 1 + processor.thread_gain * (min(threads, processor.cluster) - 1)
    return within if threads <= processor.cluster else within * processor.second_cluster_gain


def operator_ms(operator: Operator, threads: int, mhz: float, processor: Processor) -> float:
    """Return the uncalibrated milliseconds of one *operator* on *threads* threads at *mhz*."""
    clock = mhz / processor.nominal_mhz
    rate = processor.gmacs * processor.relative.get(operator.kind, 1.0) * speedup(threads, processor) * clock
    if operator.arithmetic == "integer":
        rate *= processor.integer_gain_depthwise if operator.kind == "depthwise" else processor.integer_gain
    bandwidth = processor.bandwidth * (processor.bandwidth_gain if threads > 1 else 1.0)
    moved = operator.input_bytes + operator.output_bytes + operator.weight_bytes
    call_us = processor.overhead_us + (processor.barrier_us if threads > 1 else 0.0)
    return max(operator.macs / rate / 1e6, moved / bandwidth / 1e6) + call_us / 1e3 / clock


def latency_ms(
    operators: Sequence[Operator],
    *,
    threads: int,
    mhz: float | None = None,
    processor: Processor = SNAPDRAGON_450,
) -> float:
    """Return the milliseconds of one inference, > 0 for a graph with operators.

    *mhz* is the CPU clock, the processor's nominal one by default.
    """
    clock = processor.nominal_mhz if mhz is None else mhz
    return processor.calibration * sum(operator_ms(operator, threads, clock, processor) for operator in operators)
