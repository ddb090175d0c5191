"""Where in the camera's frame a hand is that is known about its wrist alone."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

NEAREST_M = 0.01
"""No joint is nearer to the camera."""


def wrist_by_pixels(joints: Floats, uv: Floats, K: Floats) -> Floats:
    """The translation that brings joints nearest to where they are seen: (N, 3) m.

    Least squares of (X + t) - ray (Z + t_z), in which t is linear; the hand's own size gives the
    depth. Where that puts a joint behind the camera, because pixels and joints are of different
    hands, the depth is that of weak perspective: the ratio of their sizes.

    Args:
        joints: (N, 21, 3) m about any origin, in the camera's axes.
        uv: (N, 21, 2) px, where they are seen.
        K: (N, 3, 3) px.
    """
    homogeneous = np.concatenate([uv, np.ones_like(uv[..., :1])], -1)
    rays = homogeneous @ np.linalg.inv(K).swapaxes(1, 2)  # (N, 21, 3)
    rays = rays[..., :2] / rays[..., 2:]
    # rows of A t = b: t_x - ray_x t_z = ray_x Z - X, and the same of y
    A = np.zeros((*uv.shape, 3))
    A[..., 0, 0] = A[..., 1, 1] = 1
    A[..., 2] = -rays
    b = rays * joints[..., 2:] - joints[..., :2]  # (N, 21, 2)
    rows, target = A.reshape(len(A), -1, 3), b.reshape(len(b), -1, 1)
    normal = rows.swapaxes(1, 2) @ rows
    found = np.linalg.solve(normal, rows.swapaxes(1, 2) @ target)[..., 0]  # (N, 3)
    nearest = joints[..., 2].min(1)
    behind = found[:, 2] + nearest < NEAREST_M
    depth = np.maximum(_spread(joints[..., :2]) / _spread(rays), NEAREST_M - nearest)
    beside = (rays * depth[:, None, None] - joints[..., :2]).mean(1)
    weak = np.concatenate([beside, depth[:, None]], 1)
    return np.where(behind[:, None], weak, found)


def _spread(points: Floats) -> Floats:
    """Root mean square distance from their mean: (N, P, 2) -> (N,)."""
    away = points - points.mean(1, keepdims=True)
    return np.asarray(np.sqrt((away**2).sum((1, 2))))
