"""Where faces come from, as a value that stands in a study.toml. Light: pydantic only."""

import re
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from fer_core.specs import Population, Spec


class DataSource(Spec):
    """One folder of photographs and how to read it.

    ``layout`` is ``"cafe"`` (``sessions/<id>/<number>-<expression>[open]_<F|M>-<ETH>-<NN>.jpg``, always
    children) or ``"folders"`` (``<path>/<split>/<label>/<name>``). ``split`` and ``subject_pattern`` belong to
    ``"folders"``: the latter is a regular expression, searched in ``<label>/<name>``, with a named group
    ``subject`` and, if the names tell, ``group`` and ``sex``. ``population`` says whom a ``"folders"``
    source shows; ``"all"`` means mixed or unknown. ``pacific_islanders`` is the group that CAFE's
    code PI is counted in: the published group sizes put it inside Asian (AS).
    """

    layout: Literal["cafe", "folders"]
    path: Path
    split: str = "train"
    population: Population = "all"
    subject_pattern: str | None = None
    pacific_islanders: Literal["AS", "PI"] = "AS"

    @field_validator("subject_pattern")
    @classmethod
    def _pattern_compiles(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            names = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if "subject" not in names:
            raise ValueError("needs a named group (?P<subject>...)")
        if unknown := set(names) - {"subject", "group", "sex"}:
            raise ValueError(f"knows the named groups subject, group and sex, not {', '.join(sorted(unknown))}")
        return value

    @model_validator(mode="after")
    def _keys_belong_to_the_layout(self) -> "DataSource":
        if self.layout == "cafe" and self.subject_pattern is not None:
            raise ValueError("subject_pattern belongs to layout 'folders'; CAFE's names tell the subject themselves")
        if self.layout == "cafe" and self.population == "adults":
            raise ValueError("population: CAFE shows children only")
        return self
