"""Each set with true file names: what its adapter says equals what the label table says."""

from collections import Counter

import pytest
from known_sets import CLIP_SECONDS, plant, truth

from fer_core.data.catalog import card
from fer_core.data.listing import list_source
from fer_core.data.sources import DataSource
from fer_core.labels import EXPRESSIONS

BY_NAME = ("jaffe", "kdef", "rafd", "nimh-chefs", "ddcf", "defss", "faces", "sfew", "raf-db")
AGE_IN_NAME = ("ddcf", "defss")


def listed(layout, root, **options):
    return list_source(DataSource(layout=layout, path=root, split="all", **options))


def classes(rows):
    return Counter(row["class"] for row in rows if row["class"] in EXPRESSIONS)


@pytest.mark.parametrize("layout", BY_NAME)
def test_every_name_is_understood_as_the_table_has_it(tmp_path, layout):
    rows = plant(layout, tmp_path)
    listing = listed(layout, tmp_path)
    assert listing.skipped == ()
    assert Counter(example.expression for example in listing.examples) == classes(rows)
    others = Counter(row["class"] for row in rows if row["class"] not in EXPRESSIONS)
    assert {dropped.label: dropped.count for dropped in listing.dropped} == others
    sexes = {row["name"]: row["gender"][:1].upper() for row in rows}
    if layout not in {"sfew", "raf-db"}:
        assert all(example.sex == sexes[example.path.name] for example in listing.examples)


@pytest.mark.parametrize("layout", sorted(set(BY_NAME) - {"sfew", "raf-db"}))
def test_subjects_are_the_tables(tmp_path, layout):
    """The table of NIMH-ChEFS takes F1H1A_3424 and M3-2SA_4764 for others than F1HA_3424 and M3SA_4764: one picture."""
    rows = [row for row in plant(layout, tmp_path) if row["class"] in EXPRESSIONS]
    told = {example.path.name: example.subject for example in listed(layout, tmp_path).examples}
    same_picture = {row["name"].rpartition("_")[2]: row["user_id"] for row in rows if layout == "nimh-chefs"}
    same_picture["3338.jpg"] = same_picture.get("3424.jpg", "")
    users = {row["name"]: same_picture.get(row["name"].rpartition("_")[2]) or row["user_id"] for row in rows}
    pairs = {(told[name], user) for name, user in users.items()}
    assert len({subject for subject, _ in pairs}) == len(pairs) == len({user for _, user in pairs})
    assert all(subject.startswith(f"{layout}:") for subject in told.values())


@pytest.mark.parametrize("layout", AGE_IN_NAME)
def test_ages_in_names_are_the_tables_and_decide_the_population(tmp_path, layout):
    ages = {row["name"]: float(row["age"]) for row in plant(layout, tmp_path)}
    for border in (13, 18):
        for example in listed(layout, tmp_path, age_border=border).examples:
            assert example.age == ages[example.path.name]
            assert example.population == ("children" if example.age < border else "adults")


def test_faces_tells_an_age_group_of_which_the_middle_is_taken(tmp_path):
    groups = {row["name"]: row["age"] for row in plant("faces", tmp_path)}
    listing = listed("faces", tmp_path)
    assert {example.age for example in listing.examples} == {25, 47, 74.5}
    assert all(abs(example.age - float(groups[example.path.name])) < 20 for example in listing.examples)
    assert "middle of the age group" in listing.notes[0]


def test_populations_that_a_set_states(tmp_path):
    kids = {row["name"]: row["age"] for row in plant("rafd", tmp_path / "rafd") if "_Kid_" in row["name"]}
    shown = {example.path.name: example for example in listed("rafd", tmp_path / "rafd").examples}
    assert kids
    assert all((example.population == "children") == (name in kids) for name, example in shown.items())
    assert {example.group for example in shown.values()} == {"Caucasian", "Moroccan"}
    for layout, population in (("nimh-chefs", "children"), ("kdef", "adults"), ("jaffe", "adults")):
        plant(layout, tmp_path / layout)
        assert {example.population for example in listed(layout, tmp_path / layout).examples} == {population}


@pytest.mark.parametrize("layout", ["sfew", "raf-db"])
def test_official_splits_are_the_tables(tmp_path, layout):
    rows = plant(layout, tmp_path)
    wanted = Counter(card(layout).splits and {"val": "validation"}.get(row["subset"], row["subset"]) for row in rows)
    assert Counter(example.split for example in listed(layout, tmp_path).examples) == wanted
    train = list_source(DataSource(layout=layout, path=tmp_path)).examples
    assert {example.split for example in train} == {"train"}


