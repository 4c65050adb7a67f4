"""Who is rendered: a subject's stable shape and colours, drawn once from a seed.

A group is an *appearance* only: a range of skin tones and a mixture of MakeHuman's three shape axes. Latino
and South Asian are mixtures made up here, because MakeHuman has no axes for them. None of this models ancestry, and
nothing learned from it carries over to real groups.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fer_core.data.synthetic.assets import AGES, PARTS, SEXES, Floats, HeadAssets

Kind = Literal["child", "adult"]


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a group looks: shares of ``RACES`` (lowest, highest), skin from dark to light and hair colours in sRGB."""

    shares: tuple[tuple[float, float], ...]
    skin: tuple[tuple[int, int, int], tuple[int, int, int]]
    hair: tuple[tuple[int, int, int], ...]
    light_eyes: float


_BLACK, _BROWN = (22, 18, 17), (48, 32, 24)
APPEARANCES: dict[str, Appearance] = {
    "AA": Appearance(((0.75, 1.0), (0.0, 0.05), (0.0, 0.2)), ((78, 50, 38), (164, 110, 82)), (_BLACK, _BROWN), 0.0),
    "AS": Appearance(((0.0, 0.0), (0.85, 1.0), (0.0, 0.15)), ((206, 158, 124), (241, 206, 176)), (_BLACK,), 0.0),
    "EA": Appearance(
        ((0.0, 0.05), (0.0, 0.1), (0.85, 1.0)),
        ((218, 166, 140), (250, 216, 198)),
        (_BROWN, (92, 62, 40), (150, 108, 66), (196, 160, 108), (140, 66, 34)),
        0.55,
    ),
    "LA": Appearance(
        ((0.05, 0.2), (0.15, 0.4), (0.5, 0.75)), ((160, 110, 80), (226, 180, 148)), (_BLACK, _BROWN), 0.08
    ),
    "PI": Appearance(((0.25, 0.45), (0.45, 0.65), (0.0, 0.2)), ((140, 96, 68), (194, 146, 110)), (_BLACK,), 0.0),
    "SA": Appearance(((0.15, 0.35), (0.05, 0.2), (0.5, 0.75)), ((120, 80, 56), (196, 148, 112)), (_BLACK,), 0.02),
}
"""By CAFE's ethnicity codes."""

_DARK_IRIS, _LIGHT_IRIS = ((48, 30, 18), (84, 54, 30)), ((84, 112, 138), (96, 116, 92), (118, 130, 140))


@dataclass(frozen=True, slots=True)
class Subject:
    """One person: n vertices of the neutral head, and what does not change between photographs.

    ``vertices`` float32 (n, 3) are centred between the eyes, with the distance between the eyes as unit.
    ``units`` float32 (u, n, 3) are the expression units for this head. Colours are sRGB in [0, 255]. ``style`` holds
    independent uniform draws in [0, 1) for details of skin, brows and hair, by name.
    """

    name: str
    group: str
    kind: Kind
    sex: str
    vertices: Floats
    units: Floats
    skin: Floats
    hair: Floats
    iris: Floats
    style: dict[str, float]

    @property
    def creasing(self) -> float:
        """How deep this person's skin folds: half as deep in children."""
        return 0.55 if self.kind == "child" else 1.0


def draw_subject(assets: HeadAssets, name: str, *, group: str, kind: Kind, sex: str, seed: tuple[int, ...]) -> Subject:
    """Return the person that *seed* stands for. *sex* is ``"F"`` or ``"M"``."""
    rng = np.random.default_rng(seed)
    look = APPEARANCES[group]
    race = np.array([rng.uniform(low, high) for low, high in look.shares])
    race /= race.sum()
    age = _age(rng, kind)
    shape = np.einsum("r,a,ranc->nc", race, age, assets.shapes[:, SEXES.index("female" if sex == "F" else "male")])
    vertices = assets.base + shape + _details(assets, rng)
    middle, scale = eye_frame(assets, vertices)
    _, base_scale = eye_frame(assets, assets.base)
    lightness = rng.beta(2, 2)
    dark, light = np.array(look.skin, dtype=np.float64)
    hair = np.array(look.hair[rng.integers(len(look.hair))], dtype=np.float64)
    if kind == "adult" and age[AGES.index("old")] > 0.45 and rng.random() < 0.7:
        hair = hair * 0.35 + 0.65 * np.array([170, 168, 166])
    irises = _LIGHT_IRIS if rng.random() < look.light_eyes else _DARK_IRIS
    return Subject(
        name=name,
        group=group,
        kind=kind,
        sex=sex,
        vertices=((vertices - middle) / scale).astype(np.float32),
        units=(np.einsum("r,runc->unc", race, assets.units) / base_scale).astype(np.float32),
        skin=(dark + (light - dark) * lightness + rng.normal(0, 3, 3)).astype(np.float32),
        hair=np.clip(hair + rng.normal(0, 5, 3), 8, 255).astype(np.float32),
        iris=np.array(irises[rng.integers(len(irises))], dtype=np.float32),
        style={trait: float(rng.random()) for trait in STYLE},
    )


STYLE = (
    "freckles",
    "redness",
    "blotches",
    "texture_x",
    "texture_y",
    "brow_width",
    "brow_height",
    "brow_density",
    "hair_length",
    "hair_volume",
    "hairline",
    "fringe",
    "parting",
    "beard",
    "lips",
    "iris",
)
"""Names of the uniform draws in ``Subject.style``."""


def eye_frame(assets: HeadAssets, vertices: Floats) -> tuple[NDArray[np.float64], float]:
    """Return the point between the eyes' centres, (3,), and the distance between them."""
    left, right = (vertices[eye].mean(axis=0, dtype=np.float64) for eye in eye_vertices(assets))
    return (left + right) / 2, float(np.linalg.norm(left - right))


def eye_vertices(assets: HeadAssets) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the vertices of the two eyeballs: the subject's left (x > 0), then the right one."""
    eye, side = assets.part == PARTS.index("eye"), assets.base[:, 0]
    return np.flatnonzero(eye & (side > 0)), np.flatnonzero(eye & (side < 0))


def _age(rng: np.random.Generator, kind: Kind) -> NDArray[np.float64]:
    """Return weights of ``AGES``. Children lie between MakeHuman's 1 and 10 years, like CAFE's 2 to 8."""
    if kind == "child":
        share = rng.uniform(0.25, 0.85)
        return np.array([1 - share, share, 0.0, 0.0])
    share = rng.uniform(0.0, 0.7) if rng.random() < 0.6 else 0.0
    return np.array([0.0, 0.0, 1 - share, share])


def _details(assets: HeadAssets, rng: np.random.Generator) -> Floats:
    """Return the offsets (n, 3) of N(0, 0.2) along each identity axis, cut at +-0.5: beyond, noses become beaks."""
    amount = np.clip(rng.normal(0, 0.2, len(assets.details)), -0.5, 0.5)
    ends = np.stack([np.maximum(amount, 0), np.maximum(-amount, 0)], axis=1).astype(np.float32)
    return np.asarray(np.einsum("de,denc->nc", ends, assets.details), dtype=np.float32)
