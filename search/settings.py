"""What stands for a number in study.toml: one, a list to choose from, or a range."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from fer_core.specs import Spec


class Range(Spec):
    """Numbers from ``low`` to ``high``, both included; in steps, or on a logarithmic scale, or neither."""

    low: float
    high: float
    step: Annotated[float, Field(gt=0)] | None = None
    log: bool = False

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"impossible range: low ({self.low:g}) must be below high ({self.high:g})")
        if self.log and self.step is not None:
            raise ValueError("a range has a step or is logarithmic, not both")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range starts above 0, got low = {self.low:g}")
        if self.step is not None:
            steps = (self.high - self.low) / self.step
            if abs(steps - round(steps)) > 1e-9 * max(1.0, steps):
                raise ValueError(f"high ({self.high:g}) is not low ({self.low:g}) plus whole steps of {self.step:g}")
        return self


def _kind(value: object) -> str:
    if isinstance(value, dict | Range):
        return "range"
    return "choices" if isinstance(value, list | tuple) else "value"


def distinct[T](choices: tuple[T, ...]) -> tuple[T, ...]:
    """Return *choices*; refuse one that is listed twice."""
    if len(set(choices)) < len(choices):
        raise ValueError("a choice is listed twice")
    return choices


type Setting = Annotated[
    Annotated[float, Tag("value")]
    | Annotated[tuple[float, ...], Field(min_length=1), AfterValidator(distinct), Tag("choices")]
    | Annotated[Range, Tag("range")],
    Discriminator(_kind),
]
"""A number, a list of numbers to choose from, or a range ``{low, high, step | log}``."""


def ends_of(setting: Setting) -> tuple[float, float]:
    """Return the lowest and the highest number that *setting* may be."""
    numbers = (setting.low, setting.high) if isinstance(setting, Range) else _numbers(setting)
    return min(numbers), max(numbers)


def check_setting(setting: object, owner: type[Spec], key: str) -> None:
    """Refuse a *setting* with a number that the field *key* of *owner* would refuse."""
    field = owner.model_fields[key]
    annotation: Any = Annotated[field.annotation, field]
    adapter: TypeAdapter[object] = TypeAdapter(annotation)
    for number in _numbers(setting):
        try:
            adapter.validate_python(number)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise ValueError(f"{message[0].lower()}{message[1:]}, got {number:g}") from None


def _numbers(setting: object) -> tuple[float, ...]:
    """Return every number that stands in *setting*."""
    match setting:
        case Range(low=low, high=high, step=step):
            return (low, high) if step is None else (low, high, step)
        case tuple():
            return setting
        case _:
            return (float(str(setting)),)