def test_raf_db_tells_sex_race_and_the_middle_of_an_age_group(tmp_path):
    rows = {row["name"]: row for row in plant("raf-db", tmp_path)}
    for example in listed("raf-db", tmp_path).examples:
        row = rows[example.path.name]
        age = float(row["age"])
        assert (example.sex, example.group) == (row["gender"][0].upper(), "Asian")
        assert example.age == next(
            m for m, end in ((1.5, 4), (11.5, 20), (29.5, 40), (54.5, 70), (70, 999)) if age < end
        )


def test_ck_plus_gives_the_first_and_the_last_frame_of_a_labelled_sequence(tmp_path):
    rows = sorted(plant("ck+", tmp_path), key=lambda row: row["name"])
    sequences = {}
    for row in rows:
        sequences.setdefault(row["name"].rsplit("_", 1)[0], []).append(row)
    ends = [row for sequence in sequences.values() for row in (sequence[0], sequence[-1])]
    listing = listed("ck+", tmp_path)
    assert Counter(example.expression for example in listing.examples) == classes(ends)
    assert {dropped.label: dropped.count for dropped in listing.dropped} == {
        "contempt": 2,
        "sequence without a label": 1,
    }
    assert {example.path.name for example in listing.examples} <= {row["name"] for row in ends}
    assert len({example.subject for example in listing.examples}) == len({row["user_id"] for row in rows})
    assert f"{len(rows) - len(ends)} frames between" in listing.notes[0]


@pytest.mark.parametrize("layout", ["fer2013", "ferplus"])
def test_rows_of_fer2013_are_numbered_and_a_table_of_ages_joins_them(tmp_path, layout):
    rows = plant(layout, tmp_path)
    ages = tmp_path / "ages.csv"
    ages.write_text("name,age\n" + "".join(f"{row['name']},{row['age']}\n" for row in truth("fer2013")))
    by_number = sorted(rows, key=lambda row: int(row["name"].split("_")[0]))
    examples = listed(layout, tmp_path, ages=ages).examples
    assert [example.frame for example in examples] == list(range(len(rows)))
    assert [example.expression for example in examples] == [row["class"] for row in by_number]
    assert [example.split for example in examples] == [row["subset"] for row in by_number]
    assert [example.age for example in examples] == [float(row["age"]) for row in by_number]
    children = sum(float(row["age"]) < 13 for row in rows)
    assert Counter(example.population for example in examples)["children"] == children > 0


def test_liris_clips_become_frames_with_the_label_of_the_clip(tmp_path):
    rows = plant("liris-cse", tmp_path)
    clips = {}
    for row in rows:
        clips.setdefault(row["name"].rpartition("_f")[0], []).append(row)
    listing = listed("liris-cse", tmp_path, frame_rate=3)
    single = {clip: told[0] for clip, told in clips.items() if len(told) == 1 and clip != "S8_fear_surpsrise"}
    shown = Counter((e.path.stem, e.expression, e.age, e.rate) for e in listing.examples)
    assert set(shown) == {(clip, row["class"], float(row["age"]), 3) for clip, row in single.items()}
    assert set(shown.values()) == {3 * CLIP_SECONDS}
    assert [e.frame for e in listing.examples[: 3 * CLIP_SECONDS]] == list(range(3 * CLIP_SECONDS))
    assert sum(dropped.count for dropped in listing.dropped) == len(clips) - len(single)
    assert {e.subject for e in listing.examples} == {f"liris-cse:{clip.split('_')[0]}" for clip in single}


def test_emoreact_keeps_clips_with_one_emotion_that_is_ours(tmp_path):
    rows = plant("emoreact", tmp_path)
    clips, splits = {}, {}
    for row in rows:
        clip = row["name"].rpartition("_f")[0]
        clips.setdefault(clip, set()).add(row["class"])
        splits[clip] = {"val": "validation"}.get(row["subset"], row["subset"])
    wanted = {clip: shown for clip, shown in clips.items() if len(shown) == 1 and shown < set(EXPRESSIONS)}
    listing = listed("emoreact", tmp_path)
    assert {(e.path.stem, e.expression, e.split) for e in listing.examples} == {
        (clip, *shown, splits[clip]) for clip, shown in wanted.items()
    }
    assert len({e.subject for e in listing.examples}) == len(wanted)
    dropped = {item.label: item.count for item in listing.dropped}
    assert dropped["several emotions"] == sum(len(shown) > 1 for shown in clips.values())
    assert dropped["curiosity"] == sum(shown == {"curiosity"} for shown in clips.values())
    assert any("'" in e.path.name for e in listing.examples) == any("'" in clip for clip in wanted)
