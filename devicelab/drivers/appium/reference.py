"""The reference network: a .tflite of eight 1 x 1 convolutions that every phone of a lab runs as its canary.

It only computes (16 operations per byte moved and more), on one thread, about 19 ms on a Moto G6. It has 133 kB and
is made here, byte for byte the same everywhere, so it needs no file and no licence. Its weights are a pattern.
"""

from functools import cache

import numpy as np

SIDE, CHANNELS, LAYERS = 56, 64, 8
THREADS = 1


@cache
def reference_network() -> bytes:
    """Return the file's bytes: input and output [1, 56, 56, 64] float32."""
    import tflite

    file = _Builder()
    constants = [*(_weights(layer) for layer in range(LAYERS)), bytes(4 * CHANNELS)]
    buffers = [file.table("Buffer"), *(file.table("Buffer", Data=file.content(data)) for data in constants)]
    image, kernel = [1, SIDE, SIDE, CHANNELS], [CHANNELS, 1, 1, CHANNELS]
    tensors = [file.tensor(f"image{number}", image, 0) for number in range(LAYERS + 1)]
    tensors += [file.tensor(f"kernel{layer}", kernel, layer + 1) for layer in range(LAYERS)]
    tensors.append(file.tensor("bias", [CHANNELS], LAYERS + 1))
    subgraph = file.table(
        "SubGraph",
        Tensors=file.tables(tensors),
        Inputs=file.integers([0]),
        Outputs=file.integers([LAYERS]),
        Operators=file.tables([file.convolution(layer) for layer in range(LAYERS)]),
    )
    kind = tflite.BuiltinOperator.CONV_2D
    code = file.table("OperatorCode", DeprecatedBuiltinCode=kind, BuiltinCode=kind)
    return file.finish(
        file.table(
            "Model",
            Version=3,
            OperatorCodes=file.tables([code]),
            Subgraphs=file.tables([subgraph]),
            Buffers=file.tables(buffers),
        )
    )


class _Builder:
    """Writes tables with tflite's builder functions."""

    def __init__(self) -> None:
        import flatbuffers

        self._builder = flatbuffers.Builder(1 << 18)

    def table(self, kind: str, **fields: int) -> int:
        import tflite

        getattr(tflite, f"{kind}Start")(self._builder)
        for name, value in fields.items():
            getattr(tflite, f"{kind}Add{name}")(self._builder, value)
        return int(getattr(tflite, f"{kind}End")(self._builder))

    def tables(self, offsets: list[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def integers(self, values: list[int]) -> int:
        return int(self._builder.CreateNumpyVector(np.asarray(values, np.int32)))

    def content(self, data: bytes) -> int:
        return int(self._builder.CreateByteVector(data))

    def tensor(self, name: str, shape: list[int], buffer: int) -> int:
        from tflite import TensorType

        fields = {"Shape": self.integers(shape), "Name": int(self._builder.CreateString(name))}
        return self.table("Tensor", **fields, Type=TensorType.FLOAT32, Buffer=buffer)

    def convolution(self, layer: int) -> int:
        """Return the operator from image *layer* to the next; kernels come after the images, the bias after those."""
        from tflite import BuiltinOptions

        options = self.table("Conv2DOptions", StrideW=1, StrideH=1, DilationWFactor=1, DilationHFactor=1)
        operands = self.integers([layer, LAYERS + 1 + layer, 2 * LAYERS + 1])
        results, kind = self.integers([layer + 1]), BuiltinOptions.Conv2DOptions
        return self.table("Operator", Inputs=operands, Outputs=results, BuiltinOptionsType=kind, BuiltinOptions=options)

    def finish(self, model: int) -> bytes:
        self._builder.Finish(model, file_identifier=b"TFL3")
        return bytes(self._builder.Output())


def _weights(layer: int) -> bytes:
    """A rotation of channels with a little of all others: values stay in range, none is zero or denormal."""
    mixed = np.full((CHANNELS, CHANNELS), 1 / 128, np.float32)
    return (mixed + np.roll(np.eye(CHANNELS, dtype=np.float32), layer + 1, axis=1) / 2).tobytes()
