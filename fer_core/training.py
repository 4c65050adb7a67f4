"""Training: one visible loop.

Chance is an argument: epoch e of a training with seed s draws everything (order, augmentation, dropout) from (s, e).
An epoch therefore depends only on the state before it, and a training that goes on from a checkpoint ends with the
same weights, bit for bit, as one that was never interrupted (on the CPU, with the same number of threads).

Tensors are channels-last and float32. Measured on two x86-64 cores, images per second of MobileNetV3-Small at 96 px:
209 channels-first, 301 channels-last, 148 channels-last under bfloat16 autocast; MobileNetV3-Large 83, 109 and 74. So
there is no mixed precision here; on an accelerator nobody has measured it yet.
"""

import copy
import math
import time
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every torch user knows

from fer_core.augmentation import STRENGTHS, augment
from fer_core.batches import epoch_order, to_input
from fer_core.checkpoint import Checkpoint, EpochReport, Stateful
from fer_core.data.faces import FaceSet
from fer_core.distillation import distilled, teacher_of
from fer_core.errors import DataError, DivergedError
from fer_core.labels import EXPRESSIONS
from fer_core.mixing import mix, partners
from fer_core.specs import TrainingSpec
from fer_core.statistics import accuracy, macro_f1

WARM_UP = 0.2
"""Share of all steps over which the learning rate rises to its peak."""
LARGEST_GRADIENT = 1.0
"""Gradients are clipped to this norm, which tames the first steps."""
BETAS = (0.9, 0.99)
"""AdamW's memory of gradients and of their squares; 0.99 instead of 0.999 suits a few hundred steps."""
RECALIBRATION_IMAGES = 512
"""Images from which batch-norm statistics are estimated anew after each epoch."""


