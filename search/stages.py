"""The stages of a candidate's journey, each computed once for the same inputs: train, compress and export, score.

A stage's key is the digest of everything that decides its result: specs, data, the code of ``fer_core``
and the libraries under it. What a stage wrote is found again by that key, by any trial of any
process that shares the artifact folder.
"""

import json
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn

from devicelab.measurement import Measurement
from fer_core import scoring
from fer_core.artifact import Artifact
from fer_core.checkpoint import EpochReport
from fer_core.compression.compress import compress, shape
from fer_core.compression.quantization import calibration_images
from fer_core.compression.quantized_training import train_quantized
from fer_core.data.faces import FaceSet
from fer_core.data.loading import load_faces
from fer_core.data.splits import validation_split
from fer_core.export import Converter, to_artifact
from fer_core.integer.learned import load_quantized
from fer_core.models.build import build
from fer_core.scores import Scorecard
from fer_core.specs import ArchitectureSpec, CompressionSpec, Population
from fer_core.training import fit
from search.artifacts import ArtifactStore, write_atomically
from search.candidate import Candidate, digest_of
from search.config import StudyConfig
from search.provenance import code_digest, versions
from search.turns import one_by_one

type Measure = Callable[..., Measurement]
"""Measures a workload on some phone; ``devicelab.lab.Lab.measure`` or a remote one, with its ``background``."""

MODEL = "model.tflite"
_WEIGHTS, _HISTORY, _CHECKPOINT, _SCORECARD, _ARTIFACT = (
    "weights.pth",
    "history.json",
    "checkpoint.pth",
    "scorecard.json",
    "artifact.json",
)
_DRAFT_CALIBRATION = 8
"""Random images that fix the scales of an untrained int8 graph; scales have no part in its latency."""


