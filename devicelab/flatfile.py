"""Read the tables of a .tflite file (FlatBuffers schema v3), distrusting every byte of it.

The only module that speaks the ``tflite`` package. Its generated accessors follow offsets
wherever they point, so a damaged file can raise nearly anything, or ask for billions of entries.
Here every count has a ceiling, every index is checked, and whatever the accessors raise becomes a
``WorkloadError``.
"""

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from devicelab.errors import WorkloadError

type _Accessor = Any  # an object of the generated tflite package, which has no types

IDENTIFIER = b"TFL3"
MAX_COUNT = 100_000
"""Most tensors, buffers or operators of a file. NASNet, the largest network here, has about 2,000 tensors."""
MAX_RANK = 8
MAX_OPERANDS = 4096
MAX_OPTION_ENTRIES = 1024

_DAMAGE = (struct.error, IndexError, TypeError, ValueError, OverflowError, AttributeError, MemoryError)
"""What flatbuffers and numpy raise when an offset or a length of the file is wrong."""

ITEM_BITS = {"INT4": 4, "BOOL": 8, "INT8": 8, "UINT8": 8, "FLOAT16": 16, "BFLOAT16": 16, "INT16": 16, "UINT16": 16}
ITEM_BITS |= {"FLOAT32": 32, "INT32": 32, "UINT32": 32, "FLOAT64": 64, "INT64": 64, "UINT64": 64, "COMPLEX64": 64}


@dataclass(frozen=True, slots=True)
class FileTensor:
    """A tensor: ``data`` is None unless it is a constant, ``packed`` how a constant is stored if not as ``dtype``."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview | None
    packed: str = ""

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        count = 1
        for side in self.shape:
            count *= side
        return count

    @property
    def size(self) -> int:
        """Bytes of the tensor in memory."""
        return (self.elements * ITEM_BITS[self.dtype] + 7) // 8


@dataclass(frozen=True, slots=True)
class FileOperator:
    """An operator as the file declares it; an input of -1 is one that was left out."""

    code: str
    options: tuple[tuple[str, object], ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FileGraph:
    """The one subgraph of a file. All indices point into ``tensors``."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    size: int


