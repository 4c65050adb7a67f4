"""Typed view of a cluster definition: the keys of Ray's own cluster YAML that this room acts on."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.errors import ProfileError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Provider(_Strict):
    """Where the machines come from. ``local`` = this very machine, no ssh."""

    type: Literal["local"]
    head_ip: Literal["127.0.0.1", "localhost"] = "127.0.0.1"


class NodeResources(_Strict):
    """What the head node offers to Ray; ``None`` lets Ray count the cores and GPUs itself."""

    CPU: Annotated[int, Field(ge=1)] | None = None
    GPU: Annotated[int, Field(ge=0)] | None = None


class NodeType(_Strict):
    """One kind of machine in the definition."""

    resources: NodeResources = NodeResources()


class ClusterProfile(_Strict):
    """A cluster definition in Ray's YAML format.

    Source: https://docs.ray.io/en/latest/cluster/vms/references/ray-cluster-configuration.html. ``head_port`` is
    ours (Ray keeps it inside the start command): the port of Ray's GCS, 0 = a free one.
    """

    cluster_name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    provider: Provider
    available_node_types: dict[Literal["head"], NodeType] = {"head": NodeType()}
    head_port: Annotated[int, Field(ge=0, le=65535)] = 0

    @property
    def head(self) -> NodeResources:
        """Resources of the head node."""
        return self.available_node_types["head"].resources


def load_profile(name_or_path: str) -> ClusterProfile:
    """Read a definition by the name of a shipped one (``local``) or by path.

    Raises:
        ProfileError: no such definition, not YAML, or a key that is unknown or out of range.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        path = Path(str(resources.files("cluster") / "definitions" / f"{name_or_path}.yaml"))
    try:
        return ClusterProfile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        shipped = sorted(entry.name[:-5] for entry in path.parent.glob("*.yaml"))
        raise ProfileError(
            f"{name_or_path}: no such cluster definition; shipped: {', '.join(shipped) or 'none'}"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProfileError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(file)"
        raise ProfileError(f"{path}: {key}: {first['msg']}") from error
