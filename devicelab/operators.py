"""What a network asks of a processor: its operators as values, without any file format."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["convolution", "pointwise", "depthwise", "dense", "elementwise", "pool", "movement"]
"""How an operator spends its time.

``convolution`` k x k, ``pointwise`` 1 x 1 over many positions, ``depthwise`` one filter per channel,
``dense`` a matrix times one vector (a 1 x 1 convolution of a single position is one too). The other
three only move bytes.
"""

Arithmetic = Literal["float", "integer"]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator as it runs: its work and its traffic.

    ``code`` is the operator's name in the file's format, ``macs`` counts multiply-accumulates,
    the byte counts are those of one inference. ``arithmetic`` says in which numbers the
    multiply-accumulates are done. ``kernel`` and ``stride`` are (height, width), (0, 0) without one.
    """

    code: str
    kind: Kind
    macs: int
    input_bytes: int
    output_bytes: int
    weight_bytes: int
    arithmetic: Arithmetic = "float"
    kernel: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type (``"FLOAT32"``, ``"INT8"``, ...) and shape of an input or output."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """A network as a device sees it.

    ``fingerprint`` is the hex SHA-256 of the graph without its weights, ``size`` the file's bytes.
    """

    operators: tuple[Operator, ...]
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    fingerprint: str
    size: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(operator.macs for operator in self.operators)
