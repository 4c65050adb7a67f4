"""The stages on a real network: each computed once, found again, gone on with where it was cut short."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from devicelab.measurement import Workload
from fer_core.specs import CompressionSpec
from search import stages
from search.budget import Limits
from search.candidate import Candidate
from search.config import StudyConfig
from search.overseer import Overseer
from search.space import Given, suggest
from search.stages import Workbench
from search.turns import Turns

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench(mini: StudyConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    root = tmp_path_factory.mktemp("bench")
    torch.set_num_threads(1)
    overseer = Overseer(Limits(), Turns(root / "turns", 1).taken)  # refuses to wait with a turn in hand
    hooks = {"waiting": overseer.waiting, "turn": overseer.turn}
    with Workbench(mini, root / "artifacts", root / "cache", measure=pytest.fail, **hooks) as bench:
        yield bench
    assert overseer.turn_time() > 0


@pytest.fixture(scope="module")
def candidate(mini: StudyConfig) -> Candidate:
    return suggest(Given({"quantization": "float32"}), mini)


def _compressed(candidate: Candidate, **changes: object) -> Candidate:
    return candidate.model_copy(update={"compression": CompressionSpec(**changes)})


def test_a_training_that_was_left_goes_on_and_a_finished_one_repeats_its_reports(
    bench: Workbench, candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Workbench(bench.config, tmp_path / "whole", bench._cache, bench.measure) as other:
        whole = list(other.train(candidate))
        weights = torch.load(other._trained(candidate) / "weights.pth", weights_only=True)

    training = bench.train(candidate)
    first = next(training)
    training.close()
    assert bench.store.find(bench.training_key(candidate)) is None
    with pytest.raises(LookupError):
        bench.export(candidate)
    reports = list(bench.train(candidate))
    assert reports[0] == first
    assert [(r.epoch, r.train_loss, r.val_f1) for r in reports] == [(r.epoch, r.train_loss, r.val_f1) for r in whole]
    folder = bench._trained(candidate)
    assert sorted(path.name for path in folder.iterdir()) == ["history.json", "manifest.json", "weights.pth"]
    resumed = torch.load(folder / "weights.pth", weights_only=True)
    assert all(torch.equal(resumed[name], weights[name]) for name in weights)

    monkeypatch.setattr(stages, "fit", pytest.fail)
    assert list(bench.train(candidate)) == reports
    assert list(bench.train(_compressed(candidate, quantization="int8"))) == reports, "quantizations share a training"


def test_training_leaves_the_graph_of_the_draft_as_it_is(
    bench: Workbench, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(bench.train(candidate))
    variants = [
        _compressed(candidate),
        _compressed(candidate, quantization="int8", calibration_images=8),
        _compressed(candidate, pruning="magnitude", pruning_ratio=0.5, clusters=16, quantization="int8"),
        _compressed(candidate, pruning="structured", pruning_ratio=0.5, quantization="int8", calibration_images=8),
    ]
    exported = [bench.export(variant) for variant in variants]
    calls: list[str] = []
    call = bench.converter._child.call
    child = bench.converter._child
    monkeypatch.setattr(child, "call", lambda name, *given, **more: [calls.append(name), call(name, *given, **more)][1])
    for variant, artifact in zip(variants, exported, strict=True):
        draft = bench.draft(variant.architecture, variant.compression)
        assert Workload.of(artifact.path, 1).fingerprint == Workload.of(draft.path, 1).fingerprint
    assert "convert" in calls
    assert "build" not in calls, "the converter knows the graph of a draft from the trained network, and the reverse"
    assert len({artifact.digest for artifact in exported}) == 4

    assert exported[3].size < exported[1].size / 2, "half of the channels"

    card = bench.score(exported[0])
    assert card.model_digest == exported[0].digest
    assert card.data_digest == bench.evaluation_faces(48).digest

    monkeypatch.setattr(stages, "to_artifact", pytest.fail)
    monkeypatch.setattr(stages, "compress", pytest.fail)
    monkeypatch.setattr(stages.scoring, "score", pytest.fail)
    assert [bench.export(variant) for variant in variants] == exported
    assert bench.score(exported[0]) == card


def test_populations_and_sizes_have_faces_of_their_own(bench: Workbench) -> None:
    train, validation = bench.training_faces(48, "children")
    assert set(train.subjects.tolist()).isdisjoint(validation.subjects.tolist())
    assert len(train) + len(validation) == 84
    assert bench.training_faces(48, "children") is bench.training_faces(48, "children")
    assert bench.evaluation_faces(64).images.shape == (56, 64, 64, 3)
