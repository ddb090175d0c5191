"""Soft shadows from a depth map as the lamp sees the mesh.

The map holds faces turned away from the lamp, so that a lit surface lies well before what it is
compared with; what is left of the stripes on grazing skin is taken away by moving the point that
asks.
"""

from __future__ import annotations

import numpy as np

from handpose.render.raster import rasterize
from handpose.render.surface import FloatArray, IntArray, Mesh

TEXELS = 144
TOWARDS_M = 0.002
OFFSET_TEXELS = 2.0
"""Before a point asks the map it is moved towards the lamp, and along its normal the more its light
grazes."""


def lit_share(
    mesh: Mesh, faces: IntArray, points: FloatArray, normal: FloatArray, towards: FloatArray
) -> FloatArray:
    """Share of a lamp's light that reaches each point: (P,) 0..1.

    Args:
        mesh: what casts shadows.
        faces: (F, 3) those of its faces that do.
        points: (P, 3) m, on the mesh.
        normal: (P, 3) unit, there.
        towards: (3,) unit, from the mesh to the lamp, which is far away.
    """
    if len(points) == 0:
        return np.zeros(0, np.float32)
    axes = _axes(towards)
    place, slope = points @ axes, normal @ axes  # (P, 3) right, down and away from the lamp
    extent = max(float(np.ptp(place[:, k])) for k in (0, 1))
    texel = extent / (TEXELS - 9) + 1e-6  # room for the offset and the filter on every side
    grazing = np.sqrt(1 - np.minimum(slope[:, 2:] ** 2, 1))
    place += slope * (OFFSET_TEXELS * texel * grazing)
    place[:, 2] -= TOWARDS_M
    corner = np.array([place[:, k].min() - 2 * texel for k in (0, 1)], np.float32)
    casting = mesh.vertices @ axes
    shadow = rasterize(
        (casting[:, :2] - corner) / texel, casting[:, 2], faces, (TEXELS, TEXELS), back=True
    )
    depth = np.full(TEXELS**2, np.inf, np.float32)
    depth[shadow.sample] = shadow.depth
    return _filtered(depth, (place[:, :2] - corner) / texel, place[:, 2])


def _axes(towards: FloatArray) -> FloatArray:
    """(3, 3) columns: right, down and forward of one who looks along the light."""
    right = np.cross(towards, (0, 0, 1) if abs(towards[2]) < 0.9 else (1, 0, 0))
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, towards), -towards], 1).astype(np.float32)


def _filtered(depth: FloatArray, at: FloatArray, distance: FloatArray) -> FloatArray:
    """Share of the map around `at` (P, 2) texels that is farther than `distance` (P,): (P,).

    A quadratic B-spline over 3 x 3 texels makes a smooth penumbra of yes and no.
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