def fit(
    model: nn.Module,
    train: FaceSet,
    validation: FaceSet,
    spec: TrainingSpec,
    *,
    checkpoint: Path | None = None,
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[EpochReport]:
    """Train *model* in place on all of *train*, and yield one report after each epoch.

    After each epoch *checkpoint* is replaced atomically, before the report is handed out. When it exists already,
    its reports are yielded again and training goes on behind them; the final weights are those of an uninterrupted
    run. After the last report, and at each report that is not such a repetition, the model holds the weights of
    that epoch, on *device*. Closing the generator stops the training. Images must have the size that the model is
    meant for. *clock* counts seconds.

    Raises:
        DataError: *train* has fewer than two images, or *validation* none.
        ConfigError: *checkpoint* belongs to another training or another network.
        DivergedError: the loss became NaN or infinite.
    """
    if len(validation) == 0:
        raise DataError("training needs validation images; enlarge the data set or the validation fraction")
    course = Course(model, train, spec, device=device)
    store = Checkpoint(checkpoint, spec, train.digest) if checkpoint else None
    reports = store.restore(course.parts) if store else ()
    yield from reports
    for epoch in range(len(reports) + 1, spec.epochs + 1):
        begun = clock()
        loss = course.run(epoch)
        val_f1, val_accuracy = validate(model, validation, device=device)
        report = EpochReport(epoch, spec.epochs, loss, val_f1, val_accuracy, clock() - begun)
        reports = (*reports, report)
        if store:
            store.save(course.parts, reports)
        yield report


def fine_tune(
    model: nn.Module,
    faces: FaceSet,
    spec: TrainingSpec,
    *,
    before_step: Callable[[float], None] | None = None,
    teacher: nn.Module | None = None,
    device: str = "cpu",
) -> None:
    """Train *model* in place as ``fit`` does, without validation, checkpoints and averaging.

    *before_step* is called before every step with the share of all steps that are done, from 0 to below 1. *teacher*
    takes the place of the one that *spec* may name.

    Raises:
        DataError: *faces* has fewer than two images.
        DivergedError: the loss became NaN or infinite.
    """
    spec = spec.model_copy(update={"ema_decay": 0.0})
    course = Course(model, faces, spec, before_step=before_step, teacher=teacher, device=device)
    for epoch in range(1, spec.epochs + 1):
        course.run(epoch)


class Course:
    """One training of *model* on *faces*: the optimiser and the schedule. ``run`` does one epoch.

    With ``ema_decay`` a twin does the learning, and *model* is the moving average of its weights: what a report tells
    of, what a checkpoint and the caller get. *before_step* and *teacher* are as for ``fine_tune``.
    """

    def __init__(
        self,
        model: nn.Module,
        faces: FaceSet,
        spec: TrainingSpec,
        *,
        before_step: Callable[[float], None] | None = None,
        teacher: nn.Module | None = None,
        device: str = "cpu",
    ) -> None:
        if len(faces) < 2:
            raise DataError(f"training needs at least two images, there are {len(faces)}")
        self.model = model.to(torch.device(device)).to(memory_format=torch.channels_last)
        self.learner = copy.deepcopy(self.model) if spec.ema_decay else self.model
        self.faces, self.spec, self.device = faces, spec, torch.device(device)
        self.batch_size = min(spec.batch_size, len(faces))
        self.steps = len(faces) // self.batch_size
        self.optimizer = _optimizer(self.learner, spec)
        teacher = teacher or teacher_of(spec, faces.images.shape[1])
        self.teacher = teacher and teacher.to(self.device).to(memory_format=torch.channels_last)
        self.before_step = before_step or (lambda _done: None)

    @property
    def parts(self) -> dict[str, Stateful]:
        """All that has a state, by name: what a checkpoint holds."""
        return {"model": self.model, "learner": self.learner, "optimizer": self.optimizer}

    def run(self, epoch: int) -> float:
        """Do epoch number *epoch* (from 1), estimate batch-norm statistics anew, and return the mean loss.

        Raises:
            DivergedError: the loss became NaN or infinite.
        """
        rng = np.random.default_rng([self.spec.seed, epoch])
        spec, faces = self.spec, self.faces
        rows = epoch_order(faces.labels, spec.class_balance, rng, groups=faces.groups, group_balance=spec.group_balance)
        noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self.learner.train()
        total, all_steps = 0.0, self.steps * self.spec.epochs
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(rng.integers(2**62)))  # dropout draws from the global generator
            for step in range(self.steps):
                done = (epoch - 1) * self.steps + step
                self.before_step(done / all_steps)
                _set_rate(self.optimizer, self.spec.learning_rate * pace(done, all_steps))
                total += self._step(rows[step * self.batch_size : (step + 1) * self.batch_size], noise, rng)
                if not math.isfinite(total):
                    raise DivergedError(
                        f"the loss became {total} in epoch {epoch}, step {step + 1}: "
                        f"lower learning_rate (now {self.spec.learning_rate:g})"
                    )
                if self.spec.ema_decay:
                    average(self.model, self.learner, min(self.spec.ema_decay, (1 + done) / (10 + done)))
        recalibrate(self.model, self.faces, batch_size=self.batch_size, device=self.device)
        return total / self.steps

    def _step(self, rows: NDArray[np.int64], noise: torch.Generator, rng: np.random.Generator) -> float:
        images = augment(to_input(self.faces.images[rows], self.device), STRENGTHS[self.spec.augmentation], noise)
        images, own = mix(images, self.spec.mixing, rng)
        labels = torch.from_numpy(self.faces.labels[rows]).to(self.device)
        loss = self._loss(images, labels, own)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves backward untyped
        nn.utils.clip_grad_norm_(self.learner.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        return float(loss.detach())

    def _loss(self, images: Tensor, labels: Tensor, own: float) -> Tensor:
        """Return the loss of a batch in which each image is, to the share *own*, of its own label."""
        logits = self.learner(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.spec.label_smoothing)
        if own < 1:
            other = F.cross_entropy(logits, partners(labels), label_smoothing=self.spec.label_smoothing)
            loss = own * loss + (1 - own) * other
        if self.teacher is None:
            return loss
        with torch.no_grad():
            opinion = self.teacher(images)
        return distilled(loss, logits, opinion)


@torch.no_grad()
def average(mean: nn.Module, current: nn.Module, decay: float) -> None:
    """Move the parameters of *mean* towards those of *current*: mean = decay x mean + (1 - decay) x current.

    Polyak averaging (Polyak and Juditsky, 1992) with a fading memory. The batch norms of *mean* need ``recalibrate``.
    """
    torch._foreach_lerp_(list(mean.parameters()), list(current.parameters()), 1 - decay)


def pace(step: int, total: int) -> float:
    """Return the learning rate of *step* (from 0) of *total* as a fraction of its peak.

    It rises linearly, then falls along half a cosine: Loshchilov and Hutter (https://arxiv.org/abs/1608.03983) without
    restarts.
    """
    rise = max(1, round(WARM_UP * total))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise + 1) / (total - rise + 1)))


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _optimizer(model: nn.Module, spec: TrainingSpec) -> torch.optim.Optimizer:
    """Return AdamW (https://arxiv.org/abs/1711.05101), decaying matrices and kernels but neither biases nor scales."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": spec.weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=BETAS)


@torch.no_grad()
def recalibrate(model: nn.Module, faces: FaceSet, *, batch_size: int = 64, device: str | torch.device = "cpu") -> None:
    """Replace the batch-norm statistics of *model* by the mean over up to 512 images of *faces*, evenly spread.

    The running averages of training lag behind weights that move fast, which ruins the evaluation of short trainings.
    The statistics have no part in training itself, so this changes nothing but evaluation. Leaves *model* in evaluation
    mode.
    """
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: a cumulative average
        norm.train()
    batches = max(1, min(len(faces), RECALIBRATION_IMAGES) // batch_size)
    rows = np.linspace(0, len(faces) - 1, batches * batch_size).astype(np.int64)
    # strided, so that every batch spans the whole set even when it is sorted by class
    for batch in range(batches):
        model(to_input(faces.images[rows[batch::batches]], device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


@torch.inference_mode()
def validate(
    model: nn.Module, faces: FaceSet, *, batch_size: int = 64, device: str | torch.device = "cpu"
) -> tuple[float, float]:
    """Return macro-F1 and accuracy of *model* on *faces*, as fractions. Leaves *model* in evaluation mode."""
    model.eval()
    predicted: list[Tensor] = []
    for start in range(0, len(faces), batch_size):
        logits = model(to_input(faces.images[start : start + batch_size], device))
        predicted.append(logits.argmax(1).cpu())
    classes = len(EXPRESSIONS)
    cells = faces.labels * classes + torch.cat(predicted).numpy()
    counts = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    return float(macro_f1(counts)), float(accuracy(counts))
