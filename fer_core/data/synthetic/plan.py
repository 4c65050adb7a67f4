"""Options -> who is photographed how, and where each photograph goes. Pure: no file is touched."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from fer_core.data.synthetic.identity import Kind
from fer_core.labels import EXPRESSIONS, Expression
from fer_core.specs import Spec

RENDERER = 1
"""Version of the renderer: pictures of another version count as made with other options."""

CHILDREN_BY_GROUP = {"AA": 27, "AS": 15, "EA": 77, "LA": 23, "PI": 1, "SA": 11}
"""CAFE's 154 children (LoBue & Thrasher 2015); its 16 Asian children include the Pacific Islander."""

GIRLS = 90 / 154
"""Share of girls in CAFE."""

PHOTOS_BY_CLASS: dict[Expression, int] = {
    "anger": 205,
    "disgust": 191,
    "fear": 140,
    "happiness": 215,
    "neutral": 230,
    "sadness": 108,
    "surprise": 103,
}
"""About CAFE's photographs by class, sum 1,192. Only the sum is published; the classes are from memory."""

CAFE_WORDS: dict[Expression, str] = {
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprise",
}
FOLDER_WORDS: dict[Expression, str] = CAFE_WORDS | {"fear": "fear"}

SUBJECT_PATTERN = r"(?P<subject>[AC]\d+)_(?P<sex>[FM])-(?P<group>[A-Z]{2})"
"""The ``subject_pattern`` of the rendered training sets (names like ``happy/C0007_F-EA_03.jpg``)."""

POSES: tuple[tuple[Expression, bool], ...] = tuple(
    (expression, mouth_open)
    for expression in EXPRESSIONS
    for mouth_open in (False, True)
    if mouth_open or expression != "surprise"
)
"""The 13 combinations of expression and open mouth that CAFE asked for: surprise is always open."""


class RenderOptions(Spec):
    """What decides a rendered set. Counts are subjects; every training subject shows all 13 combinations."""

    seed: Annotated[int, Field(ge=0)] = 0
    children: Annotated[int, Field(ge=1, le=5000)] = 154
    train_children: Annotated[int, Field(ge=0, le=5000)] = 115
    train_adults: Annotated[int, Field(ge=0, le=5000)] = 115
    size: Annotated[int, Field(ge=32, le=512)] = 128


@dataclass(frozen=True, slots=True)
class Photo:
    """One picture to make: where (relative to the output folder), with which face, from which seed."""

    path: str
    expression: Expression
    mouth_open: bool
    seed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """One subject to render and the photographs of it."""

    name: str
    group: str
    kind: Kind
    sex: str
    seed: tuple[int, ...]
    photos: tuple[Photo, ...]


def plan(options: RenderOptions) -> tuple[Person, ...]:
    """Return everybody in the three sets: evaluation children, training children, training adults.

    Nobody is in two sets: the seeds of the sets differ, so the people do.
    """
    return (
        *_evaluation(options),
        *_training(options, 1, "child", options.train_children),
        *_training(options, 2, "adult", options.train_adults),
    )


def apportion(count: int, sizes: dict[str, int]) -> list[str]:
    """Return *count* group names in proportion to *sizes*, by largest remainders, sorted by group."""
    total = sum(sizes.values())
    exact = {group: count * size / total for group, size in sizes.items()}
    seats = {group: int(share) for group, share in exact.items()}
    by_remainder = sorted(sizes, key=lambda group: (seats[group] - exact[group], group))
    for group in by_remainder[: count - sum(seats.values())]:
        seats[group] += 1
    return [group for group in sorted(sizes) for _ in range(seats[group])]


def _evaluation(options: RenderOptions) -> list[Person]:
    rng = np.random.default_rng((options.seed, 0))
    people: list[Person] = []
    counted: dict[str, int] = {}
    number = 9000
    for index, group in enumerate(apportion(options.children, CHILDREN_BY_GROUP)):
        seed, sex = (options.seed, 0, index), _sex(index)
        counted[sex + group] = counted.get(sex + group, 0) + 1
        name = f"{sex}-{group}-{counted[sex + group]:02d}"
        photos = []
        for pose, (expression, mouth_open) in enumerate(_posed(rng)):
            number += 1
            word = CAFE_WORDS[expression] + ("open" if mouth_open and expression != "surprise" else "")
            path = f"cafe/sessions/{6200 + index}/{number}-{word}_{name}.jpg"
            photos.append(Photo(path, expression, mouth_open, (*seed, pose + 1)))
        people.append(Person(name, group, "child", sex, seed, tuple(photos)))
    return people


def _posed(rng: np.random.Generator) -> list[tuple[Expression, bool]]:
    """Draw which of the 13 combinations one child's photographs came out well for: about 7.7, at least one."""
    drawn = rng.random(len(POSES))
    chance = [PHOTOS_BY_CLASS[e] / 154 / (1 if e == "surprise" else 2) for e, _ in POSES]
    kept = [pose for pose, value, limit in zip(POSES, drawn, chance, strict=True) if value < limit]
    return kept or [POSES[int(np.argmin(drawn))]]


def _training(options: RenderOptions, code: int, kind: Kind, count: int) -> list[Person]:
    people: list[Person] = []
    folder, letter = ("children", "C") if kind == "child" else ("adults", "A")
    groups = {group: size for group, size in CHILDREN_BY_GROUP.items() if group != "PI"}
    for index, group in enumerate(apportion(count, groups)):
        seed, sex, name = (options.seed, code, index), _sex(index), f"{letter}{index + 1:04d}"
        photos = tuple(
            Photo(
                f"{folder}/train/{FOLDER_WORDS[expression]}/{name}_{sex}-{group}_{pose + 1:02d}.jpg",
                expression,
                mouth_open,
                (*seed, pose + 1),
            )
            for pose, (expression, mouth_open) in enumerate(POSES)
        )
        people.append(Person(name, group, kind, sex, seed, photos))
    return people


def _sex(index: int) -> str:
    return "F" if int((index + 1) * GIRLS) > int(index * GIRLS) else "M"