class Workbench:
    """The heavy things that a process keeps from one candidate to the next, and the stages that use them.

    *artifacts* is the folder of the artifact store, *cache* that of decoded faces; *measure* reaches
    the lab; *waiting* is entered while another process computes the same, *turn* to compute: behind every lock of the
    store, for whoever holds one may need a turn. A context manager: the converter's process ends with it.
    """

    def __init__(
        self,
        config: StudyConfig,
        artifacts: Path,
        cache: Path,
        measure: Measure,
        *,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.config = config
        self.store = ArtifactStore(artifacts, waiting)
        self.measure = measure
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._cache = cache
        self._turn = turn
        self._open = ExitStack()
        self.training_faces = lru_cache(maxsize=2)(self._training_faces)
        self.evaluation_faces = lru_cache(maxsize=2)(self._evaluation_faces)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the converter's process."""
        self._open.close()

    @cached_property
    def converter(self) -> Converter:
        """The converter, started at the first use."""
        return self._open.enter_context(Converter())

    def _training_faces(self, size: int, population: Population) -> tuple[FaceSet, FaceSet]:
        """Return training and validation faces of *population* at *size* pixels; no subject is in both.

        None shows what an evaluation face shows.
        """
        data = self.config.data
        with self._turn():
            loaded = load_faces(data.training, size, self._cache, apart_from=[data.evaluation])
            faces = loaded.of_population(population)
            train, validation = validation_split(faces)
            return faces.take(train), faces.take(validation)

    def _evaluation_faces(self, size: int) -> FaceSet:
        """Return the evaluation faces at *size* pixels."""
        source = self.config.data.evaluation
        with self._turn():
            return load_faces([source], size, self._cache).of_population(source.population)

    def key(self, stage: str, *inputs: BaseModel | str) -> str:
        """Return the key of *stage* for *inputs*."""
        return digest_of(stage, code_digest("fer_core"), versions(), *inputs)

    def training_key(self, candidate: Candidate) -> str:
        """Return the key of the training that *candidate* needs; candidates that differ behind it share it."""
        train, validation = self._faces_of(candidate)
        return self.key("train", candidate.architecture, candidate.training, train.digest, validation.digest)

    def draft(self, architecture: ArchitectureSpec, compression: CompressionSpec) -> Artifact:
        """Export the network untrained, with the graph that *compression* leaves it, which no weight changes.

        Raises:
            ConversionError: the network cannot be converted; training it would be in vain.
        """
        architecture = architecture.model_copy(update={"weights": "none"})
        compression = compression.of_graph
        size = architecture.input_size

        def export(folder: Path) -> None:
            images = np.random.default_rng(0).integers(0, 256, (_DRAFT_CALIBRATION, size, size, 3), dtype=np.uint8)
            with self._turn():
                model = shape(build(architecture), compression).eval()
                _save(to_artifact(model, architecture, compression, images, self.converter, folder / MODEL), folder)

        key = self.key("draft", architecture, compression)
        return _load(self.store.get_or_compute(key, export))

    def train(self, candidate: Candidate) -> Generator[EpochReport]:
        """Train *candidate*'s network and yield a report per epoch; a training known already repeats its reports.

        A training that was cut short goes on behind its last epoch. While another process trains the same, this one
        waits for it. Closing the iterator stops the training and keeps what was reached.

        Raises:
            DivergedError: the loss became NaN or infinite.
        """
        key = self.training_key(candidate)
        if self.store.find(key) is None:
            with self.store.locked(key):
                if self.store.find(key) is None:
                    yield from self._train(candidate, self.store.partial(key))
                    self.store.commit(key)
                    return
        history = json.loads((self._trained(candidate) / _HISTORY).read_text())
        yield from (EpochReport(**report) for report in history)

    def export(self, candidate: Candidate) -> Artifact:
        """Compress *candidate*'s trained network and export it.

        Raises:
            LookupError: it was not trained; exhaust ``train`` first.
            CandidateError: it diverged while it was repaired, or cannot be converted.
        """
        spec = candidate.compression

        def export(folder: Path) -> None:
            train, _ = self._faces_of(candidate)
            model = self._quantized(candidate, self._compressed(candidate))
            with self._turn():
                images = calibration_images(train, spec.calibration_images, candidate.training.seed)
                _save(to_artifact(model, candidate.architecture, spec, images, self.converter, folder / MODEL), folder)

        key = self.key("export", self.training_key(candidate), spec)
        return _load(self.store.get_or_compute(key, export))

    def score(self, artifact: Artifact) -> Scorecard:
        """Score the .tflite on the evaluation faces.

        Raises:
            UnreadableModelError: LiteRT refuses the file.
        """
        faces = self.evaluation_faces(artifact.input_size)

        def score(folder: Path) -> None:
            with self._turn():
                card = scoring.score(artifact.path, faces)
            write_atomically(folder / _SCORECARD, card.model_dump_json().encode())

        entry = self.store.get_or_compute(self.key("score", artifact.digest, faces.digest), score)
        return Scorecard.model_validate_json((entry / _SCORECARD).read_bytes())

    def _faces_of(self, candidate: Candidate) -> tuple[FaceSet, FaceSet]:
        return self.training_faces(candidate.architecture.input_size, candidate.training.population)

    def _trained(self, candidate: Candidate) -> Path:
        found = self.store.find(self.training_key(candidate))
        if found is None:
            raise LookupError("this candidate was not trained")
        return found

    def _train(self, candidate: Candidate, folder: Path) -> Generator[EpochReport]:
        train, validation = self._faces_of(candidate)
        model = build(candidate.architecture, seed=candidate.training.seed)
        checkpoint = folder / _CHECKPOINT
        history: list[dict[str, Any]] = []
        epochs = fit(model, train, validation, candidate.training, checkpoint=checkpoint, device=self.device)
        for report in one_by_one(epochs, self._turn):
            history.append(asdict(report))
            yield report
        torch.save(model.to("cpu").state_dict(), folder / _WEIGHTS)
        write_atomically(folder / _HISTORY, json.dumps(history).encode())
        for leftover in set(folder.iterdir()) - {folder / _WEIGHTS, folder / _HISTORY}:
            leftover.unlink()

    def _quantized(self, candidate: Candidate, model: nn.Module) -> nn.Module:
        """Return *model*, pruned and clustered, behind its quantization-aware training if *candidate* asks for one."""
        spec, train = candidate.compression, self._faces_of(candidate)[0]
        if spec.quantization != "int8_qat":
            return model

        def adapt(folder: Path) -> None:
            with self._turn():
                adapted = train_quantized(model, spec, candidate.training, train, device=self.device)
            torch.save(adapted.state_dict(), folder / _WEIGHTS)

        entry = self.store.get_or_compute(self.key("quantize", self.training_key(candidate), spec), adapt)
        return load_quantized(model, torch.load(entry / _WEIGHTS, weights_only=True)).eval()

    def _compressed(self, candidate: Candidate) -> nn.Module:
        """Return the trained network pruned and clustered: shared by all quantizations of it."""
        spec, train = candidate.compression, self._faces_of(candidate)[0]
        trained = self._trained(candidate) / _WEIGHTS
        model = build(candidate.architecture.model_copy(update={"weights": "none"}))
        model.load_state_dict(torch.load(trained, weights_only=True))
        if spec.pruning == "none" and spec.clusters is None:
            return model.eval()

        def repair(folder: Path) -> None:
            with self._turn():
                smaller = compress(model, spec, candidate.training, train, device=self.device)
            torch.save(smaller.to("cpu").state_dict(), folder / _WEIGHTS)

        plain = spec.model_copy(update={"quantization": "float32", "calibration_images": 1, "qat_epochs": 0})
        key = self.key("compress", self.training_key(candidate), plain)
        repaired = self.store.get_or_compute(key, repair) / _WEIGHTS  # before the model takes its shape
        shape(model, spec).load_state_dict(torch.load(repaired, weights_only=True))
        return model.eval()


def _save(artifact: Artifact, folder: Path) -> None:
    write_atomically(folder / _ARTIFACT, artifact.model_dump_json(exclude={"path"}).encode())


def _load(entry: Path) -> Artifact:
    return Artifact(path=entry / MODEL, **json.loads((entry / _ARTIFACT).read_text()))
