"""Who proposes the candidates of a study, as study.toml says it; what a resumption may change."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from fer_core.specs import Spec


class SamplerConfig(Spec):
    """Who proposes candidates, after ``startup_trials`` that cover the space evenly.

    ``"tpe"``, ``"nsga2"`` and ``"random"`` are Optuna's (``search.sampling``): the first is right for most studies;
    evolution needs hundreds of trials. ``"gp"``, Gaussian processes (``search.acquisition``), learns most from few:
    right where trainings are dear. It takes some tenths of a second a trial and begins when every objective is known
    twice. ``"staged"`` is a plan instead (``search.staged``); it has as many trials as it needs, at most
    ``budget.trials``.

    ``cost_aware`` TPE and Gaussian processes prefer, of equal promise, what costs less after what earlier trials have
    computed (``search.thrift``); the others pay no attention to it.
    """

    name: Literal["tpe", "nsga2", "gp", "random", "staged"] = "tpe"
    startup_trials: Annotated[int, Field(ge=0)] = 10
    cost_aware: bool = True


class WarmStart(Spec):
    """Another study of the same space whose trials the sampler knows from the beginning (``search.warm_start``).

    ``study`` is its folder. What it knows is copied when this study is opened.
    """

    study: Path
