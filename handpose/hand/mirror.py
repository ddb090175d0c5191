"""The only place that distinguishes left from right: mirroring in x by the sign of `is_left`.

MANO parameters are always those of a right hand; images, pixels and camera-space joints stay as
seen. A left hand is the mirror image of a right one, with the MANO parameters of that right hand.
The functions are their own inverses, and leave the right hands of a batch unchanged.
"""

import torch
from torch import Tensor


def sign(is_left: Tensor) -> Tensor:
    """-1 for left hands and +1 for right ones: is_left (B,) bool -> (B,) float."""
    return 1.0 - 2.0 * is_left.float()


def mirror_points(points: Tensor, is_left: Tensor) -> Tensor:
    """Points with x negated for left hands: points (B, ..., 3), is_left (B,) -> (B, ..., 3)."""
    s = sign(is_left)
    return points * _along_batch(torch.stack([s, s.abs(), s.abs()], -1), points.ndim)


def mirror_axis_angle(axis_angle: Tensor, is_left: Tensor) -> Tensor:
    """(a, b, c) -> (a, -b, -c) for left hands: axis_angle (B, ..., 3), is_left (B,).

    A rotation axis is a pseudovector: a mirror negates its components *in* the mirror plane.
    """
    s = sign(is_left)
    return axis_angle * _along_batch(torch.stack([s.abs(), s, s], -1), axis_angle.ndim)


def _along_batch(factor: Tensor, ndim: int) -> Tensor:
    """A (B, 3) factor shaped to multiply (B, ..., 3) of `ndim` dimensions."""
    return factor.view(-1, *[1] * (ndim - 2), 3)
