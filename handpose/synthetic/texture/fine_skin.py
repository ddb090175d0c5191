"""Mottling and pores: skin texture that is coarser and finer than the grain."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.synthetic.texture.strokes import Grid

BLOTCH_M = 0.0025
"""Standard deviation of the blur that makes blotches of 6 to 10 mm out of noise."""
LINE_M = (0.0006, 0.00028)
"""Of the blur that makes fine lines: along and across them."""
FADE_M = 0.03
"""Length over which fine skin ends on the arm."""
CROSSING_DEG = 32.0
"""Angle of the fine lines of the back to the direction across the hand."""


def mottling(rng: np.random.Generator, grid: Grid) -> NDArray[np.float32]:
    """Blotches with more and less blood: (H, W), mean 0, standard deviation 1."""
    noise = rng.standard_normal(grid.shape, np.float32)
    sigma = BLOTCH_M / grid.texel_m
    coarse = cv2.GaussianBlur(noise, (0, 0), sigma)
    medium = cv2.GaussianBlur(noise, (0, 0), 0.4 * sigma)
    return _standard(_standard(coarse) + 0.3 * _standard(medium))


def fine_lines(rng: np.random.Generator, grid: Grid, crossing: bool) -> NDArray[np.float32]:
    """Fine lines and pores: (H, W), mean 0, standard deviation 1.

    Args:
        rng: of the person.
        grid: of the picture.
        crossing: two sets of lines that cross, as on the back; else one, across the hand.
    """
    total = np.zeros(grid.shape, np.float32)
    for angle in (-CROSSING_DEG, CROSSING_DEG) if crossing else (0.0,):
        noise = rng.standard_normal(grid.shape, np.float32)
        total += cv2.filter2D(noise, -1, _brush(angle, grid.texel_m))
    return _standard(total)


def fade_out(grid: Grid) -> NDArray[np.float32]:
    """Share of the fine skin that shows in each row, where the picture ends on the arm: (H, 1)."""
    v = grid.centres()[1]
    return np.asarray(np.clip((v - v[0]) / FADE_M, 0, 1)[:, None], np.float32)


def _brush(angle_deg: float, texel_m: float) -> NDArray[np.float32]:
    """An elongated Gaussian, by its angle from u."""
    reach = int(np.ceil(2.5 * LINE_M[0] / texel_m))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] * texel_m
    angle = np.radians(angle_deg)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    brush = np.exp(-np.square(along / LINE_M[0]) / 2 - np.square(across / LINE_M[1]) / 2)
    return np.asarray(brush / brush.sum(), np.float32)


def _standard(picture: NDArray[Any]) -> NDArray[np.float32]:
    """The picture, scaled to mean 0 and standard deviation 1."""
    return np.asarray((picture - picture.mean()) / picture.std(), np.float32)
