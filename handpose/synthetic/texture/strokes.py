"""Lines drawn with a soft brush into a picture of the flat hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.surface import FloatArray

MM = 1e-3

SPACING_M = 0.003
"""Distance of a stroke's points, at which its course and depth vary."""
BRUSH_M, BRUSH_STEP = 0.00025, 1.25
"""The finest brush, and the factor from one to the next; strokes use the nearest."""


class Stroke(NamedTuple):
    """A line with a depth along it; its profile across is Gaussian."""

    points: FloatArray  # (K, 2) m, a smooth curve runs through them
    depth: FloatArray  # (K,)
    width: float  # m, standard deviation of the profile


class Grid(NamedTuple):
    """The texels of a picture of the flat hand; rows run along v."""

    origin: FloatArray  # (2,) m, u and v of the middle of the first texel
    texel_m: float
    shape: tuple[int, int]  # rows, columns

    def centres(self) -> tuple[FloatArray, FloatArray]:
        """The u of the columns (W,) and v of the rows (H,), m."""
        rows, columns = self.shape
        u = self.origin[0] + self.texel_m * np.arange(columns)
        v = self.origin[1] + self.texel_m * np.arange(rows)
        return u, v


def stroke(
    rng: np.random.Generator,
    through: Sequence[FloatArray],
    width: float,
    depth: float,
    *,
    wander: float = 0.0004,
    ends: tuple[float, float] = (0.15, 0.15),
) -> Stroke:
    """A line as skin has them: uneven in course and depth.

    Args:
        rng: of the person.
        through: (2,) m, at least two points.
        width: m, standard deviation of the profile.
        depth: in its middle.
        wander: m, standard deviation of the deviation from a smooth curve.
        ends: shares of the length over which the depth rises at the first and falls at the last
            end; 0: it ends bluntly.
    """
    course = np.array(through)
    count = max(4, round(_distance(course)[-1] / SPACING_M))
    t = np.linspace(0, 1, count)
    points = _smooth(course, t) + rng.normal(0, wander, (count, 2))
    rise, fall = (
        np.ones(count) if end == 0 else np.clip(x / end, 0, 1)
        for x, end in ((t, ends[0]), (1 - t, ends[1]))
    )
    uneven = 1 + 0.2 * rng.uniform(-1, 1, count)
    return Stroke(points, depth * rise * fall * uneven, width)


def paint(strokes: Sequence[Stroke], grid: Grid) -> NDArray[np.float32]:
    """The sum of the strokes' depths: (H, W)."""
    rows, columns = grid.shape
    layers: dict[int, NDArray[np.float64]] = {}
    for line in strokes:
        brush = max(0, round(np.log(line.width / BRUSH_M) / np.log(BRUSH_STEP)))
        layer = layers.setdefault(brush, np.zeros(rows * columns))
        at, depth, step = _dense(line, grid)
        _splat(layer, at, depth * step, columns)
    total = np.zeros(grid.shape, np.float32)
    for brush, layer in sorted(layers.items()):
        sigma = BRUSH_M * BRUSH_STEP**brush / grid.texel_m
        total += np.float32(sigma * np.sqrt(2 * np.pi)) * cv2.GaussianBlur(
            layer.reshape(rows, columns).astype(np.float32), (0, 0), sigma
        )
    return total


def _smooth(points: FloatArray, share: FloatArray) -> FloatArray:
    """A smooth curve through points (K, 2) at these shares (S,) of its chords' length: (S, 2).

    Source: cubic Hermite interpolation, with the tangents of the parabola through three points.
    """
    distance = _distance(points)
    tangent = np.gradient(points, distance, axis=0)
    at = share * distance[-1]
    k = np.searchsorted(distance[1:-1], at, side="right")  # (S,) segment
    length = np.diff(distance)[k][:, None]
    t = (at[:, None] - distance[k][:, None]) / length
    start, end = points[k], points[k + 1]
    pull = (1 - t) * length * tangent[k] - t * length * tangent[k + 1]
    return np.asarray(
        start + (end - start) * t * t * (3 - 2 * t) + t * (1 - t) * pull,
    )


def _distance(points: FloatArray) -> FloatArray:
    """Distance of points (K, 2) from the first one along their chords: (K,)."""
    chords = np.sqrt(np.square(np.diff(points, axis=0)).sum(1))
    return np.concatenate([[0], np.cumsum(chords)])


def _dense(line: Stroke, grid: Grid) -> tuple[FloatArray, FloatArray, float]:
    """The stroke every half texel: texels (S, 2), depths (S,), and the step in texels."""
    length = _distance(line.points)[-1] / grid.texel_m  # texels
    count = int(np.ceil(2 * length)) + 1
    share = np.linspace(0, 1, count)
    depth = np.interp(share, np.linspace(0, 1, len(line.depth)), line.depth)
    at = (_smooth(line.points, share) - grid.origin) / grid.texel_m
    return at, depth, float(length) / (count - 1)


def _splat(layer: NDArray[np.float64], at: FloatArray, value: FloatArray, columns: int) -> None:
    """Add values (S,) at texels (S, 2) to the flat layer, spread over four each, in place."""
    rows = len(layer) // columns
    first = np.floor(at).astype(np.int64)
    share = at - first
    inside = ((first >= 0) & (first < (columns - 1, rows - 1))).all(1)
    for right in (0, 1):
        for down in (0, 1):
            weight = np.abs(1 - right - share[:, 0]) * np.abs(1 - down - share[:, 1])
            index = (first[:, 1] + down) * columns + first[:, 0] + right
            np.add.at(layer, index[inside], (weight * value)[inside])
