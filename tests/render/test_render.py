"""The renderer on a sphere, whose picture is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.render.render import WRAP, Light, Material, Rendering, render
from handpose.render.surface import Mesh, join
from handpose.render.texture_charts import CHANNELS, Charts

SIZE = (90, 60)
K = np.array([[300.0, 0, 40.25], [0, 300, 31.5], [0, 0, 1]])
DISTANCE, RADIUS = 1.0, 0.06


def sphere(radius: float = RADIUS, centre: tuple[float, float, float] = (0, 0, DISTANCE)) -> Mesh:
    """A sphere of 40 x 60 quads, faces outward."""
    rows, columns = 40, 60
    theta = np.linspace(0, np.pi, rows + 1)[:, None]
    phi = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    normals = np.stack(
        [
            np.sin(theta) * np.cos(phi),
            np.sin(theta) * np.sin(phi),
            np.cos(theta) * np.ones_like(phi),
        ],
        -1,
    ).reshape(-1, 3)
    a = np.arange(rows * columns).reshape(rows, columns)
    b = np.roll(a, -1, 1)
    c, d = a + columns, b + columns
    faces = np.concatenate([np.stack(f, -1).reshape(-1, 3) for f in ((a, c, b), (b, c, d))])
    vertices = radius * normals + np.array(centre)
    return Mesh(vertices.astype(np.float32), normals.astype(np.float32), faces)


def grey(mesh: Mesh) -> Material:
    count = len(mesh.vertices)
    return Material(
        albedo=np.full((count, 3), 0.5, np.float32),
        gloss=np.zeros(count, np.float32),
        rest=mesh.vertices,
        grain=np.zeros((2, 2, 2), np.float32),
        grain_m=0.01,
        grain_strength=np.zeros(3, np.float32),
    )


def lamp(towards: tuple[float, float, float], key: float = 1.0, ambient: float = 0.0) -> Light:
    one, unit = np.ones(3, np.float32), np.array(towards, np.float32)
    return Light(
        towards=unit / np.linalg.norm(unit),
        key=key * one,
        fill_towards=np.array([0, 0, -1], np.float32),
        fill=0 * one,
        up=np.array([0, -1, 0], np.float32),
        ambient=ambient * one,
    )


def picture(mesh: Mesh, light: Light, supersampling: int = 1) -> Rendering:
    return render(mesh, grey(mesh), light, K, SIZE, supersampling)


def directions() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Normal of the sphere at every pixel (H, W, 3), and where the pixel sees the sphere."""
    v, u = np.mgrid[: SIZE[1], : SIZE[0]]
    ray = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(u.shape)], -1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    along = DISTANCE * ray[..., 2]
    rest = RADIUS**2 - DISTANCE**2 + along**2
    hit = ray * (along - np.sqrt(np.maximum(rest, 0)))[..., None]
    return (hit - (0, 0, DISTANCE)) / RADIUS, rest > 0


def test_pixel_centres_lie_at_whole_numbers() -> None:
    coverage = picture(sphere(), lamp((0, 0, -1)), supersampling=4).coverage
    v, u = np.mgrid[: SIZE[1], : SIZE[0]]
    middle = [(coverage * axis).sum() / coverage.sum() for axis in (u, v)]
    np.testing.assert_allclose(middle, K[:2, 2], atol=0.02)


@pytest.mark.parametrize("supersampling", [1, 2, 3])
def test_outline_and_depth_are_those_of_the_sphere(supersampling: int) -> None:
    rendering = picture(sphere(), lamp((0, 0, -1)), supersampling)
    normal, inside = directions()
    assert abs(rendering.coverage.sum() / inside.sum() - 1) < 0.02
    well_inside = inside & (normal[..., 2] < -0.4)
    expected = DISTANCE + RADIUS * normal[..., 2]
    np.testing.assert_allclose(rendering.depth[well_inside], expected[well_inside], atol=0.005)
    np.testing.assert_array_equal(np.isinf(rendering.depth), rendering.coverage == 0)


@pytest.mark.parametrize("towards", [(0, 0, -1), (1, 0, -1), (-1, -1, 0.3), (0.2, 1, 0)])
def test_shading_is_wrapped_lambert_without_acne(towards: tuple[float, float, float]) -> None:
    light = lamp(towards)
    rendering = picture(sphere(), light)
    normal, inside = directions()
    facing = normal @ light.towards
    steep = inside & (normal[..., 2] < -0.3) & (facing > 0.1)
    expected = 0.5 * (facing[..., None] + WRAP) / (1 + WRAP)
    np.testing.assert_allclose(rendering.radiance[steep], expected[steep], atol=0.03)


def test_what_faces_away_from_the_light_is_dark() -> None:
    light = lamp((1, 0, -0.2))
    rendering = picture(sphere(), light)
    normal, inside = directions()
    away = inside & (normal @ light.towards < -0.5) & (normal[..., 2] < -0.2)
    assert away.sum() > 20
    assert rendering.radiance[away].max() < 1e-6


