"""Rotations as axis-angle, matrix and 6D, batched over any leading dimensions.

All conversions have finite values and gradients everywhere, including zero rotations and half
turns, because networks start there.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SMALL_ANGLE_SQ = 1e-4
"""Below this squared angle (0.01 rad) a series replaces sin(t) / t: exact to float32 there."""


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula: axis_angle (..., 3) rad -> (..., 3, 3)."""
    angle_sq = axis_angle.square().sum(-1)[..., None, None]  # (..., 1, 1)
    small = angle_sq < SMALL_ANGLE_SQ
    # `where` twice: the branch not taken must not divide by zero, or its gradient is NaN
    angle = torch.where(small, 1.0, angle_sq).sqrt()
    sine = torch.where(small, 1 - angle_sq / 6, angle.sin() / angle)
    versine = torch.where(small, 0.5 - angle_sq / 24, (1 - angle.cos()) / angle.square())
    # the square of K = [a]x in closed form: no matmul, so that autocast keeps float32
    outer = axis_angle[..., :, None] * axis_angle[..., None, :]  # (..., 3, 3)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + sine * _cross_matrix(axis_angle) + versine * (outer - angle_sq * eye)


def _cross_matrix(a: Tensor) -> Tensor:
    """[a]x with [a]x b = a x b: a (..., 3) -> (..., 3, 3)."""
    x, y, z = a.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(*a.shape, 3)


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """Axis times angle, angle in [0, pi]: matrix (..., 3, 3) -> (..., 3) rad."""
    quaternion = _matrix_to_quaternion(matrix)  # (..., 4) w x y z, w >= 0
    w, axis = quaternion[..., :1], quaternion[..., 1:]
    half_sq = axis.square().sum(-1, keepdim=True)  # sin^2 of half the angle
    small = half_sq < SMALL_ANGLE_SQ
    half = torch.where(small, 1.0, half_sq).sqrt()
    # angle / sin(angle / 2); asin(s) = s + s^3 / 6 near zero
    factor = torch.where(small, 2 + half_sq / 3, 2 * torch.atan2(half, w) / half)
    return factor * axis


def _matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Unit quaternion w x y z with w >= 0: matrix (..., 3, 3) -> (..., 4).

    4 q q^T is linear in the matrix. Each of its rows is a multiple of q, and the row with the
    largest diagonal entry has length at least 1, so that no division is near zero.
    """
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = matrix.flatten(-2).unbind(-1)
    wx, wy, wz = m21 - m12, m02 - m20, m10 - m01
    xy, xz, yz = m10 + m01, m02 + m20, m21 + m12
    rows = [
        *(1 + m00 + m11 + m22, wx, wy, wz),
        *(wx, 1 + m00 - m11 - m22, xy, xz),
        *(wy, xy, 1 - m00 + m11 - m22, yz),
        *(wz, xz, yz, 1 - m00 - m11 + m22),
    ]
    products = torch.stack(rows, -1).view(*m00.shape, 4, 4)  # = 4 q q^T
    largest = products.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None]  # (..., 1, 1)
    row = products.take_along_dim(largest, dim=-2).squeeze(-2)  # (..., 4)
    quaternion = F.normalize(row, dim=-1)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def rot6d_to_matrix(rot6d: Tensor) -> Tensor:
    """Gram-Schmidt of two raw columns: rot6d (..., 6) = (column 1, column 2) -> (..., 3, 3).

    Source: Zhou et al., On the Continuity of Rotation Representations, CVPR 2019, eq. 15.
    """
    first = F.normalize(rot6d[..., :3], dim=-1, eps=1e-6)
    second = rot6d[..., 3:]
    second = second - (first * second).sum(-1, keepdim=True) * first
    second = F.normalize(second, dim=-1, eps=1e-6)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def matrix_to_rot6d(matrix: Tensor) -> Tensor:
    """The first two columns, one after the other: matrix (..., 3, 3) -> (..., 6)."""
    return torch.cat([matrix[..., :, 0], matrix[..., :, 1]], -1)
