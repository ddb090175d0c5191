"""Texture finer than the mesh: charts, each shown where its weight is, and mip levels of them.

A chart is a picture of the surface's rest pose: change of colour, and relief as slopes, which tilt
the normals. The footprint of a sample selects the mip level, so that fine lines fade with distance
instead of aliasing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.surface import FloatArray, IntArray, Mesh

CHANNELS = 5
"""Of a chart: change in log red, green and blue, and slope of the relief along u and v."""

STEEPEST = 3.0
"""Largest gradient of u and v on the posed surface; 1 where it is as at rest."""
SMALLEST = 1e-16
"""Of a triangle's squared double area, m^4."""

ROW = 256
"""Samples per row of the grid that OpenCV is given, which limits the sides of a picture."""


class Charts(NamedTuple):
    """C charts with a common parametrisation, and where each of them shows."""

    uv: NDArray[np.float32]  # (N, 2) m, per vertex, distance from the middle of the first texel
    weights: NDArray[np.float32]  # (N, C) per vertex
    texel_m: float  # of the finest level
    levels: Sequence[NDArray[np.float32]]  # each (C, H, W, CHANNELS), half the one before

    def doubled(self) -> Charts:
        """The charts of two joined meshes that look alike."""
        uv, weights = (np.concatenate([part, part]) for part in self[:2])
        return self._replace(uv=uv, weights=weights)

    def look_up(self, uv: FloatArray, weights: FloatArray, footprint: float) -> FloatArray:
        """The texture at P samples: (P, CHANNELS).

        Args:
            uv: (P, 2) m.
            weights: (P, C).
            footprint: m, distance of neighbouring samples on the surface.
        """
        level = round(np.log2(max(footprint / self.texel_m, 1)))
        level = min(level, len(self.levels) - 1)
        scale = 0.5**level
        # the middle of a level's first texel is the middle of the texels that it averages
        at = uv / self.texel_m * scale + (0.5 * scale - 0.5)
        rows = len(at) // ROW + 1  # OpenCV refuses to look up nothing
        grid = np.zeros((rows * ROW, 2), np.float32)
        grid[: len(at)] = at
        u, v = grid.T.reshape(2, rows, ROW)
        total = np.zeros((len(at), CHANNELS), np.float32)
        for chart, weight in zip(self.levels[level], weights.T, strict=True):
            shown = np.asarray(cv2.remap(chart, u, v, cv2.INTER_LINEAR))  # 0 beyond the chart
            total += weight[:, None] * shown.reshape(-1, CHANNELS)[: len(at)]
        return total


def mip_levels(charts: NDArray[np.float32], count: int) -> list[NDArray[np.float32]]:
    """The charts (C, H, W, CHANNELS) and `count - 1` reductions by two; sides divisible by all."""
    levels = [charts]
    for _ in range(count - 1):
        pictures, height, width, _ = levels[-1].shape
        parts = levels[-1].reshape(pictures, height // 2, 2, width // 2, 2, CHANNELS)
        levels.append(np.ascontiguousarray(parts.mean((2, 4))))
    return levels


def tilted(
    mesh: Mesh, faces: IntArray, seen: IntArray, uv: FloatArray, slope: FloatArray
) -> FloatArray:
    """What a relief adds to the normals of P samples: (P, 3), not normalised.

    The posed surface may be stretched: the slope is taken to it by the gradients of u and v, which
    are constant on a triangle.

    Args:
        mesh: posed.
        faces: (F, 3) of it.
        seen: (P,) the triangle of each sample.
        uv: (N, 2) m, per vertex.
        slope: (P, 2) rise along u and v.
    """
    used = np.zeros(len(faces), bool)
    used[seen] = True
    which = np.cumsum(used)[seen] - 1  # (P,) among the triangles in use
    faces = faces[used]
    corners, at = mesh.vertices[faces], uv[faces]  # (F', 3, 3), (F', 3, 2)
    b, c = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]  # (F', 3)
    (du, dv), (eu, ev) = ((at[:, k] - at[:, 0]).T for k in (1, 2))  # change along b, along c
    bb, bc, cc = (np.einsum("fk,fk->f", x, y) for x, y in ((b, b), (b, c), (c, c)))
    area = np.maximum(bb * cc - bc * bc, SMALLEST)
    rise = np.zeros((len(seen), 3), np.float32)
    for along_b, along_c, part in ((du, eu, slope[:, 0]), (dv, ev, slope[:, 1])):
        to_b, to_c = (cc * along_b - bc * along_c) / area, (bb * along_c - bc * along_b) / area
        gradient = to_b[:, None] * b + to_c[:, None] * c  # (F', 3)
        length = np.sqrt(np.einsum("fk,fk->f", gradient, gradient))[:, None]
        gradient *= STEEPEST / np.maximum(length, STEEPEST)
        rise += part[:, None] * gradient[which]
    return -rise
