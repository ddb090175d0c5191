"""Which part of a photo the networks see, and how it is sampled."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from handpose.data.crop import Square
from handpose.other_models.photo_crop import CropError, crop, region_of


@pytest.mark.parametrize(
    ("box", "side"),
    [
        ((10, 20, 30, 90), 2 * 90),  # higher than 4 : 3
        ((10, 20, 60, 60), 2 * 80),  # its height is extended
        ((10, 20, 90, 30), 2 * 120),
    ],
)
def test_the_square_holds_the_box_twice_enlarged_at_3_to_4(
    box: tuple[float, ...], side: float
) -> None:
    found = region_of(box, 320, 240)
    assert found == pytest.approx((box[0] + box[2] / 2, box[1] + box[3] / 2, side))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((700, 20, 60, 60), r"has its middle outside of the photo of 320 x 240 px: give the box"),
        ((10, 210, 60, 61), r"\(x 10, y 210, w 60, h 61\) has its middle outside"),
        ((-80, 20, 60, 60), "has its middle outside"),
        ((10, 20, 0, 60), "has no extent"),
        ((10, 20, 60, float("nan")), "has no extent"),
    ],
)
def test_a_box_of_another_image_size_or_of_none_is_refused(
    box: tuple[float, ...], message: str
) -> None:
    with pytest.raises(CropError, match=message):
        region_of(box, 320, 240)


@pytest.fixture(scope="module")
def ramp() -> NDArray[np.uint8]:
    """Red is the column, green the row."""
    v, u = np.mgrid[:200, :256].astype(np.uint8)
    return np.stack([u, v, np.full_like(u, 7)], -1)


@pytest.mark.parametrize("is_left", [False, True])
def test_pixel_128_looks_at_the_middle_of_the_box(ramp: NDArray[np.uint8], is_left: bool) -> None:
    region = Square(120.25, 90.5, 128.0)
    found = crop(ramp, region, is_left=is_left)
    assert found.shape == (3, 256, 256) and found.dtype == np.float32
    offset = (np.arange(256) - 128) * region.side / 256
    columns = region.x + (-offset if is_left else offset)
    np.testing.assert_allclose(found[0], np.tile(columns, (256, 1)), atol=0.6)
    np.testing.assert_allclose(found[1], np.tile(region.y + offset[:, None], (1, 256)), atol=0.6)
    assert (found[2] == 7).all()


def test_outside_of_the_photo_it_is_black(ramp: NDArray[np.uint8]) -> None:
    found = crop(ramp, Square(0, 0, 256), is_left=False)
    assert (found[:, :127] == 0).all() and (found[:, :, :127] == 0).all()
    assert (found[2, 128:, 128:] == 7).all()


@pytest.mark.parametrize(("side", "blurred"), [(2.19 * 256, False), (2.6 * 256, True)])
def test_a_photo_is_blurred_from_2_2_px_to_one(side: float, blurred: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (600, 640, 3), dtype=np.uint8)
    source = image
    if blurred:
        sigma = (side / 256 / 2 - 1) / 2
        planes = [
            gaussian_filter(image[..., k].astype(np.float64), sigma, mode="nearest", truncate=4.0)
            for k in range(3)
        ]
        source = np.stack(planes, -1)
    zoom = 256 / side
    A = np.array([[zoom, 0, 128 - zoom * 330], [0, zoom, 128 - zoom * 280]])
    expected = cv2.warpAffine(source, A, (256, 256)).transpose(2, 0, 1)
    found = crop(image, Square(330, 280, side), is_left=False)
    np.testing.assert_allclose(found, expected, atol=1e-3 if blurred else 0)
    if blurred:
        assert np.abs(expected - crop(image, Square(330, 280, 2.19 * 256), is_left=False)).max() > 1
