"""NASNet-A (4 @ 1056), called NASNet-A-Mobile, composed from timm's NASNet cells.

timm ships only the large NASNet-A (6 @ 4032). The cells are the same; this module stacks them at the mobile
scale of Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", 2018
(https://arxiv.org/abs/1707.07012), figure 2 and table 2: N = 4 normal cells per stage, 1056 features at the end.

Size with 1000 classes: 5,289,978 trainable parameters + 36,738 batch-norm running means and variances =
5,326,716, exactly the total that Keras prints for ``NASNetMobile``. PyTorch's parameter count leaves the running
statistics out, which is why both numbers are in use. With 7 classes: 4,240,377 trainable parameters.

What differs from Keras: zero padding is counted by the stride-2 average pooling (timm pads first, then pools), a
batch-norm momentum chosen for short trainings (``fer_core.training``), and neither drop-path nor the auxiliary
classifier of the paper.
"""

from functools import partial

from timm.layers import ConvNormAct, create_classifier
from timm.models.nasnet import CellStem0, CellStem1, FirstCell, NormalCell, ReductionCell0, ReductionCell1
from torch import Tensor, nn

STEM_CHANNELS = 32
FEATURES = 1056
CELLS_PER_STAGE = 4


class NASNetMobile(nn.Module):
    """NASNet-A (4 @ 1056): images (n, 3, side, side) in [-1, 1] to logits (n, num_classes).

    ``drop_rate`` is the dropout in front of the classifier.
    """

    def __init__(self, num_classes: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        width = FEATURES // 24  # a normal cell has 6 branches; the last stage is 4 times as wide as the first
        self.conv0 = ConvNormAct(
            3,
            STEM_CHANNELS,
            kernel_size=3,
            stride=2,
            padding=0,
            norm_layer=partial(nn.BatchNorm2d, eps=0.001),
            apply_act=False,
        )
        self.stem = CellStem0(STEM_CHANNELS, num_channels=width // 4, pad_type="same")
        cells: list[nn.Module] = [CellStem1(STEM_CHANNELS, num_channels=width // 2, pad_type="same")]
        cells += _stage(width, before=width, entering=2 * width, half=width // 2)
        cells.append(ReductionCell0(6 * width, 2 * width, 6 * width, 2 * width, pad_type="same"))
        cells += _stage(2 * width, before=6 * width, entering=8 * width, half=width)
        cells.append(ReductionCell1(12 * width, 4 * width, 12 * width, 4 * width, pad_type="same"))
        cells += _stage(4 * width, before=12 * width, entering=16 * width, half=2 * width)
        self.cells = nn.ModuleList(cells)
        self.act = nn.ReLU()
        self.global_pool, self.head_drop, self.classifier = create_classifier(
            FEATURES, num_classes, pool_type="avg", drop_rate=drop_rate
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. (https://arxiv.org/abs/1502.01852), as in Keras
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Return logits; each cell sees the outputs of the two layers before it."""
        previous = self.conv0(images)
        current = self.stem(previous)
        for cell in self.cells:
            # timm's CellStem1 takes (older, newer), every other cell (newer, older)
            older_first = isinstance(cell, CellStem1)
            following = cell(previous, current) if older_first else cell(current, previous)
            previous, current = current, following
        logits: Tensor = self.classifier(self.head_drop(self.global_pool(self.act(current))))
        return logits


def _stage(width: int, *, before: int, entering: int, half: int) -> list[nn.Module]:
    """Return the normal cells of one stage.

    ``before`` and ``entering`` are the channels of the two layers that the stage starts from; the first cell halves
    the resolution of the older one with two paths of ``half`` channels each.
    """
    cells: list[nn.Module] = [FirstCell(before, half, entering, width, pad_type="same")]
    older, newer = entering, 6 * width
    for _ in range(CELLS_PER_STAGE - 1):
        cells.append(NormalCell(older, width, newer, width, pad_type="same"))
        older, newer = newer, 6 * width
    return cells