def read_file(path: Path) -> FileGraph:
    """Read the tables of the .tflite at *path*.

    Raises:
        WorkloadError: the file is missing, empty, truncated, damaged, or uses what no phone here runs.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return parse(content)
    except WorkloadError as error:
        raise WorkloadError(f"{path}: {error}; export the network again") from None


def parse(content: bytes) -> FileGraph:
    """Return the tables of the .tflite in *content*.

    Raises:
        WorkloadError: *content* is no sound .tflite; the message names no file.
    """
    if len(content) < 8 or content[4:8] != IDENTIFIER:
        raise WorkloadError(f"not a .tflite: {len(content)} bytes without the identifier {IDENTIFIER.decode()}")
    try:
        return _graph(tflite.Model.GetRootAs(content, 0), len(content))
    except _DAMAGE:
        raise WorkloadError("truncated or damaged .tflite") from None


def _graph(model: _Accessor, size: int) -> FileGraph:
    if model.SubgraphsLength() != 1:
        raise WorkloadError(f"has {model.SubgraphsLength()} subgraphs; networks with control flow are not supported")
    subgraph = model.Subgraphs(0)
    buffers = [_bytes_of(model.Buffers(i)) for i in _indices(model.BuffersLength(), "buffers")]
    tensors = tuple(_tensor(subgraph.Tensors(i), buffers) for i in _indices(subgraph.TensorsLength(), "tensors"))
    codes = [_code(model.OperatorCodes(i)) for i in _indices(model.OperatorCodesLength(), "operator codes")]
    operators = tuple(
        _operator(subgraph.Operators(i), codes, len(tensors)) for i in _indices(subgraph.OperatorsLength(), "operators")
    )
    return FileGraph(
        tensors=tensors,
        operators=operators,
        inputs=_references(subgraph.InputsAsNumpy(), len(tensors), "graph input"),
        outputs=_references(subgraph.OutputsAsNumpy(), len(tensors), "graph output"),
        size=size,
    )


def _indices(count: int, what: str) -> Iterator[int]:
    if not 0 < count <= MAX_COUNT:
        raise WorkloadError(f"damaged .tflite: {count} {what}")
    return iter(range(count))


def _bytes_of(buffer: _Accessor) -> memoryview | None:
    if buffer.Offset() > 1:
        raise WorkloadError("keeps its weights outside the flatbuffer (files above 2 GB); not supported")
    data = buffer.DataAsNumpy()
    return None if isinstance(data, int) else memoryview(data)


def _tensor(tensor: _Accessor, buffers: list[memoryview | None]) -> FileTensor:
    tensor.Name()  # read for its bounds only: names differ between exports of one network
    dtype = _TENSOR_TYPES.get(tensor.Type(), "")
    if dtype not in ITEM_BITS:
        raise WorkloadError(f"has a tensor of type {dtype or tensor.Type()}, which no phone here runs")
    shape = tuple(max(side, 1) if position == 0 else side for position, side in enumerate(_shape(tensor)))
    if any(side < 0 for side in shape):
        raise WorkloadError(f"has a tensor of unknown shape {list(shape)}; only the batch may be left open")
    if not 0 <= tensor.Buffer() < len(buffers):
        raise WorkloadError(f"damaged .tflite: no buffer {tensor.Buffer()}")
    data = None if tensor.IsVariable() else buffers[tensor.Buffer()]
    result = FileTensor(dtype=dtype, shape=shape, data=data)
    if data is not None and tensor.Sparsity() is None and len(data) != result.size:
        raise WorkloadError(f"damaged .tflite: a constant {dtype} {list(shape)} holds {len(data)} bytes")
    return result


def _shape(tensor: _Accessor) -> list[int]:
    if tensor.ShapeLength() > MAX_RANK:
        raise WorkloadError(f"damaged .tflite: a tensor of {tensor.ShapeLength()} dimensions")
    return [int(tensor.Shape(axis)) for axis in range(tensor.ShapeLength())]


def _code(code: _Accessor) -> str:
    number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())  # the schema's rule for files of either age
    name = _OPERATOR_NAMES.get(number)
    if name is None:
        raise WorkloadError(f"damaged .tflite: unknown operator code {number}")
    if name == "CUSTOM":
        custom = (code.CustomCode() or b"?").decode(errors="replace")
        raise WorkloadError(f"uses the custom operator {custom!r}, which no phone here can run")
    return name


def _operator(operator: _Accessor, codes: list[str], tensors: int) -> FileOperator:
    if not 0 <= operator.OpcodeIndex() < len(codes):
        raise WorkloadError(f"damaged .tflite: no operator code {operator.OpcodeIndex()}")
    code = codes[operator.OpcodeIndex()]
    return FileOperator(
        code=code,
        options=(
            *_options(_OPTION_NAMES, operator.BuiltinOptionsType(), operator.BuiltinOptions()),
            *_options(_OPTION2_NAMES, operator.BuiltinOptions2Type(), operator.BuiltinOptions2()),
        ),
        inputs=_references(operator.InputsAsNumpy(), tensors, f"input of {code}", lowest=-1),
        outputs=_references(operator.OutputsAsNumpy(), tensors, f"output of {code}"),
    )


def _references(indices: _Accessor, tensors: int, what: str, lowest: int = 0) -> tuple[int, ...]:
    if isinstance(indices, int):  # flatbuffers' answer for a vector that is not there
        return ()
    if len(indices) > MAX_OPERANDS:
        raise WorkloadError(f"damaged .tflite: {len(indices)} times {what}")
    result = tuple(int(index) for index in indices)
    if any(not lowest <= index < tensors for index in result):
        raise WorkloadError(f"damaged .tflite: {what} is no tensor of the graph")
    return result


def _options(names: dict[int, str], kind: int, table: _Accessor) -> tuple[tuple[str, object], ...]:
    """Return every field of an operator's options table by name, whatever its type."""
    if kind == 0 or table is None:
        return ()
    if kind not in names:
        raise WorkloadError(f"damaged .tflite: unknown operator options {kind}")
    options = getattr(tflite, names[kind])()
    options.Init(table.Bytes, table.Pos)
    return tuple((f"{names[kind]}.{field}", _field(options, field)) for field in _fields(names[kind]))


@functools.cache
def _fields(name: str) -> tuple[str, ...]:
    """Return the fields of the generated table class *name*: its capitalised accessors, helpers left out."""
    accessors = [field for field in vars(getattr(tflite, name)) if field[0].isupper() and field != "Init"]
    helpers = ("BufferHasIdentifier", "AsNumpy", "IsNone", "Length")
    return tuple(
        sorted(field for field in accessors if not field.startswith("GetRootAs") and not field.endswith(helpers))
    )


def _field(options: _Accessor, field: str) -> object:
    if not hasattr(options, f"{field}Length"):
        value = getattr(options, field)()
        return value if isinstance(value, bool | int | float) else None
    count = getattr(options, f"{field}Length")()
    if count > MAX_OPTION_ENTRIES:
        raise WorkloadError(f"damaged .tflite: {count} entries in the option {field}")
    values = getattr(options, f"{field}AsNumpy", lambda: count)()
    return values.tolist() if isinstance(values, np.ndarray) else values


def _names_of(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if not name.startswith("_")}


_TENSOR_TYPES = _names_of(tflite.TensorType)
_OPERATOR_NAMES = _names_of(tflite.BuiltinOperator)
_OPTION_NAMES = _names_of(tflite.BuiltinOptions)
_OPTION2_NAMES = _names_of(tflite.BuiltinOptions2)
