"""Charts: looked up where they are, faded by distance, and tilted with the surface."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.render.surface import Mesh
from handpose.render.texture_charts import CHANNELS, STEEPEST, Charts, mip_levels, tilted

TEXEL = 0.001
SHAPE = (2, 64, 32, CHANNELS)


def make(pictures: NDArray[np.float32], count: int = 4) -> Charts:
    nothing = np.zeros((0, 2), np.float32)
    return Charts(nothing, nothing, TEXEL, mip_levels(pictures, count))


def noise() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def test_texels_are_found_where_they_lie() -> None:
    pictures = noise()
    row, column = np.random.default_rng(1).integers(0, (64, 32), (500, 2)).T
    uv = TEXEL * np.stack([column, row], 1).astype(np.float32)
    weights = np.tile(np.array([[0.25, 0.75]], np.float32), (500, 1))
    found = make(pictures).look_up(uv, weights, TEXEL)
    expected = 0.25 * pictures[0, row, column] + 0.75 * pictures[1, row, column]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("footprint", [0.2, 1, 2, 4, 8, 100])
def test_a_ramp_is_the_same_at_every_distance(footprint: float) -> None:
    row, column = np.mgrid[:64, :32].astype(np.float32)
    ramp = np.broadcast_to((3 * column + row)[..., None], SHAPE)
    uv = np.random.default_rng(2).uniform((8, 8), (22, 54), (300, 2)).astype(np.float32)
    both = np.full((300, 2), 0.5, np.float32)
    found = make(ramp).look_up(TEXEL * uv, both, footprint * TEXEL)
    expected = np.repeat((uv @ [3, 1])[:, None], CHANNELS, 1)
    np.testing.assert_allclose(found, expected, atol=0.6)  # OpenCV rounds to 1/32 texel


def test_fine_texture_fades_with_distance_and_keeps_its_mean() -> None:
    uv = TEXEL * np.random.default_rng(3).uniform((4, 4), (27, 59), (4000, 2)).astype(np.float32)
    one = np.tile(np.array([[1, 0]], np.float32), (4000, 1))
    charts = make(noise() + 2)
    found = [charts.look_up(uv, one, k * TEXEL) for k in (1, 2, 4, 8)]
    spread = [float(part.std()) for part in found]
    assert all(b < 0.7 * a for a, b in pairwise(spread))
    for level in charts.levels:
        np.testing.assert_allclose(level.mean((1, 2)), charts.levels[0].mean((1, 2)), atol=1e-5)


def test_nothing_beyond_the_chart_or_without_weight() -> None:
    charts = make(noise())
    outside = np.array([[-0.01, 0.01], [0.01, 0.1], [9, 9]], np.float32)
    assert not charts.look_up(outside, np.ones((3, 2), np.float32), TEXEL).any()
    inside = np.full((3, 2), 0.01, np.float32)
    assert not charts.look_up(inside, np.zeros((3, 2), np.float32), TEXEL).any()
    assert charts.look_up(inside[:0], np.zeros((0, 2), np.float32), TEXEL).shape == (0, CHANNELS)


def test_doubled_charts_are_those_of_two_meshes() -> None:
    uv = np.arange(6, dtype=np.float32).reshape(3, 2)
    twice = make(noise())._replace(uv=uv, weights=uv + 1).doubled()
    np.testing.assert_array_equal(twice.uv, np.vstack([uv, uv]))
    np.testing.assert_array_equal(twice.weights, np.vstack([uv, uv]) + 1)


def plane(u: NDArray[np.floating], v: NDArray[np.floating]) -> tuple[Mesh, NDArray[np.float32]]:
    """A 5 x 5 mesh that maps (u, v) to u * u-axis + v * v-axis, and its uv."""
    uv = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2) * 0.01
    corner = np.array([5 * row + column for row in range(4) for column in range(4)])
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 5], 1),
            np.stack([corner + 1, corner + 6, corner + 5], 1),
        ]
    )
    vertices = uv[:, :1] * u + uv[:, 1:] * v
    normals = np.tile(np.cross(u, v) / np.linalg.norm(np.cross(u, v)), (25, 1))
    return Mesh(vertices.astype(np.float32), normals, faces), uv.astype(np.float32)


def test_relief_leans_against_its_slope_wherever_the_surface_lies() -> None:
    rng = np.random.default_rng(4)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    mesh, uv = plane(axes[0], axes[1])
    seen = rng.integers(0, len(mesh.faces), 50)
    slope = rng.normal(0, 0.2, (50, 2)).astype(np.float32)
    expected = -(slope[:, :1] * axes[0] + slope[:, 1:] * axes[1])
    for faces in (mesh.faces, mesh.faces[:, ::-1]):  # of a right and of a left hand
        found = tilted(mesh, faces, seen, uv, slope)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_stretched_skin_is_flatter() -> None:
    mesh, uv = plane(np.array([2.0, 0, 0]), np.array([0.0, 1, 0]))
    found = tilted(mesh, mesh.faces, np.array([0]), uv, np.array([[0.2, 0.1]], np.float32))
    np.testing.assert_allclose(found, [[-0.1, -0.1, 0]], atol=1e-5)


def test_folded_skin_is_not_infinitely_steep() -> None:
    mesh, uv = plane(np.array([1e-4, 0, 0]), np.array([0.0, 1, 0]))
    found = tilted(mesh, mesh.faces, np.array([0]), uv, np.array([[0.2, 0.0]], np.float32))
    assert np.isfinite(found).all()
    assert np.linalg.norm(found) <= 0.2 * STEEPEST + 1e-6
