"""A candidate: one point of the search space, as a light value with a digest."""

import hashlib
import json
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from fer_core.specs import ArchitectureSpec, CompressionSpec, DeploymentSpec, Spec, TrainingSpec


def digest_of(*parts: BaseModel | dict[str, Any] | str | int | None) -> str:
    """Return the hex SHA-256 of *parts* as canonical JSON; equal values give equal digests in every process."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Candidate(Spec):
    """Which network, trained how and on whom, compressed how, deployed how."""

    architecture: ArchitectureSpec
    training: TrainingSpec
    compression: CompressionSpec
    deployment: DeploymentSpec

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all four specs; two trials with the same digest are the same trial."""
        return digest_of(self)
