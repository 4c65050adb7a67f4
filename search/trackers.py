"""Where else a study is shown: in MLflow and TensorBoard, as ``[tracking]`` in study.toml says it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from fer_core.specs import Spec
from search.errors import ConfigError

PACKAGES = {"mlflow": ("mlflow", "mlflow-skinny"), "tensorboard": ("tensorboardX", "tensorboardX")}
"""What each key needs: a module, and the package that brings it. Both are in the extra ``tracking``."""


class TrackingConfig(Spec):
    """Who is told about the trials. It belongs to no study's meaning, and may change between runs.

    ``mlflow`` is a tracking URI, such as ``"http://mlflow:5000"``; the experiment has the study's name. ``models``
    sends the .tflite of each complete trial there too. ``tensorboard`` is a folder of logs, or ``true`` for one in the
    study's own.
    """

    mlflow: Annotated[str, Field(min_length=1)] | None = None
    models: bool = False
    tensorboard: bool | Path = False

    @field_validator("mlflow", mode="after")
    @classmethod
    def _without_a_password(cls, uri: str | None) -> str | None:
        if uri is not None and urlsplit(uri).password:
            raise ValueError("a password has no place here; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        return uri

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be told."""
        return self.mlflow is not None or self.tensorboard is not False

    def below(self, root: Path) -> Self:
        """Return this with *root* before a relative path."""
        if isinstance(self.tensorboard, bool):
            return self
        return self.model_copy(update={"tensorboard": root / self.tensorboard})

    def check_packages(self) -> None:
        """Refuse, before anything starts, what needs a package that is not here.

        Raises:
            ConfigError: it says which, and how to get it.
        """
        wanted = {"mlflow": self.mlflow is not None, "tensorboard": self.tensorboard is not False}
        for key, (module, package) in PACKAGES.items():
            if wanted[key] and find_spec(module) is None:
                raise ConfigError(
                    f"tracking.{key}: needs {package}, which is not installed here; make tracking, or "
                    f"pip install {package}; or leave the key out"
                )
