"""Square views of a hand: cut from a photo once when sharding, augmented when training.

Pixel centres lie at whole numbers (OpenCV): an image of side S covers -0.5 .. S - 0.5, and its
middle is (S - 1) / 2. A map between images is a 3x3 matrix A on homogeneous pixels; the camera of
the new image is then exactly A @ K, and every projected point lands where its pixel went.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Beyond = Literal["black", "edge"]
"""What lies outside of an image: nothing, or its outermost pixels continued."""

_BORDERS = {"black": cv2.BORDER_CONSTANT, "edge": cv2.BORDER_REPLICATE}


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
    if not (all(map(math.isfinite, (x, y, w, h))) and side > 0):
        raise ValueError(f"the box (x {x:g}, y {y:g}, w {w:g}, h {h:g}) has no extent")
    return Square(x + w / 2, y + h / 2, side)


def central(image_side: int, side: int) -> Square:
    """The square of this side in the middle of a square image."""
    return Square((image_side - 1) / 2, (image_side - 1) / 2, side)


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


def about_centre(R: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Rotations R (..., 3, 3) of centred pixels, on pixels of a square image of this side."""
    middle = (side - 1) / 2
    centred = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, 1]])
    return np.asarray(np.linalg.inv(centred) @ R @ centred)


def surroundings(
    image: NDArray[np.uint8], region: Square, most_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What a view of this region shows of a photo however it is turned about its centre.

    Returns:
        A copy, at most `most_px` px wide: what is wider is scaled down, and goes on beyond the
        photo's edge. And A (3, 3): pixels of the photo -> pixels of the copy.
    """
    side = region.side * math.sqrt(2) + 2  # and a pixel all round, for bilinear sampling
    if side > most_px:
        A = affine(region._replace(side=side), most_px)
        return warp(image, A, most_px, beyond="edge"), A
    height, width = image.shape[:2]
    left, top = (max(0, math.floor(at - side / 2)) for at in (region.x, region.y))
    right = min(width, math.ceil(region.x + side / 2) + 1)
    bottom = min(height, math.ceil(region.y + side / 2) + 1)
    A = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    return image[top:bottom, left:right].copy(), A


def warp(
    image: NDArray[np.uint8], A: NDArray[np.float64], side: int, *, beyond: Beyond = "black"
) -> NDArray[np.uint8]:
    """The image (H, W, 3) warped by A: (side, side, 3), bilinear.

    Where A only shifts by whole pixels, the result is that part of the image itself, not a copy.
    """
    if (part := _part(image, A, side)) is not None:
        return part
    return np.asarray(cv2.cvtColor(_warped(image, A, side, beyond), cv2.COLOR_RGBA2RGB), np.uint8)


def warp_planes(
    image: NDArray[np.uint8], A: NDArray[np.float64], planes: NDArray[np.uint8]
) -> None:
    """As `warp`, black outside of the image, into planes (3, side, side), one per colour."""
    side = planes.shape[-1]
    if (part := _part(image, A, side)) is not None:
        cv2.split(part, list(planes))
    else:
        cv2.split(_warped(image, A, side), [*planes, _scratch.array("alpha", (side, side))])


class _Scratch(threading.local):
    """Memory that a thread reuses: fresh pages cost as much as the warp itself."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[np.uint8]] = {}

    def array(self, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """An array of this shape with arbitrary content."""
        size = math.prod(shape)
        if name not in self._arrays or self._arrays[name].size < size:
            self._arrays[name] = np.empty(size, np.uint8)
        return self._arrays[name][:size].reshape(shape)


_scratch = _Scratch()


def _warped(
    image: NDArray[np.uint8], A: NDArray[np.float64], side: int, beyond: Beyond = "black"
) -> NDArray[np.uint8]:
    """The image warped by A as RGBA, which OpenCV warps twice as fast as RGB; scratch."""
    image, A = antialias(image, A, beyond)
    four = _scratch.array("four", (*image.shape[:2], 4))
    warped = _scratch.array("warped", (side, side, 4))
    cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, dst=four)
    cv2.warpAffine(
        four,
        A[:2],
        (side, side),
        dst=warped,
        flags=cv2.INTER_LINEAR,
        borderMode=_BORDERS[beyond],
    )
    return warped


def _part(image: NDArray[np.uint8], A: NDArray[np.float64], side: int) -> NDArray[np.uint8] | None:
    """The part that A cuts out, if A does nothing else and the part lies inside the image."""
    (x, y), (height, width) = -A[:2, 2], image.shape[:2]
    inside = 0 <= x <= width - side and 0 <= y <= height - side
    if not (inside and x.is_integer() and y.is_integer() and np.array_equal(A[:2, :2], np.eye(2))):
        return None
    return image[int(y) : int(y) + side, int(x) : int(x) + side]


def antialias(
    image: NDArray[np.uint8], A: NDArray[np.float64], beyond: Beyond = "black"
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Image and A for bilinear sampling that shrinks to no less than half.

    Shrinking further would skip source pixels and alias fine texture, so blocks of k x k pixels are
    averaged first.
    """
    (a, b), (c, d) = A[:2, :2].tolist()
    block = int(1 / math.sqrt(abs(a * d - b * c)) + 1e-6)
    if block < 2:
        return image, A
    return _average(image, block, beyond), A @ _from_blocks(block)


def _average(image: NDArray[np.uint8], block: int, beyond: Beyond) -> NDArray[np.uint8]:
    """The mean of each block x block pixels; the last row and column are completed."""
    height, width = image.shape[:2]
    mode: Literal["constant", "edge"] = "constant" if beyond == "black" else "edge"
    image = np.pad(image, ((0, -height % block), (0, -width % block), (0, 0)), mode)
    size = (image.shape[1] // block, image.shape[0] // block)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _from_blocks(block: int) -> NDArray[np.float64]:
    """(3, 3): pixels of the averaged image -> pixels of the original (middle of each block)."""
    middle = (block - 1) / 2
    return np.array([[block, 0, middle], [0, block, middle], [0, 0, 1]])