def test_a_thing_before_the_lamp_casts_its_shadow() -> None:
    light = lamp((1, 0, -1))
    blocker = np.array([0, 0, DISTANCE]) + 0.12 * light.towards
    both = join([sphere(), sphere(0.02, tuple(blocker))])
    alone = picture(sphere(), light).radiance
    rendering = picture(both, light)
    normal, inside = directions()
    own = inside & (rendering.depth > DISTANCE - RADIUS - 0.005)  # pixels of the large sphere
    shaded = own & (normal @ light.towards > 0.98)
    open_ = own & (normal @ light.towards < 0.8) & (normal @ light.towards > 0.3)
    assert shaded.sum() > 10
    assert rendering.radiance[shaded].max() < 0.1 * alone[shaded].min()
    np.testing.assert_allclose(rendering.radiance[open_], alone[open_], atol=0.03)


def test_ambient_light_reaches_open_surfaces_whole() -> None:
    rendering = picture(sphere(), lamp((0, 0, -1), key=0, ambient=1))
    normal, inside = directions()
    front = inside & (normal[..., 2] < -0.9)
    expected = 0.5 * (0.8 + 0.2 * -normal[..., 1])
    np.testing.assert_allclose(rendering.radiance[front][:, 0], expected[front], atol=0.02)


def test_light_in_means_no_more_light_out() -> None:
    rendering = picture(sphere(), lamp((0.3, 0, -1), key=0.7, ambient=0.3))
    assert rendering.radiance.max() <= 0.5 * (0.7 + 0.3) + 1e-5


def test_supersampling_only_smooths_the_outline() -> None:
    light = lamp((0.3, -0.3, -1), ambient=0.3)
    coarse, fine = (picture(sphere(), light, s) for s in (1, 3))
    whole = (fine.coverage == 1) & (coarse.coverage == 1)
    np.testing.assert_allclose(coarse.radiance[whole], fine.radiance[whole], atol=0.06)
    assert set(np.unique(coarse.coverage)) == {0, 1}
    assert len(np.unique(fine.coverage)) > 4


@pytest.mark.parametrize("centre", [(5, 0, 1), (0, 0, -1), (0, 0, 0)], ids=str)
def test_what_no_pixel_sees_leaves_the_frame_empty(centre: tuple[float, float, float]) -> None:
    rendering = picture(sphere(0.01, centre), lamp((0, 0, -1)))
    assert rendering.coverage.sum() == 0
    assert rendering.radiance.shape == (SIZE[1], SIZE[0], 3)


def test_grain_moves_with_the_surface() -> None:
    grain = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    mesh, light = sphere(), lamp((0, 0, -1))
    material = grey(mesh)._replace(grain=grain, grain_strength=np.full(3, 0.2, np.float32))

    def mottling(shift_px: int) -> NDArray[np.floating]:
        step = np.array([0, shift_px / K[0, 0], 0], np.float32)
        moved = mesh._replace(vertices=mesh.vertices + step)
        pair = (render(moved, look, light, K, SIZE).radiance for look in (material, grey(mesh)))
        return np.subtract(*pair)[20 + shift_px : 44 + shift_px, 28:52, 0].ravel()

    assert np.corrcoef(mottling(0), mottling(10))[0, 1] > 0.7
    assert mottling(0).std() > 0.02


def test_charts_move_with_the_surface() -> None:
    mesh, light = sphere(), lamp((0, 0, -1))
    picture = np.zeros((1, 16, 16, CHANNELS), np.float32)
    picture[..., :3] = np.random.default_rng(1).normal(0, 0.2, (16, 16, 1))
    corner = (RADIUS, RADIUS)
    charts = Charts(
        (mesh.vertices[:, :2] + corner).astype(np.float32),
        np.ones((len(mesh.vertices), 1), np.float32),
        2 * RADIUS / 16,
        [picture],
    )
    textured = grey(mesh)._replace(charts=charts)

    def texture(shift_px: int) -> NDArray[np.floating]:
        step = np.array([0, shift_px / K[0, 0], 0], np.float32)
        moved = mesh._replace(vertices=mesh.vertices + step)
        pair = (render(moved, look, light, K, SIZE).radiance for look in (textured, grey(mesh)))
        return np.subtract(*pair)[20 + shift_px : 44 + shift_px, 28:52, 0].ravel()

    assert np.corrcoef(texture(0), texture(10))[0, 1] > 0.7
    assert texture(0).std() > 0.02


def test_a_textured_mesh_may_be_out_of_sight() -> None:
    mesh = sphere(0.01, (5, 0, 1))
    nothing = np.zeros((len(mesh.vertices), 2), np.float32)
    charts = Charts(nothing, nothing, 0.001, [np.ones((2, 8, 8, CHANNELS), np.float32)])
    rendering = render(mesh, grey(mesh)._replace(charts=charts), lamp((0, 0, -1)), K, SIZE)
    assert rendering.coverage.sum() == 0
