from pathlib import Path

import pytest
from pydantic import ValidationError

from fer_core.data.sources import DataSource


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"layout": "folders", "subject_pattern": "("}, "not a regular expression"),
        ({"layout": "folders", "subject_pattern": "x"}, "needs a named group"),
        ({"layout": "folders", "subject_pattern": "(?P<subject>x)(?P<age>y)"}, "not age"),
        ({"layout": "cafe", "subject_pattern": "(?P<subject>x)"}, "belongs to layout 'folders'"),
        ({"layout": "cafe", "population": "adults"}, "children only"),
        ({"layout": "zip"}, "'cafe', 'fer2013', "),
        ({"layout": "kdef", "frame_rate": 3}, "belongs to layout 'emoreact' or 'liris-cse', not to 'kdef'"),
        ({"layout": "rafd", "columns": {"path": "file"}}, "belongs to layout 'table'"),
        ({"layout": "kdef", "age_border": 0}, "greater than 0"),
        ({"layout": "cafe", "pathh": "x"}, "Extra inputs"),
    ],
)
def test_sources_that_cannot_be_right_are_refused(fields, reason):
    with pytest.raises(ValidationError, match=reason):
        DataSource(path=Path("faces"), **fields)


def test_a_source_survives_json():
    source = DataSource(
        layout="folders", path=Path("faces"), population="children", subject_pattern="(?P<subject>C\\d+)"
    )
    assert DataSource.model_validate_json(source.model_dump_json()) == source
