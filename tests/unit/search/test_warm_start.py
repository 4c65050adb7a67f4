"""What a study knows from another one: copied once, never a result, refused where it would mean something else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from search.config import StudyConfig
from search.errors import ConfigError, StudyError
from search.folder import StudyFolder
from search.front import front_rows
from search.ledger import Ledger
from search.objectives import Outcome
from search.record import Event, StudyOpened
from search.sampling import Told
from search.space import covering_design
from search.study import Study
from search.warm_start import differing, inherit, inherited


@pytest.fixture
def next_study(studied: StudyFolder) -> StudyFolder:
    """A study that is to know the study ``demo``."""
    folder = StudyFolder(studied.path.parent / "next")
    folder.path.mkdir()
    text = studied.config_path.read_text()
    name, rest = text.split('name = "demo"')
    folder.config_path.write_text(f'{name}name = "next"{rest}\n[warm_start]\nstudy = "{studied.path}"\n')
    return folder


def test_what_ended_with_values_is_copied_and_found_again(next_study: StudyFolder, studied: StudyFolder) -> None:
    what = inherit(next_study)
    assert what is not None
    assert (what.study, what.trials) == ("demo", 4), "three complete, one infeasible; not the failed and stopped ones"
    told = inherited(next_study, what)
    assert [one.outcome.state for one in told] == ["complete"] * 3 + ["infeasible"]
    assert told[3].outcome.violations == {"latency_ms": 70.0}
    assert all(one.outcome.scorecard is None for one in told)
    studied.ledger_path.unlink()
    assert inherited(next_study, what) == told, "whatever becomes of the other study"


def test_a_copy_that_changed_or_went_is_refused(next_study: StudyFolder) -> None:
    what = inherit(next_study)
    next_study.warm_start_path.write_text(next_study.warm_start_path.read_text().replace("0.", "1."))
    with pytest.raises(StudyError, match="changed since the study was opened with 4 trials of demo"):
        inherited(next_study, what)
    next_study.warm_start_path.unlink()
    with pytest.raises(StudyError, match="gone or changed"):
        inherited(next_study, what)
    assert inherited(next_study, None) == ()


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ("input_size = [48, 64]", "input_size = [48]", "space.input_size"),
        ("epochs = 2", "epochs = 3", "space.training.epochs"),
        ("latency_ms = 120", "latency_ms = 100", "constraints.latency_ms"),
        ('population = ["children", "all"]', 'population = ["all"]', "space.population"),
        ('"f1", "gap", "latency"', '"f1", "latency"', "objectives"),
    ],
)
def test_another_space_is_refused_with_the_keys_that_differ(
    next_study: StudyFolder, old: str, new: str, keys: str
) -> None:
    text = next_study.config_path.read_text()
    assert old in text
    next_study.config_path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=f"demo differs in {keys}; only a study of the same space"):
        inherit(StudyFolder(next_study.path))


def test_one_population_for_another_is_the_same_space(config: StudyConfig) -> None:
    children, adults = (
        config.model_copy(update={"space": config.space.model_copy(update={"population": (population,)})})
        for population in ("children", "adults")
    )
    assert differing(children, adults) == ()
    assert differing(children, config) == ("space.population",)


def test_who_is_not_there_or_learns_nothing_is_refused(next_study: StudyFolder, studied: StudyFolder) -> None:
    text = next_study.config_path.read_text()
    next_study.config_path.write_text(text.replace(str(studied.path), "elsewhere"))
    with pytest.raises(ConfigError, match=r"warm_start.study: no study in .*elsewhere"):
        inherit(StudyFolder(next_study.path))
    next_study.config_path.write_text(text.replace("[space]", '[sampler]\nname = "random"\n[space]'))
    with pytest.raises(ConfigError, match="'random' learns nothing; take tpe, nsga2 or gp"):
        inherit(StudyFolder(next_study.path))


def test_nothing_is_inherited_from_a_study_without_results(
    make_study: Callable[..., StudyFolder], next_study: StudyFolder
) -> None:
    old = next_study.path.parent / "demo"
    for path in sorted(old.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    make_study([Outcome(state="failed", reason="x")])
    with pytest.raises(ConfigError, match="demo has no trial to learn from yet"):
        inherit(next_study)


def test_the_driver_opens_a_study_with_what_it_is_to_know_and_resumes_it_with_the_same(
    next_study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.tuning import driver

    known: list[tuple[Told, ...]] = []

    def seen(config: StudyConfig, ledger: Ledger, hear: Callable[[Event], None], priors: tuple[Told, ...]) -> Study:
        known.append(priors)
        return Study(config, ledger, hear, priors)

    monkeypatch.setattr(driver, "Study", seen)
    monkeypatch.setattr(driver, "check_data", lambda *_: None)
    monkeypatch.setenv("RAY_ADDRESS", "nonsense://nowhere")
    for _ in range(2):
        with pytest.raises(StudyError, match="no Ray cluster"):
            driver.drive(next_study, None)
    with Ledger.open(next_study.ledger_path, readonly=True) as ledger:
        record = ledger.record()
    assert record.opened.inherited is not None
    assert len(known[0]) == record.opened.inherited.trials == 4
    assert known[1] == known[0]
    assert record.trials == {}


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_sampler_knows_the_priors_and_they_are_no_results(config: StudyConfig, tmp_path: Path, sampler: str) -> None:
    """Only one network is feasible in the other study: TPE proposes its like at once. A death changes nothing."""
    settings = config.sampler.model_copy(update={"name": sampler, "startup_trials": 0 if sampler == "tpe" else 20})
    config = config.model_copy(update={"sampler": settings, "budget": config.budget.model_copy(update={"trials": 24})})
    designs = [covering_design(config.model_copy(update={"seed": seed})) for seed in range(8)]
    priors = []
    for params in (row for design in designs for row in design):
        slow = params["architecture"] != "mobilenetv2_100"
        infeasible = Outcome(state="infeasible", values={"latency": 190.0}, violations={"latency_ms": 70.0})
        good = Outcome(state="complete", values={"f1": 0.9, "gap": 0.1, "latency": 50.0})
        priors.append(Told(params, infeasible if slow else good))

    def walk(path: Path, known: list[Told], lives: int) -> list[str]:
        if not path.exists():
            opened = StudyOpened(name="t", config=config.model_dump(mode="json"), config_digest=config.digest)
            Ledger.create(path, opened).close()
        finished = False
        while not finished:
            with Ledger.open(path) as ledger:
                study = Study(config, ledger, priors=known)
                for _ in range(lives):
                    if (question := study.ask()) is not None:
                        luck = int(question.candidate.digest[:8], 16) / 16**8
                        values = {"f1": luck, "gap": 0.1, "latency": 20 + 90 * luck}
                        study.tell(question.number, Outcome(state="complete", values=values))
                finished = study.finished
        with Ledger.open(path, readonly=True) as ledger:
            record = ledger.record()
        assert len(record.trials) == 24
        assert all(row.trial in record.trials for row in front_rows(record, everything=True))
        return [trial.candidate.architecture.name for trial in record.trials.values()]

    warm = walk(tmp_path / "warm.db", priors, 100)
    cold = walk(tmp_path / "cold.db", [], 100)
    assert walk(tmp_path / "rough.db", priors, 3) == warm
    assert warm[:4] == cold[:4] or sampler == "tpe", "the covering design comes first"
    assert warm[5:] != cold[5:]
    if sampler == "tpe":
        assert warm[:8].count("mobilenetv2_100") > cold[:8].count("mobilenetv2_100")
