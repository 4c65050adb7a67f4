"""Subject + expression + scene -> one picture. NumPy and OpenCV, no loop over triangles or pixels."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_core.data.synthetic import skin
from fer_core.data.synthetic.assets import PARTS, Floats, HeadAssets
from fer_core.data.synthetic.expression import weights
from fer_core.data.synthetic.identity import Subject, eye_frame, eye_vertices
from fer_core.data.synthetic.raster import Coverage, rasterise
from fer_core.data.synthetic.scene import Scene, to_linear, to_srgb
from fer_core.labels import Expression

_SUPERSAMPLING = 2
_TEETH, _TONGUE = (np.array(c, dtype=np.float32) for c in ((228, 222, 208), (186, 92, 92)))


@dataclass(frozen=True, slots=True)
class _Shot:
    """One photograph in the making: who, under which circumstances, with which face (units' weights, vertices)."""

    person: Subject
    scene: Scene
    activity: dict[str, float]
    vertices: Floats


@dataclass(frozen=True)
class Studio:
    """Renders photographs of subjects with one set of assets; what is the same for all pictures is computed once."""

    assets: HeadAssets

    @cached_property
    def place(self) -> Floats:
        """Canonical coordinates (n, 3) of the base mesh, see ``skin``."""
        middle, scale = eye_frame(self.assets, self.assets.base)
        return ((self.assets.base - middle) / scale).astype(np.float32)

    @cached_property
    def unit_index(self) -> dict[str, int]:
        """Index of each expression unit by name."""
        return {str(name): number for number, name in enumerate(self.assets.unit_names)}

    @cached_property
    def chin(self) -> int:
        """The vertex at the tip of the chin."""
        return int(np.argmin(np.linalg.norm(self.place - np.array([0, -1.72, 0.34]), axis=1)))

    def photograph(
        self, person: Subject, expression: Expression, *, mouth_open: bool, size: int, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Return one picture of *person*, uint8 (size, size, 3) RGB."""
        scene = Scene.draw(rng)
        drawn = weights(expression, mouth_open=mouth_open, names=self.unit_index, rng=rng)
        active = np.flatnonzero(drawn)
        moved = person.vertices + np.einsum("u,unc->nc", drawn[active], person.units[active])
        activity = {name: float(drawn[number]) for name, number in self.unit_index.items()}
        shot = _Shot(person, scene, activity, self._groomed(moved, person))
        large = size * _SUPERSAMPLING
        chin = float(-person.vertices[self.chin, 1])
        turned, points, depth = scene.project(shot.vertices, chin, large)
        seen = rasterise(points, depth, self.assets.triangles, large)
        light = scene.backdrop_picture(large, rng)
        self._curtain(light, points, person)
        flat = light.reshape(-1, 3)
        flat[seen.pixels] = self._lit(seen, turned, shot)
        flat[seen.pixels] *= _openness(seen, depth, self.assets, large)[:, None]
        return _developed(light, size, scene, rng)

    def _groomed(self, vertices: Floats, person: Subject) -> Floats:
        """Push the scalp out by the hair's volume, and teeth and tongue a little back, behind the lips."""
        normals = vertex_normals(vertices, self.assets.triangles)
        body = self.assets.part == 0
        grown = skin.hairiness(self.place, self.assets.ears, person) * body
        volume = 0.03 + 0.2 * person.style["hair_volume"] ** 1.5
        groomed = vertices + normals * (grown * volume)[:, None]
        inner = (self.assets.part == PARTS.index("teeth")) | (self.assets.part == PARTS.index("tongue"))
        groomed[inner, 2] -= 0.06
        return np.asarray(groomed, dtype=np.float32)

    def _curtain(self, light: Floats, points: Floats, person: Subject) -> None:
        """Paint long hair behind the head of some, as a dark streaked shape around the scalp's outline."""
        if person.style["hair_length"] < (0.35 if person.sex == "F" else 0.96):
            return
        size = len(light)
        scalp = points[(self.place[:, 1] > -0.3) & (self.assets.part == 0) & (np.abs(self.place[:, 2] + 0.6) < 0.5)]
        left, right = scalp[:, 0].min(), scalp[:, 0].max()
        middle, half = (left + right) / 2, (right - left) / 2 * (1.02 + 0.12 * person.style["hair_volume"])
        top = points[self.assets.part == 0, 1].min()
        heights = np.linspace(top, size * 1.05, 24)
        taper = np.clip((heights - top) / (0.9 * half), 0, 1)
        reach = half * np.sqrt(1 - (1 - taper) ** 2)
        outline = np.concatenate([np.stack([middle - reach, heights], 1), np.stack([middle + reach, heights], 1)[::-1]])
        mask = np.zeros((size, size), dtype=np.uint8)
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
        column = np.linspace(-1.5, 1.5, size, dtype=np.float32)
        streaks = skin.noise("fine", column * 2, np.zeros_like(column), person)
        colour = to_linear(person.hair * 0.75 * (1 + 0.15 * streaks[:, None]))
        share = (mask / 255.0)[:, :, None]
        light += (colour[None] - light) * share.astype(np.float32)

    def _lit(self, seen: Coverage, turned: Floats, shot: _Shot) -> Floats:
        """Return the light (p, 3) that the covered pixels send to the camera."""
        assets = self.assets
        normals = vertex_normals(turned, assets.triangles)
        masks = np.stack([assets.lips, assets.mouth, assets.ears], axis=1)
        everything = np.concatenate([normals, self.place, masks, shot.vertices], axis=1)
        pixel = seen.interpolate(everything, assets.triangles)
        normal, where = pixel[:, :3], pixel[:, 9:12]
        part = assets.part[assets.triangles[seen.triangles, 0]]
        colour, gloss = _surface(part, pixel[:, 3:6], pixel[:, 6:9], shot)
        eye = np.flatnonzero(part == PARTS.index("eye"))
        for corners in eye_vertices(assets):
            centre = shot.vertices[corners].mean(axis=0)
            side = eye[np.sign(where[eye, 0]) == np.sign(centre[0])]
            ball = where[side] - centre
            ball /= np.linalg.norm(ball, axis=1, keepdims=True) + 1e-9
            colour[side] = _eye_colour(ball, shot)
            gloss[side] = 0.9
            normal[side] = ball @ shot.scene.rotation.T
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        return illuminate(to_linear(colour), gloss, normal, shot.scene)


def _surface(part: NDArray[np.uint8], place: Floats, mask: Floats, shot: _Shot) -> tuple[Floats, Floats]:
    """Return the sRGB colour (p, 3) and the gloss (p,) of every covered pixel but the eyes."""
    colour = np.empty((len(part), 3), dtype=np.float32)
    gloss = np.full(len(part), 0.05, dtype=np.float32)
    body = part == PARTS.index("body")
    person, at = shot.person, place[body]
    lips, mouth, ears = mask[body].T
    bare = skin.skin_colour(at, lips, mouth, person)
    bare *= 1 - person.creasing * skin.creases(at, shot.activity)[:, None]
    grown = skin.hairiness(at, ears, person)
    bare += (skin.hair_colour(at, person) - bare) * grown[:, None]
    dressed = skin.smoothstep(2.3, 2.4, -at[:, 1] - 0.15 * np.abs(at[:, 0]))
    bare += (shot.scene.shirt - bare) * dressed[:, None]
    colour[body] = bare
    gloss[body] = (0.05 + 0.12 * np.clip(lips, 0, 1)) * (1 - dressed) * (1 - 0.5 * grown)
    for name, fixed in (("teeth", _TEETH), ("tongue", _TONGUE)):
        colour[part == PARTS.index(name)] = fixed
    return colour, gloss


def _eye_colour(ball: Floats, shot: _Shot) -> Floats:
    """Return the sRGB colour (p, 3) of the eye at the unit vectors *ball* (p, 3) from its centre.

    The angle to the gaze decides. The iris has a half-angle of about 0.5: 11.7 mm of iris on an eye of 24 mm.
    """
    yaw, pitch = shot.scene.gaze
    gaze = np.array([np.sin(yaw), np.sin(pitch), 1.0], dtype=np.float32)
    angle = np.arccos(np.clip(ball @ (gaze / np.linalg.norm(gaze)), -1, 1))
    iris = 0.47 + 0.08 * shot.person.style["iris"]
    sclera = np.array([232, 226, 222], dtype=np.float32) - 18 * skin.smoothstep(0.6, 1.3, angle)[:, None]
    ring = shot.person.iris * (1.15 - 0.6 * skin.smoothstep(0.3, iris, angle))[:, None]
    colour = sclera + (ring - sclera) * (1 - skin.smoothstep(iris - 0.04, iris + 0.04, angle))[:, None]
    return np.asarray(colour + (8 - colour) * (1 - skin.smoothstep(0.19, 0.25, angle))[:, None], dtype=np.float32)


def vertex_normals(vertices: Floats, triangles: NDArray[np.int32]) -> Floats:
    """Return unit normals (n, 3): the area-weighted mean of the normals of the adjoining triangles."""
    corners = vertices[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    where = triangles.ravel(order="F")
    summed = np.stack(
        [np.bincount(where, np.tile(faces[:, axis], 3), minlength=len(vertices)) for axis in range(3)], axis=1
    )
    return np.asarray(summed / (np.linalg.norm(summed, axis=1, keepdims=True) + 1e-12), dtype=np.float32)


def illuminate(albedo: Floats, gloss: Floats, normal: Floats, scene: Scene) -> Floats:
    """Return the light (p, 3) of surfaces with *albedo* (linear, (p, 3)), *gloss* (p,) and unit *normal* (p, 3).

    Lambert's law with a wrap that is widest in red, as light scatters under skin; a sky-like fill from above; a
    Blinn-Phong highlight, narrow on wet surfaces.
    """
    facing = (normal @ scene.light)[:, None]
    wrap = np.array([0.35, 0.2, 0.15], dtype=np.float32)
    diffuse = np.clip((facing + wrap) / (1 + wrap), 0, 1)
    sky = (0.78 + 0.22 * normal[:, 1:2]) * (0.55 + 0.45 * np.clip(normal[:, 2:3], 0, 1))
    half = scene.light + np.array([0, 0, 1], dtype=np.float32)
    glance = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1)
    wet = gloss > 0.5
    shine = gloss * glance**16
    shine[wet] = gloss[wet] * glance[wet] ** 400
    return np.asarray(
        albedo * (scene.key * diffuse + scene.fill * sky) * 1.25 + scene.key * shine[:, None], dtype=np.float32
    )


def _openness(seen: Coverage, depth: Floats, assets: HeadAssets, size: int) -> Floats:
    """Return how much surrounding light reaches each covered pixel, in [0.3, 1].

    Hollows are where a surface lies behind its blurred depth (unsharp masking of the depth buffer: Luft, Colditz &
    Deussen, SIGGRAPH 2006). The backdrop counts as far away, so outlines are not darkened.
    """
    height = seen.interpolate(depth[:, None], assets.triangles)[:, 0]
    buffer = np.full(size * size, np.float32(height.min()), dtype=np.float32)
    buffer[seen.pixels] = height
    picture = buffer.reshape(size, size)
    hollow = np.zeros(len(height), dtype=np.float32)
    for sigma, strength in ((0.012, 2.2), (0.045, 0.9)):
        blurred = cv2.GaussianBlur(picture, (0, 0), sigma * size).ravel()[seen.pixels]
        hollow += strength * np.clip(blurred - height, 0, 0.4)
    return np.asarray(np.clip(1 - hollow, 0.3, 1), dtype=np.float32)


def _developed(light: Floats, size: int, scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn light (s, s, 3) into a photograph of *size*: area-sampled, slightly soft, grainy, 8 bits."""
    picture: Floats = cv2.resize(to_srgb(light), (size, size), interpolation=cv2.INTER_AREA)
    if scene.blur > 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), scene.blur)
    grainy = picture + rng.normal(0, scene.grain, (size, size, 1))
    return np.clip(np.round(grainy), 0, 255).astype(np.uint8)
