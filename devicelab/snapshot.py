"""The state of the lab as one JSON text, so that a restart folds the latest events and not all of them."""

from pydantic import TypeAdapter

from devicelab.state import LabState

_ADAPTER: TypeAdapter[LabState] = TypeAdapter(LabState)


def encode_state(state: LabState) -> bytes:
    """Return *state* as JSON."""
    return _ADAPTER.dump_json(state)


def decode_state(content: bytes) -> LabState:
    """Return the state that :func:`encode_state` wrote.

    Raises:
        ValueError: *content* is no such text, or one of a version with other fields.
    """
    return _ADAPTER.validate_json(content)
