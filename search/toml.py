"""From a TOML file to a strict value, with every mistake told in one line: ``file: dotted.key: reason``."""

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search.errors import ConfigError

UNION_TAGS = frozenset({"value", "choices", "range", "one", "each"})
"""Names of union branches (``Tag``) that pydantic puts into the place of an error; nobody wrote them in the file."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of the TOML file at *path*.

    Raises:
        ConfigError: the file is missing, unreadable, not UTF-8 or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a study's TOML file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {' '.join(str(error).split())}") from None


def validated[Model: BaseModel](model: type[Model], tables: dict[str, Any], path: Path) -> Model:
    """Return *tables* as a *model*; *path* is only named in messages.

    Raises:
        ConfigError: ``file: dotted.key: reason`` of the first mistake, and how many others there are.
    """
    try:
        return model.model_validate(tables)
    except ValidationError as error:
        mistakes = sorted(error.errors(include_url=False), key=lambda mistake: mistake["type"] != "extra_forbidden")
        first = mistakes[0]  # a misspelt key first: it explains the key that is missing beside it
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        place = dotted(first["loc"])
        raise ConfigError(f"{path}: {place}{': ' if place else ''}{_reason(first, model)}{more}") from None


def dotted(place: Sequence[str | int]) -> str:
    """Write the place of an error as the user would: ``("space", "clusters", 1)`` -> ``space.clusters[1]``."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part not in UNION_TAGS and part != "[key]":
            text += f".{part}" if text else part
    return text


def _reason(mistake: ErrorDetails, model: type[BaseModel]) -> str:
    given = mistake["input"]
    match mistake["type"]:
        case "extra_forbidden":
            known = _keys_at(model, mistake["loc"][:-1])
            guess = _guess(str(mistake["loc"][-1]), known)
            return "unknown key; " + (guess or f"choose one of {', '.join(known)}")
        case "missing":
            return "missing; this key must be set"
        case "literal_error":
            choices = [choice.strip(" '") for choice in mistake["ctx"]["expected"].replace(" or ", ",").split(",")]
            guess = _guess(str(given), choices)
            return f"unknown {given!r}; choose one of {', '.join(choices)}{f' ({guess})' if guess else ''}"
        case "too_short":
            return "an empty list; give at least one"
        case "value_error":
            return str(mistake["ctx"]["error"])
        case _:
            message = mistake["msg"][0].lower() + mistake["msg"][1:]
            return message if isinstance(given, dict | list | tuple) else f"{message}, got {given!r}"


def _guess(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


def _keys_at(model: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """Return the keys that the model at *place* below *model* knows."""
    here = [model]
    for part in place:
        if isinstance(part, str) and part not in UNION_TAGS:
            fields = [one.model_fields[part].annotation for one in here if part in one.model_fields]
            here = [found for annotation in fields for found in _models_in(annotation)]
    return [name for one in here for name in one.model_fields]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation may stand here
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(getattr(annotation, "__value__", annotation)):
        yield from _models_in(argument)
