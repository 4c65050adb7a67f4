import hashlib
import json

import cv2
import pytest

from fer_core.data.loading import load_faces
from fer_core.data.sources import DataSource
from fer_core.data.synthetic.plan import SUBJECT_PATTERN, RenderOptions, plan
from fer_core.data.synthetic.render import contact_sheet, render
from fer_core.errors import ConfigError, DataError

OPTIONS = RenderOptions(seed=3, children=2, train_children=1, train_adults=1, size=32)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("faces") / "set"
    seen = []
    made = render(out, OPTIONS, processes=1, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (made, made)
    return out


def test_the_number_of_processes_changes_no_byte(rendered, tmp_path):
    render(tmp_path / "again", OPTIONS, processes=2)
    assert contents(tmp_path / "again") == contents(rendered)


def test_a_complete_set_is_left_and_a_broken_one_is_finished(rendered):
    before = contents(rendered)
    assert render(rendered, OPTIONS, processes=1) == 0
    for path in sorted(rendered.rglob("*.jpg"))[:3]:
        path.unlink()
    mark = rendered / "synthetic.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"complete": False}))
    assert render(rendered, OPTIONS, processes=1) == 3
    assert contents(rendered) == before


def test_other_options_and_other_folders_are_refused(rendered, tmp_path):
    with pytest.raises(ConfigError, match="other options"):
        render(rendered, OPTIONS.model_copy(update={"seed": 4}), processes=1)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(DataError, match="no rendered set"):
        render(tmp_path, OPTIONS, processes=1)
    (tmp_path / "synthetic.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        render(tmp_path, OPTIONS, processes=1)


def test_the_adapters_read_what_the_renderer_writes(rendered, tmp_path):
    cafe = DataSource(layout="cafe", path=rendered / "cafe")
    train = [
        DataSource(layout="folders", path=rendered / kind, population=kind, subject_pattern=SUBJECT_PATTERN)
        for kind in ("children", "adults")
    ]
    people = plan(OPTIONS)
    evaluation = load_faces([cafe], 32, tmp_path)
    training = load_faces(train, 32, tmp_path)
    assert evaluation.synthetic
    assert training.synthetic
    assert not evaluation.skipped
    assert not training.skipped
    assert len(evaluation) == sum(len(person.photos) for person in people[:2])
    assert set(evaluation.populations) == {"children"}
    assert len(training) == 26
    assert training.class_counts.tolist() == [4, 4, 4, 4, 4, 4, 2]
    assert set(training.subjects) == {"C0001", "A0001"}
    assert not set(evaluation.subjects) & set(training.subjects)


def test_the_contact_sheet_shows_people_by_expressions(rendered, tmp_path):
    contact_sheet(rendered, OPTIONS, tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (4 * 32, 7 * 32, 3)
