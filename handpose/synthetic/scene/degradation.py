"""What a worse camera does to an image: blur, motion, coarse pixels, noise, colour cast, JPEG.

Lengths are in pixels of an image whose short side is REFERENCE_PX, and grow with the image, so that
a crop of the hand looks alike at every image size.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.surface import FloatArray

REFERENCE_PX = 160
CLEAN_SHARE = 0.4
"""Of the images, which stay clean at any severity."""

BLUR_PX = 1.75
"""Greatest standard deviation of the additional lens blur."""
MOTION_PX = 7.0
"""Greatest length of a motion."""
MOTION_SHARE = 0.35
SHRINKING = 3.0
"""Greatest factor by which an image is shrunk and enlarged again."""
SHRINKING_SHARE = 0.35
NOISE = 4.0
"""Greatest additional noise, as a multiple of the sensor's own."""
CAST = 0.22
"""Greatest colour cast, in log gain of a channel."""
WORST_QUALITY = 40


class Degradation(NamedTuple):
    """How one image is worse than its sensor's; the defaults change nothing."""

    quality: int  # of the JPEG
    blur_px: float = 0.0  # additional standard deviation, in pixels of this image
    motion_px: FloatArray | None = None  # (2,) way during the exposure, in pixels of this image
    whole_moves: bool = False  # the camera moves, else the hand does
    size: tuple[int, int] | None = None  # width and height of the coarser sensor
    noise: float = 1.0  # factor of the sensor's noise
    gain: NDArray[np.float32] | None = None  # (3,) colour cast


def sample_degradation(
    rng: np.random.Generator, greatest: float, size: tuple[int, int], best_quality: int
) -> Degradation:
    """Sample how one image is worse.

    Args:
        rng: of the image's degradation.
        greatest: severity, 0..1; that of the image lies between 0 and this.
        size: width and height of the image.
        best_quality: of the JPEG, of clean images.
    """
    severity = greatest * max(0.0, rng.uniform(-CLEAN_SHARE, 1 - CLEAN_SHARE)) / (1 - CLEAN_SHARE)
    if severity == 0:
        return Degradation(best_quality)
    pixel = min(size) / REFERENCE_PX
    blur, way, coarse, noise, loss = severity * rng.uniform(0.2, 1, 5)
    moves, shrinks = rng.uniform(size=2) < (MOTION_SHARE, SHRINKING_SHARE)
    angle = rng.uniform(0, np.pi)
    motion = MOTION_PX * pixel * way * np.array([np.cos(angle), np.sin(angle)])
    factor = 1 + (max(1.0, SHRINKING * pixel) - 1) * coarse
    return Degradation(
        quality=round(best_quality - loss * max(0, best_quality - WORST_QUALITY)),
        blur_px=BLUR_PX * pixel * blur,
        motion_px=motion if moves else None,
        whole_moves=bool(rng.uniform() < 0.5),
        size=(max(1, round(size[0] / factor)), max(1, round(size[1] / factor)))
        if shrinks
        else None,
        noise=1 + NOISE * noise,
        gain=np.exp(severity * rng.uniform(-CAST, CAST, 3)).astype(np.float32),
    )


def smear(picture: NDArray[np.float32], motion_px: FloatArray) -> NDArray[np.float32]:
    """Average a picture (H, W) or (H, W, C) along a straight way (2,) px, centred on each pixel."""
    steps = 4 * int(np.ceil(np.hypot(*motion_px))) + 1
    places = np.linspace(-0.5, 0.5, steps)[:, None] * motion_px  # (M, 2)
    reach = int(np.ceil(np.abs(places).max()))
    kernel = np.zeros((2 * reach + 2, 2 * reach + 2), np.float32)
    corner = np.floor(places).astype(int)
    part = places - corner  # (M, 2), bilinear
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1]) / steps
            np.add.at(kernel, (corner[:, 1] + dy + reach, corner[:, 0] + dx + reach), weight)
    # the last row and column are used by rounding alone; dropped, the kernel's middle is a pixel
    odd = kernel[:-1, :-1] / kernel[:-1, :-1].sum()
    return np.asarray(cv2.filter2D(picture, -1, odd, borderType=cv2.BORDER_REPLICATE))
