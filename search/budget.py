"""How much a study may spend, and how long a stage of a trial may take: what a resumption may change."""

from typing import Annotated, Literal

from pydantic import Field

from fer_core.specs import Spec

type Stage = Literal["draft", "measure", "train", "export", "score"]
"""The stages of a trial, by the names under which their seconds are added up (``search.pipeline``)."""

type Minutes = Annotated[float, Field(gt=0)]


class Budget(Spec):
    """How much a study may spend; the only part, with ``Limits``, that a resumption may change.

    ``trials`` counts every trial that was handed out, in all runs together. ``wall_minutes`` bounds
    one run: no trial starts after it.
    """

    trials: Annotated[int, Field(ge=1)] = 20
    concurrency: Annotated[int, Field(ge=1)] = 2
    wall_minutes: Minutes | None = None


class Limits(Spec):
    """How many minutes a stage of one trial may take before it counts as hung; ``train`` is for one epoch.

    Generous: they are there for what would never end. Waiting for another trial that computes the same does not count,
    waiting for a phone does (``measure``), hence a day.
    """

    draft: Minutes = 30
    measure: Minutes = 1440
    train: Minutes = 120
    export: Minutes = 120
    score: Minutes = 60
