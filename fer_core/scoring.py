"""Scoring what ships: the .tflite itself, run by LiteRT in a process of its own.

One such process serves this process for all its models and is replaced when a model ends it. Logits depend on the
file and the image alone (``fer_core.interpreter_process``), resampling on fixed seeds, so the same file and the same
faces give the same scores to the last digit, in every process on the same kind of CPU.
"""

import atexit
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_core.artifact import sha256_of
from fer_core.child import Child, ChildError
from fer_core.data.faces import FaceSet
from fer_core.data.pixels import Images
from fer_core.data.splits import halves
from fer_core.errors import DataError, UnreadableModelError
from fer_core.labels import EXPRESSIONS
from fer_core.scores import Scorecard, Scores
from fer_core.statistics import Counts, group_score, pack_counts, scores_from, subject_confusions, subject_groups

_CHUNK = 256
"""Images per message to the interpreter's process."""

_interpreter = Child("fer_core.interpreter_process")
_turn = threading.Lock()
atexit.register(_interpreter.close)


def predict(model_path: Path, images: Images, *, timeout: float = 120.0) -> NDArray[np.float32]:
    """Return the logits (n, 7) float32 of *images*, uint8 (n, side, side, 3) RGB, by the .tflite at *model_path*.

    *timeout* is in seconds, for loading the file and again for every 256 images.

    Raises:
        UnreadableModelError: the file is missing, is no classifier of seven expressions, or ends its interpreter.
        DataError: *images* do not have the size that the model takes.
    """
    with _turn:
        side = _load(model_path, timeout)
        if images.shape[1:] != (side, side, 3):
            raise DataError(f"{model_path} takes images of {side} px, these have the shape {images.shape[1:]}")
        chunks = [
            _logits(model_path, images[start : start + _CHUNK], timeout) for start in range(0, len(images), _CHUNK)
        ]
    logits: NDArray[np.float32] = np.concatenate([np.empty((0, len(EXPRESSIONS)), dtype=np.float32), *chunks])
    if not np.isfinite(logits).all():
        raise UnreadableModelError(f"{model_path}: it returns logits that are not finite; train or export it again")
    return logits


def _logits(model_path: Path, images: Images, timeout: float) -> NDArray[np.float32]:
    """Return the logits of *images* by the file that is loaded; they travel in a file, which takes less than a pipe."""
    with tempfile.NamedTemporaryFile(prefix="fer-images-") as shared:
        np.ascontiguousarray(images).tofile(shared)
        shared.flush()
        found: NDArray[np.float32] = _call(model_path, "run", Path(shared.name), images.shape, timeout=timeout)
    return found


def input_size_of(model_path: Path, *, timeout: float = 120.0) -> int:
    """Return the side in pixels of the square input of the .tflite at *model_path*.

    Raises:
        UnreadableModelError: as for ``predict``.
    """
    with _turn:
        return _load(model_path, timeout)


def operators_of(model_path: Path, *, timeout: float = 120.0) -> int:
    """Return how many operators the .tflite at *model_path* has.

    Raises:
        UnreadableModelError: as for ``predict``.
    """
    with _turn:
        _load(model_path, timeout)
        return int(_call(model_path, "operators", timeout=timeout))


def score(model_path: Path, faces: FaceSet, *, timeout: float = 120.0) -> Scorecard:
    """Score the .tflite at *model_path* on *faces*: its search half, its report half and the whole.

    Raises:
        UnreadableModelError: as for ``predict``.
        DataError: *faces* is empty or has another size than the model's input.
    """
    predicted = predict(model_path, faces.images, timeout=timeout).argmax(axis=1)
    try:
        search, report = halves(faces.subjects, faces.groups, labels=faces.labels)
    except DataError:
        search = report = np.zeros(len(faces), dtype=np.bool_)
    whole = np.ones(len(faces), dtype=np.bool_)
    counts, groups = _counted(faces, predicted, search if search.any() else whole)
    return Scorecard(
        model_digest=sha256_of(model_path),
        data_digest=faces.digest,
        synthetic=faces.synthetic,
        search=_scores(faces, predicted, search),
        report=_scores(faces, predicted, report),
        whole=_scored(faces, predicted, whole),
        subject_confusions=pack_counts(counts),
        subject_groups=tuple(groups.tolist()),
    )


def _scores(faces: FaceSet, predicted: NDArray[np.int64], mask: NDArray[np.bool_]) -> Scores | None:
    return _scored(faces, predicted, mask) if mask.any() else None


def _scored(faces: FaceSet, predicted: NDArray[np.int64], mask: NDArray[np.bool_]) -> Scores:
    parts = (("open", mask & (faces.mouth_open == 1)), ("closed", mask & (faces.mouth_open == 0)))
    mouths = tuple(group_score(name, _counted(faces, predicted, part)[0]) for name, part in parts if part.any())
    return scores_from(*_counted(faces, predicted, mask)).model_copy(update={"mouths": mouths})


def _counted(faces: FaceSet, predicted: NDArray[np.int64], mask: NDArray[np.bool_]) -> tuple[Counts, NDArray[np.str_]]:
    _, counts = subject_confusions(faces.labels[mask], predicted[mask], faces.subjects[mask])
    return counts, subject_groups(faces.subjects[mask], faces.groups[mask])


def _load(model_path: Path, timeout: float) -> int:
    if not model_path.is_file():
        raise UnreadableModelError(f"{model_path}: no such file; name a .tflite that fer-search export wrote")
    return int(_call(model_path, "load", model_path.resolve(), timeout=timeout))


def _call(model_path: Path, method: str, *arguments: object, timeout: float) -> Any:  # noqa: ANN401 - see Child.call
    try:
        return _interpreter.call(method, *arguments, timeout=timeout)
    except ChildError as error:
        reason = " ".join(str(error).split())
        raise UnreadableModelError(f"{model_path}: LiteRT cannot run it: {reason}; export the model again") from error
