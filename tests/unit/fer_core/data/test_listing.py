import pytest

from fer_core.data.listing import list_source
from fer_core.data.sources import DataSource
from fer_core.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("happy/1.jpg", "sad/2.jpg"):
        path = tmp_path / "faces" / "train" / name
        path.parent.mkdir(parents=True)
        path.touch()
    return tmp_path / "faces"


def test_a_source_says_whom_it_shows_where_nothing_else_does(folder):
    def shown(**fields):
        return {example.population for example in list_source(DataSource(path=folder, **fields)).examples}

    assert shown(layout="folders", population="adults") == {"adults"}
    assert shown(layout="folders") == {""}


def test_a_link_that_leads_out_of_the_folder_is_skipped_with_the_reason(folder, tmp_path):
    (tmp_path / "private.jpg").touch()
    (folder / "train" / "sad" / "link.jpg").symlink_to(tmp_path / "private.jpg")
    (folder / "train" / "sad" / "inside.jpg").symlink_to(folder / "train" / "sad" / "2.jpg")
    listing = list_source(DataSource(layout="folders", path=folder))
    assert [example.path.name for example in listing.examples] == ["1.jpg", "2.jpg", "inside.jpg"]
    (skipped,) = listing.skipped
    assert skipped.path.endswith("link.jpg")
    assert "leads out of" in skipped.reason


def test_a_linked_class_folder_is_skipped_too(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "3.jpg").touch()
    (folder / "train" / "fear").symlink_to(tmp_path / "elsewhere")
    listing = list_source(DataSource(layout="folders", path=folder))
    assert len(listing.examples) == 2
    assert len(listing.skipped) == 1


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert len(list_source(DataSource(layout="folders", path=tmp_path / "link")).examples) == 2


def test_a_split_that_is_not_there_is_refused_with_what_is(folder):
    with pytest.raises(DataError, match="there is: train"):
        list_source(DataSource(layout="folders", path=folder, split="test"))


def test_a_table_of_ages_gives_ages_by_name_and_must_be_of_these_images(folder, tmp_path):
    ages = tmp_path / "ages.csv"
    ages.write_text("set,name,age\nx,1.jpg,12\nx,2.jpg,-1\nx,3.jpg,40\n")
    source = DataSource(layout="folders", path=folder, ages=ages, population="adults")
    listing = list_source(source)
    assert [(e.age, e.population) for e in listing.examples] == [(12, "children"), (None, "adults")]
    assert listing.notes == ("1 of 2 images have an age from ages.csv",)
    ages.write_text("name,age\n99.jpg,12\n")
    with pytest.raises(DataError, match=r"ages.csv: tells no age of any of the 2 images, like '1.jpg'"):
        list_source(source)
    ages.write_text("name,years\n1.jpg,12\n")
    with pytest.raises(DataError, match="has no column 'age'"):
        list_source(source)
