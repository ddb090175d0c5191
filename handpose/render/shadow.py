"""Soft shadows by shadow mapping.

The shadow map holds the back faces seen from the light, so that a lit surface lies well in front of
the depth it is compared with; the remaining acne at grazing angles is removed by a normal offset.
"""

from __future__ import annotations

import numpy as np

from handpose.render.raster import rasterize
from handpose.render.surface import FloatArray, IntArray, Mesh

TEXELS = 144
TOWARDS_M = 0.002
OFFSET_TEXELS = 2.0
"""Offsets of a point before its look-up: towards the light, and along the normal in proportion to
the grazing angle."""


def lit_fraction(
    mesh: Mesh, faces: IntArray, points: FloatArray, normal: FloatArray, towards: FloatArray
) -> FloatArray:
    """Fraction of a directional light that reaches each point: (P,) 0..1.

    Args:
        mesh: casts the shadows.
        faces: (F, 3) the faces of it that do.
        points: (P, 3) m, on the mesh.
        normal: (P, 3) unit, there.
        towards: (3,) unit, from the mesh to the light.
    """
    if len(points) == 0:
        return np.zeros(0, np.float32)
    axes = _axes(towards)
    position, slope = points @ axes, normal @ axes  # (P, 3) right, down and away from the light
    extent = max(float(np.ptp(position[:, k])) for k in (0, 1))
    texel = extent / (TEXELS - 9) + 1e-6  # room for the offset and the filter on every side
    grazing = np.sqrt(1 - np.minimum(slope[:, 2:] ** 2, 1))
    position += slope * (OFFSET_TEXELS * texel * grazing)
    position[:, 2] -= TOWARDS_M
    corner = np.array([position[:, k].min() - 2 * texel for k in (0, 1)], np.float32)
    casting = mesh.vertices @ axes
    shadow = rasterize(
        (casting[:, :2] - corner) / texel, casting[:, 2], faces, (TEXELS, TEXELS), back=True
    )
    depth = np.full(TEXELS**2, np.inf, np.float32)
    depth[shadow.sample] = shadow.depth
    return _filtered(depth, (position[:, :2] - corner) / texel, position[:, 2])


def _axes(towards: FloatArray) -> FloatArray:
    """Axes of the light's view as columns, (3, 3): right, down, forward."""
    right = np.cross(towards, (0, 0, 1) if abs(towards[2]) < 0.9 else (1, 0, 0))
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, towards), -towards], 1).astype(np.float32)


def _filtered(depth: FloatArray, at: FloatArray, distance: FloatArray) -> FloatArray:
    """Fraction of the map around `at` (P, 2) texels that is farther than `distance` (P,): (P,).

    Percentage-closer filtering with a quadratic B-spline over 3 x 3 texels.
    """
    whole = np.rint(at)
    f = at - whole  # (P, 2) within -0.5..0.5
    weight = np.stack([0.5 * (0.5 - f) ** 2, 0.75 - f**2, 0.5 * (0.5 + f) ** 2])  # (3, P, 2)
    middle = (whole[:, 1] * TEXELS + whole[:, 0]).astype(np.int64)
    lit = np.zeros(len(at), np.float32)
    for row in range(3):
        for column in range(3):
            blocker = depth[middle + (row - 1) * TEXELS + column - 1]
            lit += weight[row, :, 1] * weight[column, :, 0] * (distance < blocker)
    return lit
