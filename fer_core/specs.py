"""What a candidate is made of: frozen, validated values that import neither torch nor TensorFlow.

Each spec refuses unknown keys and values out of range, and serialises to JSON, so the same class
validates a TOML file, travels to a worker and stands in the ledger.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ArchitectureName = Literal[
    "mobilenetv3_small_100",
    "mobilenetv2_100",
    "efficientnet_b0",
    "mobilenetv3_large_100",
    "nasnet_mobile",
]
Population = Literal["children", "adults", "all"]
Pruning = Literal["none", "magnitude", "structured"]
ChannelImportance = Literal["l1", "l2", "bn_scale"]
Quantization = Literal["float32", "float16", "dynamic_int8", "int8", "int8_qat"]
Augmentation = Literal["none", "light", "strong"]
Mixing = Literal["none", "mixup", "cutmix"]

MOST_CHANNELS = 0.9
"""The largest share of channels that structured pruning may remove."""

ARCHITECTURE_TITLES: dict[ArchitectureName, str] = {
    "mobilenetv3_small_100": "MobileNetV3-Small 1.0",
    "mobilenetv2_100": "MobileNetV2 1.0",
    "efficientnet_b0": "EfficientNet-B0",
    "mobilenetv3_large_100": "MobileNetV3-Large 1.0",
    "nasnet_mobile": "NASNet-A-Mobile 4@1056",
}
"""The five networks of Banerjee et al. (JMIR Form Res 2023;7:e39917), keyed by their timm names."""


class Spec(BaseModel):
    """Base of every spec: frozen, strict about unknown keys, hashable by value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ArchitectureSpec(Spec):
    """Which network, at which input size, starting from which weights.

    ``input_size`` is the side of the square RGB input in pixels. ``weights`` is ``"none"``
    (random initialisation), ``"imagenet"`` (timm's pretrained weights, downloaded by name) or the
    path of a state-dict file.
    """

    name: ArchitectureName
    input_size: Annotated[int, Field(ge=32, le=320, multiple_of=16)] = 96
    weights: str = "none"


class TrainingSpec(Spec):
    """On whom and how a network is trained.

    ``class_balance`` interpolates the sampling weight of a class between its frequency (0) and
    uniform (1); ``group_balance`` does the same for the groups inside each class. ``weight_decay``
    is AdamW's. ``learning_rate`` is the peak of a warm-up + cosine schedule over ``epochs``.
    ``mixing`` blends images and their labels (``fer_core.mixing``). ``ema_decay`` above 0
    makes the result the exponential moving average of the weights, with that memory per step. ``teacher`` is a larger
    network, trained for the seven expressions, whose state dict is in the file ``teacher_weights``; its opinion becomes
    half of the target (``fer_core.distillation``).
    """

    population: Population = "all"
    epochs: Annotated[int, Field(ge=1, le=1000)] = 8
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    augmentation: Augmentation = "light"
    mixing: Mixing = "none"
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    teacher: ArchitectureName | None = None
    teacher_weights: str = "none"
    class_balance: Annotated[float, Field(ge=0, le=1)] = 0.5
    group_balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _teacher_has_weights(self) -> "TrainingSpec":
        if (self.teacher is None) != (self.teacher_weights == "none"):
            raise ValueError(
                "teacher names a network and teacher_weights the file of its state dict: set both or neither"
            )
        return self


class CompressionSpec(Spec):
    """How the trained network is made smaller, in the one legal order: prune, cluster, quantize.

    ``pruning_ratio`` is, with ``"magnitude"``, the share of all convolution and dense weights set to zero: the
    smallest, compared across layers by their LAMP score (``fer_core.compression.pruning``). With
    ``"structured"`` it is the share of channels that leave every layer, at most 0.9; ``channel_importance`` says
    how the ones that leave are chosen (``fer_core.compression.channels``).
    ``clusters`` is the number of k-means centroids that the weights of each layer share (``None``: no
    weight clustering). ``fine_tune_epochs`` repairs the network after pruning and after clustering,
    keeping zeros and centroid assignments. ``calibration_images`` fix the activation ranges of
    full-integer quantization. ``"int8_qat"`` is full-integer too, behind ``qat_epochs`` of quantization-aware training
    (``fer_core.compression.quantized_training``), which starts from those ranges and learns better ones.
    """

    pruning: Pruning = "none"
    pruning_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    channel_importance: ChannelImportance = "l2"
    clusters: Annotated[int, Field(ge=2, le=256)] | None = None
    quantization: Quantization = "float32"
    fine_tune_epochs: Annotated[int, Field(ge=0, le=100)] = 1
    calibration_images: Annotated[int, Field(ge=1, le=1000)] = 100
    qat_epochs: Annotated[int, Field(ge=0, le=100)] = 0

    @model_validator(mode="after")
    def _ratio_belongs_to_pruning(self) -> "CompressionSpec":
        if (self.pruning == "none") != (self.pruning_ratio == 0.0):
            raise ValueError("pruning_ratio must be above 0 when pruning is set, and 0 when it is 'none'")
        if self.pruning == "structured" and self.pruning_ratio > MOST_CHANNELS:
            raise ValueError(f"pruning_ratio is at most {MOST_CHANNELS} when pruning is 'structured'")
        return self

    @model_validator(mode="after")
    def _epochs_belong_to_training(self) -> "CompressionSpec":
        if (self.quantization == "int8_qat") != (self.qat_epochs > 0):
            raise ValueError("qat_epochs must be above 0 when quantization is 'int8_qat', and 0 when it is not")
        return self

    @property
    def of_graph(self) -> "CompressionSpec":
        """What of this decides the exported graph: the numerics and how many channels leave, no weight.

        Both kinds of int8 have the same graph.
        """
        numerics: Quantization = "int8" if self.quantization == "int8_qat" else self.quantization
        if self.pruning != "structured":
            return CompressionSpec(quantization=numerics)
        return CompressionSpec(pruning="structured", pruning_ratio=self.pruning_ratio, quantization=numerics)


class DeploymentSpec(Spec):
    """How the artifact runs on the phone: ``threads`` is LiteRT's CPU thread count."""

    threads: Literal[1, 2, 4, 8] = 1
