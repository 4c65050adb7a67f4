import pyarrow as pa
import pytest
from known_sets import image, text
from pyarrow import parquet

from fer_core.data.adapters.rows import read_rows, years
from fer_core.data.adapters.table import list_table
from fer_core.data.listing import list_source
from fer_core.data.sources import DataSource, TableColumns
from fer_core.errors import DataError


@pytest.fixture
def frames(tmp_path):
    for number in range(1, 7):
        image(tmp_path / "frames" / f"{number}.jpg")
    return tmp_path


def test_a_table_tells_everything_and_each_bad_row_is_told_with_its_line(frames):
    table = frames / "frames.csv"
    text(
        table,
        "\ufeffpath,expression,subject,age,group,split",
        "frames/1.jpg,Happy,c1,8-10,EA,train",
        "frames/2.jpg,surprised,c2,5.5,SA,val",
        "frames/3.jpg,contempt,c2,5,SA,test",
        "frames/4.jpg,sad,c3,young,SA,test",
        "frames/99.jpg,sad,c3,4,SA,test",
        ",sad",
        'frames/5.jpg,"fear"',
        "frames/6.jpg,9,,,,",
    )
    listing = list_table(table, TableColumns())
    first, second, third = listing.examples
    assert (first.expression, first.subject, first.age, first.group, first.split) == (
        "happiness",
        "c1",
        9,
        "EA",
        "train",
    )
    assert (second.age, second.split) == (5.5, "validation")
    assert (third.expression, third.subject, third.age, third.split) == ("fear", "", None, "")
    assert {d.label: d.count for d in listing.dropped} == {"contempt": 1, "9": 1}
    assert {s.path.rpartition(":")[2]: s.reason.split(":")[0] for s in listing.skipped} == {
        "5": "age 'young' is neither a number of years nor a range like 8-10",
        "6": "no such image",
        "7": "no such image",
    }
    assert listing.notes == ("1 ages are ranges: their middle is taken",)


def test_columns_can_be_named_and_parquet_reads_the_same(frames):
    content = pa.table({"file": ["frames/1.jpg", "frames/2.jpg"], "label": ["angry", None], "years": [7, 40]})
    parquet.write_table(content, frames / "frames.parquet")
    columns = TableColumns(path="file", expression="label", age="years")
    listing = list_table(frames / "frames.parquet", columns)
    assert [(e.expression, e.age) for e in listing.examples] == [("anger", 7)]
    assert [d.label for d in listing.dropped] == ["no label"]
    with pytest.raises(DataError, match=r"has no column 'path' .it has: file, label, years"):
        list_table(frames / "frames.parquet", TableColumns())


def test_a_folder_with_one_table_will_do_with_two_it_must_be_named(frames):
    text(frames / "a.csv", "path,expression", "frames/1.jpg,joy")
    assert len(list_table(frames, TableColumns()).examples) == 1
    text(frames / "b.csv", "path,expression")
    with pytest.raises(DataError, match=r"there is: a.csv, b.csv"):
        list_table(frames, TableColumns())
    (frames / "c.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list_table(frames / "c.parquet", TableColumns())


def test_populations_follow_the_age_border_and_paths_may_not_leave_the_folder(frames):
    text(
        frames / "frames" / "t.csv",
        "path,expression,age",
        "1.jpg,happy,12.9",
        "2.jpg,happy,13",
        "../outside.jpg,sad,5",
        "3.jpg,sad,",
    )
    image(frames / "outside.jpg")
    source = DataSource(layout="table", path=frames / "frames" / "t.csv", population="adults")
    listing = list_source(source)
    assert [e.population for e in listing.examples] == ["children", "adults", "adults"]
    assert "leads out of" in listing.skipped[0].reason
    older = list_source(source.model_copy(update={"age_border": 18.0}))
    assert [e.population for e in older.examples] == ["children", "children", "adults"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("8", (8, False)),
        (" 8.5 ", (8.5, False)),
        ("8-10", (9, True)),
        ("8 \u2013 11", (9.5, True)),
        ("4 to 6", (5, True)),
        ("-1", None),
        ("", None),
        ("70+", None),
        ("ten", None),
        ("8-", None),
    ],
)
def test_ages_as_people_write_them(said, meant):
    assert years(said) == meant


def test_a_file_that_is_no_table_is_refused_with_its_name(tmp_path):
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    with pytest.raises(DataError, match=r"picture.csv: cannot be read as a table"):
        list(read_rows(tmp_path / "picture.csv", ["path"]))
    with pytest.raises(DataError, match="cannot be read as a table"):
        list(read_rows(tmp_path / "nowhere.csv", ["path"]))
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match="has no column 'path'"):
        list(read_rows(tmp_path / "empty.csv", ["path"]))
