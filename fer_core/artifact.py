"""An exported .tflite as a value: where it is, its digest, its size, its input."""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fer_core.specs import Quantization


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of the file at *path*, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Artifact(BaseModel):
    """One .tflite file by its content.

    ``size`` is in bytes. ``input_size`` is the side of the square RGB input in pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    digest: str
    size: int
    input_size: int
    quantization: Quantization
