"""Crops: the camera follows the pixels, whatever the zoom; nothing is invented outside."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.data.crop import Beyond, Square, about_centre, affine, square, surroundings, warp

BEYONDS: tuple[Beyond, ...] = ("black", "edge")


def dot(size: tuple[int, int], u: float, v: float, sigma: float) -> NDArray[np.uint8]:
    """A blurred white dot at (u, v) of a black photo (width, height)."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    grey = 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * sigma**2))
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


def centroid(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    weight = image[..., 0].astype(float)
    v, u = np.indices(weight.shape)
    return np.array([(u * weight).sum() / weight.sum(), (v * weight).sum() / weight.sum()])


def test_square_keeps_the_centre_and_takes_the_longer_side() -> None:
    assert square([10, 20, 30, 50], 1.4) == Square(25, 45, 70)
    assert square([10, 20, 50, 30], 1.4) == Square(35, 35, 70)


@pytest.mark.parametrize("bbox", [(5, 5, 0, 0), (0, 0, float("nan"), 3), (0, 0, float("inf"), 3)])
def test_a_box_without_extent_is_refused(bbox: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="no extent"):
        square(bbox, 1.4)


@pytest.mark.parametrize("side", [17, 64, 128, 300])  # shrunk 9 x, 2.4 x, 1.2 x; enlarged
def test_a_dot_lands_where_the_matrix_says(side: int) -> None:
    A = affine(Square(90.3, 61.7, 153), side)
    u, v = 101.4, 48.2
    crop = warp(dot((200, 160), u, v, sigma=9), A, side)
    assert crop.shape == (side, side, 3)
    np.testing.assert_allclose(centroid(crop), (A @ (u, v, 1))[:2], atol=0.05)


def test_the_cropped_camera_projects_to_the_warped_pixel() -> None:
    rng = np.random.default_rng(0)
    K = np.array([[1261.5, 0, 155.8], [0, 1258.9, 258.8], [0, 0, 1]])
    points = rng.uniform(-0.1, 0.1, (21, 3)) + np.array([0.02, 0.03, 0.9])
    A = affine(Square(180, 300, 140), 128)
    photo = points @ K.T
    crop = points @ (A @ K).T
    warped = (photo / photo[:, 2:]) @ A.T
    np.testing.assert_allclose(crop / crop[:, 2:], warped, atol=1e-9)


def test_a_crop_of_its_own_size_is_a_copy_and_outside_is_black() -> None:
    photo = np.random.default_rng(0).integers(1, 256, (40, 50, 3), dtype=np.uint8)
    inside = warp(photo, affine(Square(24.5, 19.5, 20), 20), 20)
    np.testing.assert_array_equal(inside, photo[10:30, 15:35])
    beyond = warp(photo, affine(Square(-0.5, -0.5, 20), 20), 20)  # centred on the photo's corner
    np.testing.assert_array_equal(beyond[10:, 10:], photo[:10, :10])
    assert not beyond[:10].any() and not beyond[:, :10].any()


def test_beyond_the_edge_its_pixels_go_on() -> None:
    photo = np.random.default_rng(0).integers(1, 256, (40, 50, 3), dtype=np.uint8)
    padded = np.pad(photo, ((60, 60), (60, 60), (0, 0)), "edge")
    for x, y in ((-0.5, -0.5), (49.5, 20.5), (20.5, 45.5)):
        A = affine(Square(x, y, 40), 44)
        to_photo = np.array([[1.0, 0, -60], [0, 1, -60], [0, 0, 1]])
        found = warp(photo, A, 44, beyond="edge").astype(int)
        np.testing.assert_allclose(found, warp(padded, A @ to_photo, 44), atol=1)


def test_an_even_photo_stays_even_beyond_its_edge() -> None:
    photo = np.full((41, 53, 3), 90, np.uint8)  # blocks do not divide it
    for side in (8, 20, 60):
        assert (warp(photo, affine(Square(50, 2, 80), side), side, beyond="edge") == 90).all()


def test_shrinking_averages_fine_texture_instead_of_leaping_over_it() -> None:
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, 1::4] = stripes[:, 2::4] = 200  # bilinear sampling of every fourth sees only white
    crop = warp(stripes, affine(Square(47.5, 47.5, 96), 24), 24)
    np.testing.assert_allclose(crop.astype(float), 100, atol=1)


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_four_channels_warp_as_three_do(turn: float) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    c, s = 1.1 * np.cos(turn), 1.1 * np.sin(turn)
    A = np.array([[c, -s, 7.3], [s, c, -11.9], [0, 0, 1]])
    plain = cv2.warpAffine(photo, A[:2], (64, 64), flags=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(warp(photo, A, 64), plain)


@pytest.mark.parametrize("shift", [(0, 0), (-12, -3), (4, -3), (-70, -50), (-12.5, -3)])
def test_a_shift_is_what_the_warp_makes_of_it(shift: tuple[float, float]) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    A = np.array([[1.0, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
    plain = cv2.warpAffine(photo, A[:2], (64, 64), flags=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(warp(photo, A, 64), plain)


def quarter_turns(count: int) -> NDArray[np.float64]:
    return np.linalg.matrix_power(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), count)


def test_a_turn_about_the_centre_is_that_of_numpy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for count in range(4):
        turned = warp(image, about_centre(quarter_turns(count), 20), 20)
        np.testing.assert_array_equal(turned, np.rot90(image, -count))


def turn_by(degrees: float) -> NDArray[np.float64]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


@pytest.mark.parametrize(("x", "y"), [(60.3, 44.8), (5.0, 79.0)])  # inside, and over the border
@pytest.mark.parametrize("degrees", [0, 45, 160])
def test_the_surroundings_show_what_the_photo_shows(x: float, y: float, degrees: float) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    region = Square(x, y, 40)
    part, to_part = surroundings(photo, region, 200)
    assert part.size < photo.size and part.base is None
    A = about_centre(turn_by(degrees), 40) @ affine(region, 40)
    for beyond in BEYONDS:
        again = warp(part, A @ np.linalg.inv(to_part), 40, beyond=beyond)
        expected = warp(photo, A, 40, beyond=beyond).astype(int)
        np.testing.assert_allclose(again, expected, atol=1)


def test_large_surroundings_go_on_beyond_the_edge() -> None:
    photo = np.full((300, 400, 3), 70, np.uint8)
    part, _ = surroundings(photo, Square(390, 10, 300), 200)
    assert part.shape == (200, 200, 3) and (part == 70).all()


def test_large_surroundings_are_scaled_down() -> None:
    u, v = 1212.4, 1108.7
    photo = dot((2400, 2200), u, v, sigma=60)
    region = Square(1200, 1100, 900)
    part, to_part = surroundings(photo, region, 200)
    assert part.shape == (200, 200, 3)
    A = about_centre(turn_by(30), 50) @ affine(region, 50)
    found = warp(part, A @ np.linalg.inv(to_part), 50)
    np.testing.assert_allclose(centroid(found), (A @ (u, v, 1))[:2], atol=0.1)
