"""What varies from one photograph of a person to the next: pose, gaze, framing, light, camera and background."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_core.data.synthetic.assets import Floats

_DISTANCE = 12.0  # of the camera, in distances between the eyes: about 75 cm


@dataclass(frozen=True, slots=True)
class Scene:
    """One photograph's circumstances. Angles in radians, lengths in distances between the eyes, colours linear.

    ``rotation`` (3, 3) turns the head. ``gaze`` (2,) are the eyes' yaw and pitch. ``zoom`` and ``shift`` (2,) disturb
    the framing. ``light`` (3,) points to the key light; ``key`` and ``fill`` (3,) are the colours of it and of the
    surroundings. ``backdrop`` and ``shirt`` (3,) are sRGB, ``blur`` is in pixels, ``grain`` in 8-bit steps.
    """

    rotation: Floats
    gaze: tuple[float, float]
    zoom: float
    shift: tuple[float, float]
    light: Floats
    key: Floats
    fill: Floats
    backdrop: Floats
    shirt: Floats
    blur: float
    grain: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Scene":
        """Draw a photograph's circumstances: a head turned by about 9 degrees, a light from above and one side."""
        direction = np.array([rng.normal(0, 0.55), rng.normal(0.45, 0.35), 1.0])
        warmth = rng.normal(0, 0.05)
        tint = np.array([1 + warmth, 1.0, 1 - warmth])
        fill = rng.uniform(0.28, 0.5)
        exposure = rng.uniform(0.85, 1.15)
        plain = rng.random() < 0.5
        backdrop = np.full(3, rng.uniform(205, 248)) if plain else rng.uniform(30, 220) + rng.uniform(-40, 40, 3)
        return cls(
            rotation=_rotation(rng.normal(0, 0.16), rng.normal(0, 0.09), rng.normal(0, 0.06)),
            gaze=(rng.normal(0, 0.09), rng.normal(0, 0.06)),
            zoom=rng.uniform(0.94, 1.08),
            shift=(rng.normal(0, 0.012), rng.normal(0, 0.012)),
            light=(direction / np.linalg.norm(direction)).astype(np.float32),
            key=(exposure * (1.02 - fill) * tint).astype(np.float32),
            fill=(exposure * fill * (2 - tint)).astype(np.float32),
            backdrop=(backdrop + rng.normal(0, 4, 3)).astype(np.float32),
            shirt=(np.full(3, 225.0) if rng.random() < 0.4 else rng.uniform(20, 235, 3)).astype(np.float32),
            blur=rng.uniform(0.0, 0.7),
            grain=rng.uniform(0.5, 3.5),
        )

    def project(self, vertices: Floats, chin: float, size: int) -> tuple[Floats, Floats, Floats]:
        """Return vertices turned into camera space (n, 3), their pixel coordinates (n, 2) and positive depths (n,).

        *chin* is the neutral face's distance from eyes to chin, which fills 0.57 of the picture: a crop like a face
        detector's, eyes at 0.37 of the height.
        """
        pivot = np.array([0.0, -0.25 * chin, -0.6], dtype=np.float32)
        turned = (vertices - pivot) @ self.rotation.T
        scale = 0.57 * size / chin * self.zoom
        nearness = _DISTANCE / (_DISTANCE - turned[:, 2])
        x = size * (0.5 + self.shift[0]) + scale * turned[:, 0] * nearness
        y = size * (0.5 + self.shift[1]) - scale * turned[:, 1] * nearness
        depth = turned[:, 2] + _DISTANCE
        return turned.astype(np.float32), np.stack([x, y], axis=1).astype(np.float32), depth.astype(np.float32)

    def backdrop_picture(self, size: int, rng: np.random.Generator) -> Floats:
        """Return an out-of-focus backdrop, linear (size, size, 3): a gradient with soft blobs."""
        coarse = rng.normal(0, 1, (4, 4, 1)) * rng.choice([3.0, 12.0, 25.0]) + rng.normal(0, 4, (4, 4, 3))
        blobs = cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        slope = np.linspace(8, -12, size, dtype=np.float32)[:, None, None]
        return to_linear(self.backdrop + blobs + slope)


def to_linear(colour: NDArray[Any]) -> Floats:
    """Return sRGB values in [0, 255] as linear light in [0, 1], by a plain power of 2.2."""
    return np.asarray((np.clip(colour, 0, 255) / 255) ** 2.2, dtype=np.float32)


def to_srgb(light: NDArray[Any]) -> Floats:
    """Return linear light as sRGB values in [0, 255]; the inverse of ``to_linear``, clipped above."""
    return np.asarray(np.clip(light, 0, 1) ** (1 / 2.2) * 255, dtype=np.float32)


def _rotation(yaw: float, pitch: float, roll: float) -> Floats:
    (cy, cp, cr), (sy, sp, sr) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y, dtype=np.float32)
