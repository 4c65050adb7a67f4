"""The colour of a head before any light falls on it, as a function of the place on the canonical head.

Places are canonical coordinates (p, 3): on the base mesh, origin between the eyes, unit = distance between the eyes,
x to the subject's left, y up, z forward. They move with the skin, so brows, lips and freckles follow the expression.
Landmarks below (brows at y = 0.3 to 0.4, lips around y = -1.1, chin at y = -1.75) were read off the base mesh.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_core.data.synthetic.assets import Floats
from fer_core.data.synthetic.identity import Subject

_TILE = 512
_OCTAVES = {"coarse": 8, "medium": 32, "fine": 128}
_INNER_MOUTH = np.array([96, 30, 32], dtype=np.float32)


def smoothstep(low: float, high: float, value: NDArray[Any]) -> Floats:
    """Return 0 below *low*, 1 above *high*, and 3t^2 - 2t^3 between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


@cache
def _tile(octave: str) -> Floats:
    """Return a tileable (512, 512) noise of mean 0 and standard deviation 1. The same for everybody, always."""
    cells = _OCTAVES[octave]
    grid = np.random.default_rng(cells).normal(size=(cells, cells)).astype(np.float32)
    tiled = cv2.resize(np.tile(grid, (3, 3)), (3 * _TILE, 3 * _TILE), interpolation=cv2.INTER_CUBIC)
    middle = np.asarray(tiled[_TILE : 2 * _TILE, _TILE : 2 * _TILE], dtype=np.float32)
    return np.ascontiguousarray((middle - middle.mean()) / middle.std())


def noise(octave: str, x: Floats, y: Floats, subject: Subject) -> Floats:
    """Return noise (p,) of the *subject*'s own at (x, y); one tile spans 2 units."""
    column = ((x * (_TILE / 2) + subject.style["texture_x"] * _TILE).astype(np.int64)) % _TILE
    row = ((y * (_TILE / 2) + subject.style["texture_y"] * _TILE).astype(np.int64)) % _TILE
    return np.asarray(_tile(octave)[row, column], dtype=np.float32)


def hairiness(place: Floats, ears: Floats, subject: Subject) -> Floats:
    """Return how much hair grows at *place*, in [0, 1]. Works for vertices and for pixels alike."""
    x, y, z = place[:, 0], place[:, 1], place[:, 2]
    style = subject.style
    line = 1.02 + 0.22 * style["hairline"]
    if style["fringe"] < (0.35 if subject.sex == "F" else 0.2):
        line -= 0.3
    parting = 0.1 * (style["parting"] - 0.5) * np.sign(x) * np.minimum(np.abs(x), 0.6)
    ragged = 0.05 * noise("medium", 2 * x, 0.3 * y, subject)
    height = y - (line - 1.25 * np.maximum(0, -z - 0.2)) + parting + ragged
    grown = smoothstep(-0.03, 0.1, height) * smoothstep(-1.1, -0.8, y) * (1 - smoothstep(0.2, 0.6, ears))
    return np.asarray(grown, dtype=np.float32)


def brows(place: Floats, subject: Subject) -> Floats:
    """Return the density of the brows at *place*, in [0, 1]: a tapering arch over each eye."""
    x, y = np.abs(place[:, 0]), place[:, 1]
    style = subject.style
    along = np.clip((x - 0.24) / 0.72, 0, 1)
    arch = 0.27 + 0.06 * style["brow_height"] + 0.34 * along * (1 - along) - 0.02 * along
    base = (0.05 + 0.045 * style["brow_width"]) * (0.75 if subject.sex == "F" else 1.0)
    width = base * (0.8 if subject.kind == "child" else 1.0) * (1.15 - 0.75 * along)
    across = np.abs(y - arch + 0.007 * noise("fine", place[:, 0], y, subject)) / width
    ends = smoothstep(0.2, 0.3, x) * (1 - smoothstep(0.88, 1.0, x)) * smoothstep(-0.2, 0.0, place[:, 2])
    density = (1 - smoothstep(0.5, 1.1, across)) * ends * (0.65 + 0.35 * style["brow_density"])
    return np.asarray(density, dtype=np.float32)


