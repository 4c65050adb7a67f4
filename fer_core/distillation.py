"""A teacher's opinion as a target: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015).

https://arxiv.org/abs/1503.02531. The teacher sees the very image, varied and mixed, that the student sees.
"""

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every torch user knows

from fer_core.models.build import build
from fer_core.models.weights import load_state
from fer_core.specs import ArchitectureSpec, TrainingSpec

TEMPERATURE = 2.0
"""Softens both opinions, so that the teacher's doubts count; 2 to 4 is usual for few classes."""
TEACHERS_SHARE = 0.5
"""What the teacher's opinion weighs in the loss; the labels weigh the rest."""


def teacher_of(spec: TrainingSpec, side: int) -> nn.Module | None:
    """Return the trained teacher that *spec* names, for images of *side* pixels, on the CPU; ``None`` without one.

    Raises:
        ConfigError: its file is missing, belongs to another network or was trained for other classes.
    """
    if spec.teacher is None:
        return None
    teacher = build(ArchitectureSpec(name=spec.teacher, input_size=side))
    load_state(teacher, spec.teacher_weights, with_classes=True)
    return teacher.requires_grad_(requires_grad=False).eval()


def distilled(loss: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
    """Return *loss*, of the labels, blended with how far the logits *student* (n, 7) are from those of *teacher*.

    The distance is the Kullback-Leibler divergence of the softened opinions times temperature^2, which keeps its
    gradient comparable with that of *loss*.
    """
    ours, theirs = (F.log_softmax(logits / TEMPERATURE, dim=1) for logits in (student, teacher))
    distance = F.kl_div(ours, theirs, reduction="batchmean", log_target=True) * TEMPERATURE**2
    return (1 - TEACHERS_SHARE) * loss + TEACHERS_SHARE * distance
