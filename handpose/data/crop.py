"""Square views of a hand: cut from a photo once when sharding, turned and moved when training.

Pixel centres lie at whole numbers (OpenCV): an image of side S covers -0.5 .. S - 0.5, and its
middle is (S - 1) / 2. A map between images is a 3x3 matrix A on homogeneous pixels; the camera of
the new image is then exactly A @ K, and every projected point lands where its pixel went.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray


class Square(NamedTuple):
    """A square region of a photo, in its pixels."""

    x: float  # of the centre
    y: float
    side: float


def square(bbox: Sequence[float] | NDArray[np.floating], scale: float) -> Square:
    """The square around a box (x, y, w, h): same centre, side = longer side x `scale`; px.

    Raises ValueError when the box has no extent or is not finite.
    """
    x, y, w, h = (float(value) for value in bbox)
    side = max(w, h) * scale
    if not (np.isfinite([x, y, w, h]).all() and side > 0):
        raise ValueError(f"the box (x {x:g}, y {y:g}, w {w:g}, h {h:g}) has no extent")
    return Square(x + w / 2, y + h / 2, side)


def affine(region: Square, side: int) -> NDArray[np.float64]:
    """A (3, 3): pixels of the photo -> pixels of the crop of this region, `side` px wide."""
    zoom, middle = side / region.side, (side - 1) / 2
    return np.array(
        [
            [zoom, 0, middle - zoom * region.x],
            [0, zoom, middle - zoom * region.y],
            [0, 0, 1],
        ]
    )


def warp(image: NDArray[np.uint8], A: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """The image (H, W, 3) seen through A: (side, side, 3), bilinear, black outside of the image.

    Where A shrinks to less than half, bilinear sampling would leap over source pixels and fine
    texture would turn into noise: whole blocks of k x k pixels are averaged first.
    """
    block = int(1 / np.sqrt(abs(np.linalg.det(A[:2, :2]))) + 1e-6)
    if block >= 2:
        image = _average(image, block)
        A = A @ _from_blocks(block)
    warped = cv2.warpAffine(image, A[:2], (side, side), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, np.uint8)


def _average(image: NDArray[np.uint8], block: int) -> NDArray[np.uint8]:
    """The mean of each block x block pixels; black completes the last row and column."""
    height, width = image.shape[:2]
    image = np.pad(image, ((0, -height % block), (0, -width % block), (0, 0)))
    size = (image.shape[1] // block, image.shape[0] // block)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _from_blocks(block: int) -> NDArray[np.float64]:
    """(3, 3): pixels of the averaged image -> pixels of the original (middle of each block)."""
    middle = (block - 1) / 2
    return np.array([[block, 0, middle], [0, block, middle], [0, 0, 1]])
