"""Vectorised z-buffer rasteriser: the triangle visible at each sample of a grid.

All triangles are expanded into the samples of their bounding boxes at once. Barycentric weights and
depth are linear there, so a candidate costs three multiply-adds; the nearest one per sample wins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.render.surface import FloatArray, IntArray

EDGE = -1e-4
"""Tolerance on barycentric weights: neighbouring triangles overlap slightly, without cracks."""


class Fragments(NamedTuple):
    """The P covered samples, in ascending order."""

    sample: IntArray  # (P,) row * width + column
    face: IntArray  # (P,) index into the given faces
    weights: FloatArray  # (P, 3) barycentric
    depth: FloatArray  # (P,)


def rasterize(
    xy: FloatArray, depth: FloatArray, faces: IntArray, size: tuple[int, int], back: bool = False
) -> Fragments:
    """The nearest triangle at every sample.

    Args:
        xy: (N, 2) in samples, x right, y down; samples lie at whole numbers.
        depth: (N,) larger is farther.
        faces: (F, 3) counter-clockwise seen from outside.
        size: (width, height) in samples.
        back: rasterise back faces instead of front faces.
    """
    width, height = size
    corners = np.ascontiguousarray(faces.T)  # (3, F); numpy is fast along a long last axis
    x, y = xy[:, 0][corners], xy[:, 1][corners]  # each (3, F)
    left, top = np.ceil(x.min(0)), np.ceil(y.min(0))  # (F,) first sample of the bounding box
    right, bottom = np.floor(x.max(0)), np.floor(y.max(0))
    left, top = np.maximum(left, 0), np.maximum(top, 0)
    right, bottom = np.minimum(right, width - 1), np.minimum(bottom, height - 1)
    # y points down: the area is negative for corners that run counter-clockwise on screen
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    facing = area > 0 if back else area < 0
    visible = np.flatnonzero(facing & (right >= left) & (bottom >= top))
    origin = np.stack([left[visible], top[visible]]).astype(np.int32)  # (2, F')
    extent = np.stack([right[visible], bottom[visible]]).astype(np.int32) - origin + 1
    plane = _planes(x[:, visible], y[:, visible], depth[corners[:, visible]], area[visible], origin)

    which, step = _expand(extent)  # (C,) triangle, (2, C) sample within its box
    plane = plane[:, :, which]  # (3, 3, C)
    w1, w2, z = plane[0] + plane[1] * step[0] + plane[2] * step[1]  # each (C,)
    inside = np.flatnonzero((w1 >= EDGE) & (w2 >= EDGE) & (w1 + w2 <= 1 - EDGE))
    column, row = origin[:, which[inside]] + step[:, inside]  # each (C',)
    sample = row * width + column
    nearest = _nearest(sample, z[inside], width * height)
    chosen = inside[nearest]
    w1, w2 = w1[chosen], w2[chosen]
    return Fragments(
        sample[nearest].astype(np.int64),
        visible[which[chosen]],
        np.stack([1 - w1 - w2, w1, w2], 1),
        z[chosen],
    )


def _planes(
    x: FloatArray, y: FloatArray, depth: FloatArray, area: FloatArray, origin: NDArray[np.int32]
) -> FloatArray:
    """Linear functions over each triangle's box: corner x, y, depth (3, F') -> (3, 3, F').

    First axis: value at `origin`, change per column, change per row. Second: w1, w2, depth.
    """
    start_x, start_y = origin[0] - x[0], origin[1] - y[0]  # small: float32 is exact enough
    per_column = np.stack([y[2] - y[0], y[0] - y[1]]) / area  # (2, F') of w1, w2
    per_row = np.stack([x[0] - x[2], x[1] - x[0]]) / area
    linear = np.stack([start_x * per_column + start_y * per_row, per_column, per_row])
    z = (linear * (depth[1:] - depth[0])).sum(1)  # (3, F')
    z[0] += depth[0]
    return np.concatenate([linear, z[:, None]], 1)


def _expand(extent: NDArray[np.int32]) -> tuple[IntArray, NDArray[np.int32]]:
    """All samples of all boxes: extent (2, F') -> box index (C,), column and row in it (2, C)."""
    count = extent[0] * extent[1]  # (F',)
    which = np.repeat(np.arange(len(count)), count)  # (C,)
    start = np.cumsum(count) - count
    within = (np.arange(len(which)) - start[which]).astype(np.int32)
    row, column = np.divmod(within, extent[0][which])
    return which, np.stack([column, row])


def _nearest(sample: IntArray, depth: FloatArray, count: int) -> IntArray:
    """The nearest candidate of each covered sample, samples in ascending order."""
    order = np.argsort(-depth, kind="stable")
    owner = np.full(count, -1, np.int64)
    owner[sample[order]] = order  # the last write, hence the nearest, wins
    return owner[owner >= 0]
