"""The seven expressions, in the one order that every array of this project uses."""

from typing import Literal

Expression = Literal["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]

EXPRESSIONS: tuple[Expression, ...] = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "neutral",
    "sadness",
    "surprise",
)
"""Index in this tuple = class index in labels, logits and confusion matrices."""

_OWN: dict[str, Expression] = {expression: expression for expression in EXPRESSIONS}


def as_expression(label: str) -> Expression | None:
    """Return *label* as an expression, or ``None`` if it is none of the seven."""
    return _OWN.get(label)
