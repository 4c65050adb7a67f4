import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.data.synthetic.raster import rasterise

SIZE = 16


def scene(*triangles):
    """Each triangle is three (x, y, depth); returned as points, depths and corner indices."""
    corners = np.array(triangles, dtype=np.float32).reshape(-1, 3)
    return corners[:, :2].copy(), corners[:, 2].copy(), np.arange(len(corners), dtype=np.int32).reshape(-1, 3)


def test_a_triangle_covers_the_pixel_centres_inside_it():
    points, depth, corners = scene([(0, 0, 1), (0, 8, 1), (8, 0, 1)])
    seen = rasterise(points, depth, corners, SIZE)
    rows, columns = np.divmod(seen.pixels, SIZE)
    expected = {(r, c) for r in range(SIZE) for c in range(SIZE) if (r + 0.5) + (c + 0.5) <= 8}
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


def test_what_faces_away_is_not_seen():
    points, depth, corners = scene([(0, 0, 1), (8, 0, 1), (0, 8, 1)])
    assert len(rasterise(points, depth, corners, SIZE).pixels) == 0


def test_the_nearer_triangle_is_seen():
    far, near = [(0, 0, 1), (0, 16, 1), (16, 0, 1)], [(0, 0, 2), (0, 8, 2), (8, 0, 2)]
    points, depth, corners = scene(far, near)
    seen = rasterise(points, depth, corners, SIZE)
    assert seen.triangles[seen.pixels == 0].tolist() == [1]
    assert seen.triangles[seen.pixels == 10].tolist() == [0]


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_interpolation_reproduces_linear_functions(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-4, SIZE + 4, (30, 2)).astype(np.float32)
    depth = rng.uniform(1, 9, 30).astype(np.float32)
    corners = rng.permutation(30).astype(np.int32).reshape(10, 3)
    seen = rasterise(points, depth, corners, SIZE)
    centres = np.stack([seen.pixels % SIZE + 0.5, seen.pixels // SIZE + 0.5], axis=1)
    assert np.allclose(seen.interpolate(points, corners), centres, atol=2e-2)
    assert np.allclose(seen.weights.sum(axis=1), 1, atol=1e-4)
    assert (np.diff(seen.pixels) > 0).all()
