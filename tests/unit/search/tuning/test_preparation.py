"""What is refused before a study starts."""

from pathlib import Path

import numpy as np
import pytest

from fer_core.data.faces import FaceSet
from search.errors import ConfigError
from search.tuning.preparation import check_groups


def _faces(groups: dict[str, int]) -> FaceSet:
    """Two images of each subject; *groups* tells how many subjects each group has."""
    names = np.array([f"{g}{i}" for g, n in groups.items() for i in range(n)], dtype=np.str_)
    labels = np.array([g for g, n in groups.items() for _ in range(n)], dtype=np.str_)
    count = 2 * len(names)
    return FaceSet(
        images=np.zeros((count, 8, 8, 3), dtype=np.uint8),
        labels=np.zeros(count, dtype=np.int64),
        subjects=names.repeat(2),
        groups=labels.repeat(2),
        populations=np.full(count, "children"),
        mouth_open=np.full(count, -1, dtype=np.int8),
        digest="0",
    )


def test_two_large_groups_in_each_half_are_enough_for_a_gap() -> None:
    check_groups(_faces({"AA": 22, "EA": 30, "LA": 4}), Path("study.toml"))


@pytest.mark.parametrize("groups", [{"": 60}, {"EA": 60}, {"EA": 60, "AA": 14}, {"EA": 1}])
def test_a_gap_without_two_large_groups_is_refused(groups: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"study\.toml: objectives: 'gap' needs two groups of at least ten subjects"):
        check_groups(_faces(groups), Path("study.toml"))