def skin_colour(place: Floats, lips: Floats, mouth: Floats, subject: Subject) -> Floats:
    """Return the sRGB colour (p, 3) in [0, 255] of the body's surface without hair on the head."""
    around = np.arctan2(place[:, 0], place[:, 2] + 0.9) * 1.3
    y, style = place[:, 1], subject.style
    colour = np.repeat(subject.skin[None, :], len(place), axis=0)
    light = float(subject.skin.mean()) / 255
    mottle = (0.015 + 0.03 * style["blotches"]) * noise("coarse", around, y, subject)
    mottle = mottle + 0.018 * noise("fine", around, y, subject)
    colour *= 1 + mottle[:, None]
    colour *= 1 - _redness(place, subject)[:, None] * np.array([0.0, 0.3, 0.26], dtype=np.float32)
    if style["freckles"] < 0.45 * light**2:
        spots = smoothstep(1.1, 1.7, noise("fine", around * 1.4, y * 1.4, subject))
        spots = spots * _blob(place, (0.0, -0.45), (0.75, 0.3)) * 0.3
        colour *= 1 - spots[:, None] * np.array([0.5, 0.8, 1.0], dtype=np.float32)
    tired = _blob(place, (0.5, 0.0), (0.3, 0.17))
    colour *= 1 - (0.14 * tired)[:, None] * np.array([0.8, 1.0, 0.9], dtype=np.float32)
    if subject.kind == "adult" and subject.sex == "M":
        jaw = _blob(place, (0.0, -1.35), (0.75, 0.45)) * (1 - lips)
        stubble = jaw * (0.1 + 0.35 * style["beard"] ** 2) * (1 + 0.2 * noise("fine", around * 2, y * 2, subject))
        colour = _mix(colour, subject.hair * 0.6 + subject.skin * 0.25, np.clip(stubble, 0, 1))
    red = np.array([0.86, 0.6, 0.6], dtype=np.float32) + 0.08 * (style["lips"] - 0.5)
    colour = _mix(colour, subject.skin * red + np.array([8, 0, 2], dtype=np.float32), lips * 0.85)
    colour = _mix(colour, _INNER_MOUTH, smoothstep(0.3, 0.8, mouth))
    brow_colour = subject.hair * 0.75 + subject.skin * 0.08
    return _mix(colour, brow_colour, 0.85 * brows(place, subject))


def creases(place: Floats, activity: Mapping[str, float]) -> Floats:
    """Return how much the folds of moved skin darken it, (p,) in [0, 0.6].

    *activity* maps expression units to their weights. The mesh is too coarse for wrinkles, so the folds that mark
    expressions are drawn: between the brows (frowning), across the nose (wrinkling it), from the nose around
    the mouth (pulling up lip or corners), across the forehead (raising brows).
    """
    x, y = np.abs(place[:, 0]), place[:, 1]
    frown = _ridge(x, 0.13, 0.03) * _ridge(y, 0.34, 0.13)
    bridge = 0.5 + 0.5 * np.cos((y - 0.12 - 0.5 * x) * (2 * np.pi / 0.11))
    nose = bridge * _ridge(y, 0.08, 0.13) * _ridge(x, 0.0, 0.17)
    path = np.asarray(0.34 + 0.42 * np.clip(-0.62 - y, 0, 0.7) ** 0.8, dtype=np.float32)
    fold = _ridge(x, path, 0.035) * _window(y, -1.05, -0.66)
    forehead = (0.5 + 0.5 * np.cos((y - 0.08 * np.cos(3 * x)) * (2 * np.pi / 0.17))) * _ridge(y, 0.78, 0.17)
    forehead = forehead * _ridge(x, 0.0, 0.5)
    depth = (
        0.3 * activity.get("browDownLeft", 0.0) * frown
        + 0.4 * activity.get("nose-left-elevation", 0.0) * nose
        + 0.4 * max(activity.get("nose-left-elevation", 0.0), 0.8 * activity.get("mouthSmileLeft", 0.0)) * fold
        + 0.13 * activity.get("browInnerUp", 0.0) * forehead
    )
    return np.asarray(np.clip(depth, 0, 0.6) * smoothstep(-0.5, -0.1, place[:, 2]), dtype=np.float32)


def _ridge(value: Floats, centre: Floats | float, width: float) -> Floats:
    return np.asarray(np.exp(-(((value - centre) / width) ** 2) / 2), dtype=np.float32)


def _window(value: Floats, low: float, high: float) -> Floats:
    edge = 0.2 * (high - low)
    return smoothstep(low - edge, low + edge, value) * (1 - smoothstep(high - edge, high + edge, value))


def hair_colour(place: Floats, subject: Subject) -> Floats:
    """Return the sRGB colour (p, 3) of hair, streaked from the crown down."""
    around = np.arctan2(place[:, 0], place[:, 2] + 0.9)
    streaks = noise("fine", around * 2.2, place[:, 1] * 0.25, subject)
    streaks = streaks + 0.6 * noise("medium", around * 2, place[:, 1] * 0.3, subject)
    return np.asarray(subject.hair[None, :] * (1 + 0.16 * streaks[:, None]), dtype=np.float32)


def _redness(place: Floats, subject: Subject) -> Floats:
    cheeks = _blob(place, (0.68, -0.62), (0.28, 0.24))
    tip = _blob(place, (0.0, -0.62), (0.2, 0.16))
    return np.asarray((0.1 + 0.5 * subject.style["redness"] ** 2) * np.maximum(cheeks, 0.6 * tip), dtype=np.float32)


def _blob(place: Floats, centre: tuple[float, float], radius: tuple[float, float]) -> Floats:
    """Return a Gaussian on the front of the face, the same on both sides; *radius*: the standard deviations."""
    distance = ((np.abs(place[:, 0]) - centre[0]) / radius[0]) ** 2 + ((place[:, 1] - centre[1]) / radius[1]) ** 2
    return np.asarray(np.exp(-distance / 2) * smoothstep(-0.7, -0.2, place[:, 2]), dtype=np.float32)


def _mix(under: Floats, over: Floats, share: Floats) -> Floats:
    return np.asarray(under + (over - under) * share[:, None], dtype=np.float32)
