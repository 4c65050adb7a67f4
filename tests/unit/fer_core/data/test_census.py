import os
from io import StringIO

import pytest
from known_sets import image, plant, truth
from rich.console import Console

from fer_core.data.census import AGE_BANDS, Census, census
from fer_core.data.listing import list_source
from fer_core.data.showing import census_page
from fer_core.data.sources import DataSource


def printed(found):
    return "\n".join(str(part) for part in census_page(found))


def test_rows_add_up_by_class_population_group_and_age(tmp_path):
    plant("ddcf", tmp_path)
    found = census(DataSource(layout="ddcf", path=tmp_path))
    rows = [row for row in truth("ddcf") if row["class"] != "pleased"]
    assert found.images == len(rows) == sum(row.images for row in found.rows)
    assert found.by_class == {name: sum(row.by_class[name] for row in found.rows) for name in found.by_class}
    bands = {(row.population, row.group, row.age_band): row.images for row in found.rows}
    ages = [float(row["age"]) for row in rows]
    assert bands == {
        ("children", "Caucasian", "6-12"): sum(age < 13 for age in ages),
        ("adults", "Caucasian", "13-17"): sum(age >= 13 for age in ages),
    }
    assert found.subjects == len({row["user_id"] for row in rows})


@pytest.mark.parametrize(
    ("age", "band"), [(0, "0-5"), (5.9, "0-5"), (6, "6-12"), (12.9, "6-12"), (13, "13-17"), (18, "18-59"), (60, "60+")]
)
def test_age_bands(tmp_path, age, band):
    image(tmp_path / "1.jpg")
    (tmp_path / "faces.csv").write_text(f"path,expression,age\n1.jpg,happy,{age}\n")
    assert [row.age_band for row in census(DataSource(layout="table", path=tmp_path)).rows] == [band]
    assert band in AGE_BANDS


def test_a_complete_copy_is_called_so_and_a_difference_is_a_warning(tmp_path):
    for subject in ("KA", "KL"):
        image(tmp_path / f"{subject}.AN1.1.tiff")
    found = census(DataSource(layout="jaffe", path=tmp_path))
    told = {item.what: (item.found, item.expected) for item in found.differences}
    assert told["images"] == (2, 213)
    assert told["subjects"] == (2, 10)
    assert told["anger"] == (2, 30)
    assert "warning: not what a complete copy has: images 2, not 213; subjects 2, not 10" in printed(found)
    assert "complete: every number" in printed(found.model_copy(update={"differences": ()}))


def test_a_part_of_a_set_is_not_compared_with_the_whole(tmp_path):
    plant("sfew", tmp_path)
    assert census(DataSource(layout="sfew", path=tmp_path)).differences is None
    assert census(DataSource(layout="sfew", path=tmp_path, split="all")).differences


def test_published_groups_of_cafe_are_compared_only_if_counted_the_same_way(tmp_path):
    plant("cafe", tmp_path)
    for mapping, compared in (("AS", True), ("PI", False)):
        found = census(DataSource(layout="cafe", path=tmp_path, pacific_islanders=mapping))
        assert any("group" in item.what for item in found.differences) is compared
        assert {row.group for row in found.rows} == {"AA", "EA", mapping}


def test_rows_of_a_table_and_frames_of_videos_are_counted(tmp_path):
    plant("fer2013", tmp_path / "fer")
    plant("liris-cse", tmp_path / "liris")
    assert census(DataSource(layout="fer2013", path=tmp_path / "fer", split="all")).images == len(truth("fer2013"))
    source = DataSource(layout="liris-cse", path=tmp_path / "liris", frame_rate=1)
    found = census(source)
    assert found.images == len(list_source(source).examples)
    assert "clips" in {item.what for item in found.differences}


def test_broken_images_and_dropped_labels_are_told_one_line_each(tmp_path):
    plant("rafd", tmp_path)
    (tmp_path / "line\nbreak.jpg").touch()
    (tmp_path / os.fsdecode(b"latin-\xe9.jpg")).touch()
    name = next(row["name"] for row in truth("rafd") if row["class"] != "contempt")
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:200])
    found = census(DataSource(layout="rafd", path=tmp_path))
    assert {item.path for item in found.skipped} == {
        str(tmp_path / name),
        str(tmp_path / r"line\nbreak.jpg"),
        str(tmp_path / r"latin-\udce9.jpg"),
    }
    assert Census.model_validate_json(found.model_dump_json()) == found
    text = printed(found)
    assert "dropped: 2 labelled 'contempt', e.g. " in text
    assert "3 file(s) skipped" in text
    assert r"line\nbreak.jpg: name is not of the form" in text


def test_what_a_table_says_is_printed_as_it_is(tmp_path):
    image(tmp_path / "1.jpg")
    (tmp_path / "faces.csv").write_text("path,expression,group\n1.jpg,happy,[red]a[/red]\n1.jpg,[bold]calm,\n")
    with StringIO() as stream:
        Console(file=stream, width=160).print(*census_page(census(DataSource(layout="table", path=tmp_path))))
        told = stream.getvalue()
    assert "\u2502 [red]a[/red] \u2502" in told
    assert "1 labelled '[bold]calm'" in told


def test_a_long_list_of_skipped_files_is_cut(tmp_path):
    plant("jaffe", tmp_path)
    for number in range(60):
        (tmp_path / f"{number}.jpg").touch()
    text = printed(census(DataSource(layout="jaffe", path=tmp_path)))
    assert "... and 10 more: --json lists them all" in text
