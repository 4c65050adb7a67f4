"""What does int8 HARD_SWISH cost, which XNNPACK does not take over, on this machine?

    python benchmarks/hard_swish.py [--side 96]

The int8 file of MobileNetV3 as it is exported, against the same file in which every int8 HARD_SWISH stands between
DEQUANTIZE and QUANTIZE and computes in float32: LiteRT then gives all of the graph to XNNPACK. Both run the same images
in turns, one at a time, with one thread; CPU time is the best of several rounds. The two do not compute the same:
LiteRT rounds inside its int8 HARD_SWISH, so logits are compared too. About a minute.
"""

import time
from copy import copy
from typing import Any

import click
import flatbuffers
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import BuiltinOperator, ModelT, OperatorCodeT, OperatorT, TensorType
from numpy.typing import NDArray

from fer_core.export import Converter
from fer_core.models.build import build
from fer_core.specs import ARCHITECTURE_TITLES, ArchitectureName, ArchitectureSpec

NETWORKS: tuple[ArchitectureName, ...] = ("mobilenetv3_small_100", "mobilenetv3_large_100")
IMAGES, ROUNDS = 128, 5


def in_float(content: bytes) -> tuple[bytes, int]:
    """Return the .tflite *content* with every int8 HARD_SWISH computed in float32, and how many these are."""
    model = ModelT.InitFromPackedBuf(bytearray(content), 0)
    graph = model.subgraphs[0]
    swish = next(
        place for place, code in enumerate(model.operatorCodes) if code.builtinCode == BuiltinOperator.HARD_SWISH
    )
    to_float, to_int8 = (_code(model, name, 2) for name in (BuiltinOperator.DEQUANTIZE, BuiltinOperator.QUANTIZE))
    operators = []
    for operator in graph.operators:
        if operator.opcodeIndex == swish:
            source, sink = (_float_twin(graph, place) for place in (operator.inputs[0], operator.outputs[0]))
            operators += [
                _operator(to_float, operator.inputs[0], source),
                _operator(swish, source, sink),
                _operator(to_int8, sink, operator.outputs[0]),
            ]
        else:
            operators.append(operator)
    changed = (len(operators) - len(graph.operators)) // 2
    graph.operators = operators
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), changed


def _code(model: Any, builtin: int, version: int) -> int:  # noqa: ANN401 - LiteRT has no types
    code = OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _float_twin(graph: Any, place: int) -> int:  # noqa: ANN401
    twin = copy(graph.tensors[place])
    twin.type, twin.quantization, twin.buffer, twin.name = TensorType.FLOAT32, None, 0, b"float of " + twin.name
    graph.tensors.append(twin)
    return len(graph.tensors) - 1


def _operator(code: int, source: int, sink: int) -> Any:  # noqa: ANN401
    operator = OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, [source], [sink]
    return operator


class Runner:
    """An interpreter of a whole int8 file, and its input (n, 1, side, side, 3)."""

    def __init__(self, content: bytes, images: NDArray[np.float32]) -> None:
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        self._source, self._sink = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]
        scale, zero = self._source["quantization"]
        self._values = np.clip(np.round(images / scale) + zero, -128, 127).astype(np.int8)[:, None]

    def logits(self) -> NDArray[np.int64]:
        """Return the logits (n, 7) in steps of the output's scale."""
        found = []
        for values in self._values:
            self._interpreter.set_tensor(self._source["index"], values)
            self._interpreter.invoke()
            found.append(self._interpreter.get_tensor(self._sink["index"])[0].astype(np.int64))
        return np.array(found)

    def microseconds(self) -> float:
        """Return the CPU time of an image."""
        begun = time.process_time()
        self.logits()
        return 1e6 * (time.process_time() - begun) / len(self._values)


@click.command()
@click.option("--side", default=96, show_default=True)
def main(side: int) -> None:
    """Export, run both, print a line per network."""
    torch.set_num_threads(1)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, side, side, 3), dtype=np.uint8)
    inputs = images.astype(np.float32) / np.float32(127.5) - np.float32(1)
    with Converter() as converter:
        for name in NETWORKS:
            model = build(ArchitectureSpec(name=name, input_size=side)).eval()
            content = converter.convert(model, side, "int8", images[:8])
            changed, count = in_float(content)
            both = Runner(content, inputs), Runner(changed, inputs)
            times = np.array([[runner.microseconds() for runner in both] for _ in range(ROUNDS)]).min(axis=0)
            before, after = (runner.logits() for runner in both)
            moved = np.abs(before - after).mean()
            others = np.mean(before.argmax(axis=1) != after.argmax(axis=1))
            print(f"{ARCHITECTURE_TITLES[name]}, {side} px, {count} HARD_SWISH in int8: {times[0]:.0f} us an image")
            print(f"    in float32: {times[1]:.0f} us, {times[0] / times[1]:.1f} times less")
            print(
                f"    logits move {moved:.1f} steps of 256 in the mean; another class in {others:.1%} of noise images"
            )


if __name__ == "__main__":
    main()
