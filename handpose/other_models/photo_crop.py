"""The crop that HaMeR and WiLoR are given: around a hand's box, left hands mirrored.

Read in geopavlakos/hamer 3a01849, hamer/datasets/vitdet_dataset.py and utils.py; WiLoR's files of
these names do the same. Pixel 128 of the crop looks at the middle of the box: half a pixel from
where the middle of a crop is elsewhere in this project, whose pixel centres lie at whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.data.crop import Square
from handpose.errors import HandPoseError
from handpose.other_models.vit import CROP_PX

BOX_SCALE = 2.0
"""By which both demos enlarge a box."""

TALLEST = 4 / 3
"""Height to width of what the encoder sees, 256 x 192 px, to which a wider box is extended."""

BLURRED_FROM = 1.1
"""Pixels of the photo to *two* of the crop, from which the photo is blurred first."""

TRUNCATED = 4.0
"""Standard deviations, at which the blur ends (skimage's default)."""


class CropError(HandPoseError):
    """A box is no box, or none of this photo."""


def region_of(box: Sequence[float] | NDArray[np.floating], width: int, height: int) -> Square:
    """The square that is cropped: around a box (x, y, w, h) px of a photo of this size.

    Raises:
        CropError: the box has no extent, or its middle is outside of the photo: it is of another
            photo, or of the photo at another size.
    """
    x, y, w, h = (float(value) for value in box)
    text = f"the box (x {x:g}, y {y:g}, w {w:g}, h {h:g})"
    if not (all(map(math.isfinite, (x, y, w, h))) and w > 0 and h > 0):
        raise CropError(f"{text} has no extent; expected x, y, width and height in pixels")
    middle_x, middle_y = x + w / 2, y + h / 2
    if not (0 <= middle_x < width and 0 <= middle_y < height):
        raise CropError(
            f"{text} has its middle outside of the photo of {width} x {height} px: give the box in "
            "pixels of this photo, not of another one or of another size of it"
        )
    return Square(middle_x, middle_y, BOX_SCALE * max(h, TALLEST * w))


def crop(image: NDArray[np.uint8], region: Square, *, is_left: bool) -> NDArray[np.float32]:
    """The region of a photo (H, W, 3) RGB as (3, 256, 256) in 0..255, black outside of the photo.

    A left hand's is mirrored. A photo that is scaled down by more than 2.2 is blurred first.
    """
    zoom, middle = CROP_PX / region.side, CROP_PX / 2
    across = -zoom if is_left else zoom
    A = np.array([[across, 0, middle - across * region.x], [0, zoom, middle - zoom * region.y]])
    excess = region.side / CROP_PX / 2
    source = _blurred(image, (excess - 1) / 2) if excess > BLURRED_FROM else image
    warped = cv2.warpAffine(source, A, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(warped.transpose(2, 0, 1), np.float32)


def _blurred(image: NDArray[np.uint8], sigma: float) -> NDArray[np.float64]:
    """By a Gaussian; its edge pixels are repeated outside of the photo.

    In float64, as skimage does: OpenCV's warp interpolates float32 otherwise.
    """
    width = 2 * int(TRUNCATED * sigma + 0.5) + 1
    blurred = cv2.GaussianBlur(
        image.astype(np.float64), (width, width), sigma, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(blurred, np.float64)
