"""What is refused before a study starts: data that are missing, too few, or without the groups that a gap needs."""

import logging
from collections.abc import Sequence
from pathlib import Path

from fer_core.data.faces import Duplicate, FaceSet
from fer_core.data.loading import load_faces
from fer_core.data.sources import DataSource
from fer_core.data.splits import halves, split_of, store_split, validation_split
from fer_core.errors import DataError
from fer_core.statistics import large_groups, subject_groups
from search.config import StudyConfig
from search.errors import ConfigError, StudyError
from search.folder import StudyFolder
from search.record import StudyRecord

logger = logging.getLogger(__name__)


def prepare(folder: StudyFolder) -> None:
    """Decode all faces of the study into the cache, at every input size of its space, and check them.

    Raises:
        DataError: a folder is missing or holds nothing usable.
        ConfigError: the space asks for a population that the data do not show, or the study has the
            objective ``gap`` and the evaluation faces have no groups to compare.
    """
    config = folder.config
    for size in config.space.input_size:
        evaluation = _load("data.evaluation", [config.data.evaluation], size, folder.cache_path)
        apart = [config.data.evaluation]
        training = _load("data.training", config.data.training, size, folder.cache_path, apart_from=apart)
        for population in config.space.population:
            faces = training.of_population(population)
            train, validation = validation_split(faces)
            split = split_of("validation", faces, {"train": train, "validation": validation})
            store_split(split, folder.cache_path)
    if "gap" in config.objectives:
        check_groups(evaluation.of_population(config.data.evaluation.population), folder.config_path)


def check_groups(evaluation: FaceSet, where: Path) -> None:
    """Refuse the objective ``gap`` for an *evaluation* set whose search half has fewer than two large groups.

    Raises:
        ConfigError: naming *where*.
    """
    try:
        search, _ = halves(evaluation.subjects, evaluation.groups, labels=evaluation.labels)
    except DataError:
        search = evaluation.labels >= 0  # too small to be split: all of it is the search half
    groups = subject_groups(evaluation.subjects[search], evaluation.groups[search])
    if len(large_groups(groups)) < 2:
        raise ConfigError(
            f"{where}: objectives: 'gap' needs two groups of at least ten subjects each in the search half of the "
            f"evaluation faces; they have {len(set(groups.tolist()) - {''})} group(s) in all; "
            "drop 'gap', or give a subject_pattern that tells groups"
        )


def check_data(record: StudyRecord, config: StudyConfig, cache: Path) -> None:
    """Refuse to go on with a study whose evaluation faces are others than those that judged its first trials.

    Raises:
        StudyError: naming a trial that was judged by other faces.
    """
    judged = {t.candidate.architecture.input_size: t for t in record.complete if t.outcome and t.outcome.scorecard}
    for size, trial in judged.items():
        faces = load_faces([config.data.evaluation], size, cache).of_population(config.data.evaluation.population)
        card = trial.outcome.scorecard if trial.outcome else None
        if card is not None and card.data_digest != faces.digest:
            raise StudyError(
                f"the evaluation faces in {config.data.evaluation.path} changed since they judged "
                f"trial {trial.number}; put the old ones back, or start a study with another name"
            )


def _load(
    key: str, sources: Sequence[DataSource], size: int, cache: Path, apart_from: Sequence[DataSource] = ()
) -> FaceSet:
    faces = load_faces(sources, size, cache, apart_from=apart_from)
    if faces.skipped:
        first = faces.skipped[0]
        logger.warning(
            "%s: %d file(s) cannot be used and are left out; the first: %s: %s",
            key,
            len(faces.skipped),
            first.path,
            first.reason,
        )
    leaked = [item for item in faces.duplicates if item.leaked]
    for items, what in ((leaked, "show what an evaluation face shows"), (_others(faces), "repeat another image")):
        if items:
            message = "%s: %d image(s) %s and are left out; the first: %s repeats %s"
            logger.warning(message, key, len(items), what, items[0].path, items[0].original)
    return faces


def _others(faces: FaceSet) -> list[Duplicate]:
    return [item for item in faces.duplicates if not item.leaked]
