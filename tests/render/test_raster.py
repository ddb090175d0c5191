"""The rasteriser against a slow one that anybody can check by eye."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handpose.render.raster import rasterize

SIZE = (23, 17)


def random_triangles(seed: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners around and partly outside of the grid: (3 count, 2), and their depths."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-6, 6, (count, 3, 2)) + rng.uniform(0, 20, (count, 1, 2))
    return xy.reshape(-1, 2).astype(np.float32), rng.uniform(1, 2, 3 * count).astype(np.float32)


def slowly(
    xy: NDArray[np.float32], depth: NDArray[np.float32], faces: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nearest face and its depth at every sample, -1 and inf where there is none."""
    face = np.full(SIZE[::-1], -1)
    nearest = np.full(SIZE[::-1], np.inf)
    for number, corners in enumerate(faces):
        matrix = np.vstack([xy[corners].T.astype(np.float64), np.ones(3)])
        if np.linalg.det(matrix) >= 0:  # turned away
            continue
        for y in range(SIZE[1]):
            for x in range(SIZE[0]):
                weights = np.linalg.solve(matrix, [x, y, 1])
                z = float(weights @ depth[corners])
                if weights.min() >= 0 and z < nearest[y, x]:
                    face[y, x], nearest[y, x] = number, z
    return face, nearest


def test_agrees_with_a_slow_rasterizer() -> None:
    xy, depth = random_triangles(0, 40)
    faces = np.arange(len(xy)).reshape(-1, 3)
    face, nearest = slowly(xy, depth, faces)
    fragments = rasterize(xy, depth, faces, SIZE)
    np.testing.assert_array_equal(fragments.sample, np.flatnonzero(face >= 0))
    np.testing.assert_array_equal(fragments.face, face[face >= 0])
    np.testing.assert_allclose(fragments.depth, nearest[face >= 0], rtol=1e-5)
    np.testing.assert_allclose(fragments.weights.sum(1), 1, atol=1e-6)


def test_weights_give_the_position_back() -> None:
    xy, depth = random_triangles(1, 10)
    faces = np.arange(len(xy)).reshape(-1, 3)
    fragments = rasterize(xy, depth, faces, SIZE)
    position = (xy[faces[fragments.face]] * fragments.weights[..., None]).sum(1)
    row, column = np.divmod(fragments.sample, SIZE[0])
    np.testing.assert_allclose(position, np.stack([column, row], 1), atol=1e-3)


def test_a_face_is_seen_from_one_side_only() -> None:
    xy = np.array([[2, 2], [2, 12], [12, 2]], np.float32)
    depth, face = np.ones(3, np.float32), np.array([[0, 1, 2]])
    front, back = rasterize(xy, depth, face, SIZE), rasterize(xy, depth, face, SIZE, back=True)
    assert len(front.sample) > 0
    assert len(back.sample) == 0
    turned = rasterize(xy, depth, face[:, ::-1], SIZE, back=True)
    np.testing.assert_array_equal(turned.sample, front.sample)


def test_neighbours_leave_no_crack() -> None:
    rng = np.random.default_rng(2)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 300))[::-1]
    rim = np.stack([np.cos(angles), np.sin(angles)], 1) * 7 + (11.3, 8.1)
    xy = np.vstack([[11.3, 8.1], rim]).astype(np.float32)
    k = np.arange(300)
    fan = np.stack([np.zeros(300, int), 1 + k, 1 + (k + 1) % 300], 1)
    fragments = rasterize(xy, np.ones(301, np.float32), fan, SIZE)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    inside = np.hypot(x - 11.3, y - 8.1) < 6.9
    assert np.isin(np.flatnonzero(inside), fragments.sample).all()


def test_nothing_outside_of_the_grid() -> None:
    xy = np.array([[-9, -9], [-9, -2], [-2, -9]], np.float32)
    fragments = rasterize(xy, np.ones(3, np.float32), np.array([[0, 1, 2]]), SIZE)
    assert [len(part) for part in fragments] == [0, 0, 0, 0]
