"""study.toml: read strictly, every mistake told in one line with file, key and reason."""

from pathlib import Path

import pytest

from search.budget import Budget
from search.config import LabConfigChoice, StudyConfig
from search.errors import ConfigError

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

MISTAKES = {
    "misspelt key": (
        'population = "children"\n',
        'populaton = "children"\n',
        "data.training[0].populaton: unknown key; did you mean 'population'?",
    ),
    "unknown architecture": (
        '"mobilenetv2_100"',
        '"mobilenet_v9"',
        "space.architecture[1]: unknown 'mobilenet_v9'; choose one of mobilenetv3_small_100, mobilenetv2_100,",
    ),
    "low above high": ("low = 0.2", "low = 0.9", "space.pruning_ratio: impossible range: low (0.9) must be below"),
    "ratio above 1": ("high = 0.8", "high = 1.5", "space.pruning_ratio: input should be less than 1, got 1.5"),
    "ratio of nothing": ("low = 0.2", "low = 0.0", "space.pruning_ratio: must be above 0"),
    "steps do not meet": ("step = 0.1", "step = 0.25", "space.pruning_ratio: high (0.8) is not low (0.2) plus whole"),
    "empty list": ("[48, 64]", "[]", "space.input_size: an empty list"),
    "twice": ("[48, 64]", "[48, 48]", "space.input_size: a choice is listed twice"),
    "not a multiple": ("[48, 64]", "[50]", "space.input_size[0]: input should be a multiple of 16, got 50"),
    "half an epoch": ("epochs = 2", "epochs = 2.5", "space.training.epochs: input should be a valid integer"),
    "misspelt in a range": ("low = 0.2", "lo = 0.2", "space.pruning_ratio.lo: unknown key; did you mean 'low'?"),
    "misspelt table": ("[space.training]", "[space.trainin]", "space.trainin: unknown key; did you mean 'training'?"),
    "wrong cluster": ('["none", 16, 64]', '["nope"]', "space.clusters[0]: input should be a valid integer"),
    "logarithm of 0": ("low = 1e-3", "low = 0", "space.training.learning_rate: a logarithmic range starts above 0"),
    "log with step": (
        "log = true", "log = true, step = 0.001", "space.training.learning_rate: a range has a step or is logarithmic"
    ),
    "no name": ('name = "demo"', "", "name: missing; this key must be set"),
    "bad name": ('name = "demo"', 'name = "../x"', "name: string should match pattern"),
    "unknown objective": ('"gap"', '"bias"', "objectives[1]: unknown 'bias'; choose one of f1, gap, latency"),
    "no trial": ("trials = 12", "trials = 0", "budget.trials: input should be greater than or equal to 1, got 0"),
    "unknown sampler": ("[constraints]", '[sampler]\nname = "gpp"\n[constraints]',
                        "sampler.name: unknown 'gpp'; choose one of tpe, nsga2, gp, random, staged (did you mean"),
    "no patience": ("trials = 12", "stall = { trials = 0 }", "budget.stall.trials: input should be greater"),
    "no hours": ("trials = 12", "cpu_hours = 0", "budget.cpu_hours: input should be greater than 0, got 0"),
    "bound of 0": ("latency_ms = 120", "latency_ms = 0", "constraints: latency_ms = 0 is a bound that nothing"),
    "two labs": ("[space]", '[lab]\ndevices = 2\nconfig = "lab.toml"\n[space]', "lab: set devices (simulated phones)"),
    "lab and service": ("[space]", '[lab]\ndevices = 2\nurl = "http://lab"\n[space]', "lab: set devices"),
    "no address": ("[space]", '[lab]\nurl = "lab:80"\n[space]', "lab.url: string should match pattern"),
    "token for nobody": ("[space]", '[lab]\ntoken_file = "t"\n[space]', "lab: token_file belongs to url"),
    "relative root": ('name = "demo"', 'name = "demo"\nroot = "here"', "root: must be an absolute path, got 'here'"),
    "weights of nobody": (
        "[space]", '[space]\nweights = { mobilenetv2 = "imagenet" }', "space.weights.mobilenetv2: unknown 'mobilenetv2'"
    ),
    "not TOML": ("[data]", "[data", "not TOML: Expected ']'"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_in_one_line_with_file_and_key(study_file, old, new, told):
    text = study_file.read_text()
    assert old in text
    study_file.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        StudyConfig.load(study_file)
    message = str(caught.value)
    assert message.startswith(f"{study_file}: {told}")
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_a_population_that_no_source_shows_is_refused(study_file):
    text = study_file.read_text().replace('population = "children"', 'population = "adults"')
    study_file.write_text(text)
    with pytest.raises(ConfigError, match=r"space\.population asks for 'children', but no data\.training source"):
        StudyConfig.load(study_file)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["missing", "not text"])
def test_an_unreadable_file_is_told(tmp_path, content):
    path = tmp_path / "study.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"study\.toml: (no such file|not a text file)"):
        StudyConfig.load(path)


def test_a_folder_is_no_study(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        StudyConfig.load(tmp_path)


def test_relative_paths_start_from_the_file(config, tmp_path):
    assert config.data.evaluation.path == tmp_path / "faces" / "cafe"
    assert config.data.training[1].path == tmp_path / "faces" / "adults"


def test_missing_folders_are_told_with_their_key(config, study_file, tmp_path):
    (tmp_path / "faces" / "cafe").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"study\.toml: data\.training\[0\]\.path: .*children does not exist"):
        config.check_paths(study_file)
    for name in ("children", "adults"):
        (tmp_path / "faces" / name).mkdir()
    config.check_paths(study_file)


def test_survives_json(config):
    again = StudyConfig.model_validate(config.model_dump(mode="json"))
    assert again == config
    assert again.digest == config.digest


def test_the_digest_is_of_the_meaning_not_of_the_budget(study_file, config):
    text = study_file.read_text()
    study_file.write_text(text.replace("trials = 12", "trials = 99\nwall_minutes = 3"))
    assert StudyConfig.load(study_file).digest == config.digest
    for old, new in (("seed = 3", "seed = 4"), ("latency_ms = 120", "latency_ms = 60"), ("[48, 64]", "[48]")):
        study_file.write_text(text.replace(old, new))
        assert StudyConfig.load(study_file).digest != config.digest, new


@pytest.mark.parametrize(
    ("budget", "simulated", "in_flight"),
    [
        ({"concurrency": 1}, False, 2),
        ({"concurrency": 8}, False, 10),
        ({"concurrency": 8}, True, 8),
        ({"concurrency": 8, "ahead": 0}, False, 8),
        ({"concurrency": 2, "ahead": 3}, True, 5),
    ],
)
def test_more_trials_are_open_than_compute_where_phones_keep_them_waiting(config, budget, simulated, in_flight):
    lab = LabConfigChoice() if simulated else LabConfigChoice(url="http://lab:8000")
    assert config.model_copy(update={"budget": Budget(**budget), "lab": lab}).in_flight == in_flight


def test_the_digest_moves_with_its_folder(study_file, config, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "study.toml").write_text(study_file.read_text())
    assert StudyConfig.load(elsewhere / "study.toml").digest == config.digest


def test_the_reference_point_follows_the_constraint(study_file, config):
    assert config.reference_point == {"f1": 0.0, "gap": 1.0, "latency": 120.0}
    study_file.write_text(study_file.read_text().replace("latency_ms = 120", ""))
    assert StudyConfig.load(study_file).reference_point["latency"] == 1000.0


def test_weights_by_architecture(study_file):
    table = '[space]\nweights = { mobilenetv2_100 = "imagenet", nasnet_mobile = "w/nas.pt" }\n'
    study_file.write_text(study_file.read_text().replace("[space]\n", table))
    space = StudyConfig.load(study_file).space
    assert space.weights_of("mobilenetv2_100") == "imagenet"
    assert space.weights_of("efficientnet_b0") == "none"
    assert space.weights_of("nasnet_mobile") == str(study_file.parent / "w" / "nas.pt")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_examples_are_valid(path):
    if path.name.startswith("lab"):
        pytest.skip("a lab, not a study")
    assert StudyConfig.load(path).name == path.stem
