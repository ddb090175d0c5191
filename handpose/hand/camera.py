"""Pinhole camera: world to camera to pixel and back.

Camera x right, y down, z forward, in metres; pixel centres lie at whole numbers, so an image of
width W covers u in [-0.5, W - 0.5] and mirroring it takes u to W - 1 - u. Products are written as
sums where precision matters: under autocast a matrix product in bfloat16 is off by whole pixels.
All but `back_project` accept torch tensors and numpy arrays.
"""

import operator
from functools import reduce
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

Array = TypeVar("Array", Tensor, NDArray[Any])


def project(points: Array, K: Array) -> Array:
    """Pixels of camera points: points (..., N, 3) m, K (..., 3, 3) px -> uv (..., N, 2) px.

    The caller ensures z > 0; a point in the camera plane has no image and gives inf.
    """
    uvw = _apply(K, points)  # (..., N, 3)
    uv: Array = uvw[..., :2] / uvw[..., 2:]
    return uv


def back_project(uv: Tensor, depth: Tensor, K: Tensor) -> Tensor:
    """Camera points: uv (..., N, 2) px, depth = z (..., N) m, K (..., 3, 3) px -> (..., N, 3) m.

    K may hold the rotation and shear of a warped crop; its last row is (0, 0, 1).
    """
    offset = uv - K[..., None, :2, 2]  # (..., N, 2)
    inverse = torch.linalg.inv_ex(K[..., :2, :2]).inverse  # (..., 2, 2); inv synchronises a GPU
    return torch.cat([_apply(inverse, offset) * depth[..., None], depth[..., None]], -1)


def world_to_camera(points: Array, R: Array, C: Array) -> Array:
    """R (X - C): points (..., N, 3), R (..., 3, 3), camera centre C (..., 3) -> (..., N, 3)."""
    return _apply(R, points - C[..., None, :])


def root_to_camera(
    root: Array, transl: Array, wrist: Array, R: Array, C: Array
) -> tuple[Array, Array]:
    """MANO's root rotation and translation in the camera from those in the world, exactly.

    MANO rotates the mesh about the rest-pose wrist J0, not about its origin:
    x = root (v - J0) + J0 + transl, so R (x - C) has the root R root and the translation
    R (transl - C) + (R - I) J0.

    Args:
        root: (..., 3, 3) in the world.
        transl: (..., 3) m in the world.
        wrist: (..., 3) m, J0 of the same betas (`Mano.rest_wrist`; mirrored for a left hand).
        R: (..., 3, 3) world to camera.
        C: (..., 3) m, camera centre in the world.

    Returns:
        (root, transl) in the camera.
    """
    rotated = _apply(R, (transl - C + wrist)[..., None, :])[..., 0, :]
    return (R[..., :, :, None] * root[..., None, :, :]).sum(-2), rotated - wrist


def warp_intrinsics(K: Array, affine: Array) -> Array:
    """K of the warped image: K (..., 3, 3) px, affine (..., 2 or 3, 3) old px -> new px."""
    warped = 1 * K
    warped[..., :2, :] = (affine[..., :2, :, None] * K[..., None, :, :]).sum(-2)
    return warped


def _apply(matrix: Array, points: Array) -> Array:
    """Matrix (..., D, D) times each point: points (..., N, D) -> (..., N, D).

    Column by column: a sum over an axis of length three is many times slower.
    """
    columns = range(matrix.shape[-1])
    terms = (matrix[..., None, :, d] * points[..., d, None] for d in columns)  # each (..., N, D)
    product: Array = reduce(operator.add, terms)
    return product
