"""How fast faces reach the network: random access against a folder of JPEGs, and the share of training spent on data.

    .venv/bin/python benchmarks/loading.py

Renders noise photographs of its own into a temporary folder (no data set is needed), prepares them, and prints

* images a second, in random order, batches of 64, from the warm cache, and from the same JPEGs by a loader of the usual
  kind (Pillow, one thread a core) in the same run, with the ratio;
* for MobileNetV3-Small at 96 pixels and batches of 64: which part of the time of training steps is spent outside the
  network (fetching pixels, making tensors, augmenting). Wanted: at most 10 %.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.faces import FaceSet
from fer_core.data.loading import load_faces
from fer_core.data.sources import DataSource
from fer_core.specs import ArchitectureSpec

SIDE, BATCH, STORED = 96, 64, 112
WORDS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def plant(folder: Path, count: int) -> list[Path]:
    """Write *count* JPEGs of smooth noise, 112 pixels a side, about as large as faces of that size are."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        path = folder / WORDS[number % 7] / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        grain = rng.integers(0, 255, (14, 14, 3), dtype=np.uint8)
        Image.fromarray(grain).resize((STORED, STORED), Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(path)
    return paths


def batches(count: int, seconds: float, fetch: Callable[[NDArray[np.int64]], object]) -> float:
    """Return images a second of *fetch* over random batches, for about *seconds*."""
    rng = np.random.default_rng(1)
    done, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds:
        fetch(rng.integers(0, count, BATCH))
        done += BATCH
    return done / spent


def random_access(faces: FaceSet, paths: list[Path], seconds: float) -> dict[str, float]:
    """Measure the cache and the folder loader in turns, and return the better of three runs of each."""

    def decode(path: Path) -> NDArray[np.uint8]:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))

    pool = ThreadPoolExecutor(os.cpu_count())
    cached, folder = [], []
    faces.images[:].sum()  # warm
    for _ in range(3):
        cached.append(batches(len(faces), seconds, lambda rows: faces.images[rows]))
        folder.append(
            batches(len(paths), seconds, lambda rows: np.stack([*pool.map(decode, [paths[r] for r in rows])]))
        )
    pool.shutdown()
    return {"cache": max(cached), "folder": max(folder), "ratio": max(cached) / max(folder)}


def shares(faces: FaceSet, steps: int) -> dict[str, float]:
    """Train for *steps* and return seconds a step, and the share spent in the network (forward, backward, update)."""
    import torch  # not above: the processes that decode import this file
    from torch.nn.functional import cross_entropy

    from fer_core.augmentation import STRENGTHS, augment
    from fer_core.batches import epoch_order, to_input
    from fer_core.models.build import build

    model = build(ArchitectureSpec(name="mobilenetv3_small_100", input_size=SIDE)).train()
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    noise = torch.Generator().manual_seed(0)
    order = epoch_order(faces.labels, 0.5, np.random.default_rng(0))
    spent = {"fetch": 0.0, "tensor": 0.0, "augment": 0.0, "network": 0.0}
    for step in range(steps + 3):
        if step == 3:
            spent = dict.fromkeys(spent, 0.0)
        rows = np.roll(order, -step * BATCH)[:BATCH]
        t0 = time.perf_counter()
        pixels = faces.images[rows]
        t1 = time.perf_counter()
        batch = to_input(pixels)
        t2 = time.perf_counter()
        batch = augment(batch, STRENGTHS["light"], noise)
        t3 = time.perf_counter()
        optimizer.zero_grad()
        cross_entropy(model(batch), torch.from_numpy(faces.labels[rows])).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        t4 = time.perf_counter()
        for name, value in zip(spent, (t1 - t0, t2 - t1, t3 - t2, t4 - t3), strict=True):
            spent[name] += value
    total = sum(spent.values())
    return {"ms_per_step": 1000 * total / steps, **{f"{name}_share": value / total for name, value in spent.items()}}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run of random access")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        paths = plant(Path(place) / "faces", chosen.images)
        source = DataSource(layout="folders", path=Path(place) / "faces", duplicates="keep")
        begun = time.perf_counter()
        faces = load_faces([source], SIDE, Path(place) / "cache")
        prepared = len(faces) / (time.perf_counter() - begun)
        found = {"prepared": prepared, **random_access(faces, paths, chosen.seconds), **shares(faces, chosen.steps)}
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    print(f"prepared    {found['prepared']:>10,.0f} images/s (decode, hash, write)")
    print(f"cache       {found['cache']:>10,.0f} images/s at random, {SIDE} px, warm (wanted: 20,000)")
    print(f"folder      {found['folder']:>10,.0f} images/s at random, Pillow, {os.cpu_count()} threads")
    print(f"ratio       {found['ratio']:>10,.0f}")
    print(f"a step      {found['ms_per_step']:>10,.1f} ms, batch {BATCH}")
    print(f"in network  {found['network_share']:>10.1%} (wanted: 90 %)")
    for name in ("fetch", "tensor", "augment"):
        print(f"  {name:<9} {found[name + '_share']:>10.1%}")


if __name__ == "__main__":
    main()
