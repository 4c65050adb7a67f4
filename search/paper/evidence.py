"""What a finished study of the paper holds: for every exported file its numbers, and what it predicted for every face.

The ledger keeps confusions of the search half alone, so each file is run again on all faces; that it scores what the
ledger says is checked. The whole set is used, as the paper does: no network was chosen by it but the one to compress.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devicelab.flatfile import read_file
from devicelab.measurement import Measurement
from fer_core.scores import Scorecard
from fer_core.statistics import Counts, macro_f1, subject_confusions, subject_groups
from search.comparing import Contestant, Judged, judged
from search.errors import NothingToShow, StudyError
from search.exporting import model_of
from search.folder import StudyFolder
from search.record import StudyRecord, TrialRecord
from search.staged import Staged, winner

_WEIGHTS = frozenset({"FLOAT32", "FLOAT16", "INT8"})


@dataclass(frozen=True, slots=True)
class Model:
    """One exported file. ``counts`` (s, 7, 7) are its confusions by subject, ``weights`` its constant numbers."""

    trial: TrialRecord
    card: Scorecard
    measurement: Measurement
    size: int
    weights: int
    judged: Judged
    counts: Counts

    @property
    def architecture(self) -> str:
        """The network's name."""
        return self.trial.candidate.architecture.name

    @property
    def population(self) -> str:
        """Whom the network was trained on."""
        return self.trial.candidate.training.population


@dataclass(frozen=True, slots=True)
class Evidence:
    """Every model of the study: plain networks, the best of them, and its compressed variants.

    ``groups`` (s,) are those of the subjects in the models' counts.
    """

    networks: tuple[Model, ...]
    best: Model
    variants: tuple[Model, ...]
    groups: NDArray[np.str_]

    @property
    def models(self) -> tuple[Model, ...]:
        """Networks and variants, by trial."""
        return (*self.networks, *self.variants)

    def of(self, architecture: str, population: str) -> Model | None:
        """Return the plain network *architecture* trained on *population*, if it is complete."""
        return next((m for m in self.networks if (m.architecture, m.population) == (architecture, population)), None)

    def pairs(self, first: str, second: str) -> dict[str, tuple[Model, Model]]:
        """Return, by network, its models trained on the populations *first* and *second*."""
        names = dict.fromkeys(model.architecture for model in self.networks)
        both = {name: (self.of(name, first), self.of(name, second)) for name in names}
        return {name: (one, two) for name, (one, two) in both.items() if one is not None and two is not None}


def evidence(record: StudyRecord, folder: StudyFolder) -> Evidence:
    """Run every complete trial of *record* again on all evaluation faces.

    Raises:
        NothingToShow: no network is complete.
        StudyError: a file is gone, or scores something else than when it was recorded.
    """
    planned = len(Staged(record.config).networks)
    outcomes = {number: trial.outcome for number, trial in record.trials.items() if trial.outcome}
    best = winner(outcomes, planned)
    if best is None:
        raise NothingToShow(f"{folder.path.name}: no network is complete yet; see fer-search status {folder.path.name}")
    models = {trial.number: _model(record, trial, folder) for trial in record.complete}
    faces = models[best].judged.faces
    return Evidence(
        networks=tuple(model for number, model in models.items() if number < planned),
        best=models[best],
        variants=tuple(model for number, model in models.items() if number >= planned),
        groups=subject_groups(faces.subjects, faces.groups),
    )


def _model(record: StudyRecord, trial: TrialRecord, folder: StudyFolder) -> Model:
    path = model_of(record, trial, folder.artifacts_path)
    outcome = trial.outcome
    if outcome is None or outcome.scorecard is None or outcome.measurement is None:
        raise StudyError(f"{folder.path.name}: trial {trial.number} is complete without scores or without a latency")
    who = Contestant(f"{folder.path.name}:{trial.number}", path, record.config.data.evaluation)
    found = judged(who, folder.cache_path)
    _, counts = subject_confusions(found.faces.labels, found.predicted, found.faces.subjects)
    again, recorded = float(macro_f1(counts.sum(axis=0))), outcome.scorecard.whole.macro_f1
    if again != recorded:
        raise StudyError(
            f"{who.name} scores {again:.6f} now and {recorded:.6f} in the ledger: the faces or the runtime changed; "
            "put them back, or start a study with another name"
        )
    return Model(
        trial=trial,
        card=outcome.scorecard,
        measurement=outcome.measurement,
        size=path.stat().st_size,
        weights=sum(t.elements for t in read_file(path).tensors if t.data is not None and t.dtype in _WEIGHTS),
        judged=found,
        counts=counts,
    )
