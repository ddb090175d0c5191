"""Pinhole camera: world to camera to pixel and back.

Camera x right, y down, z forward, in metres; pixel centres lie at whole numbers, so an image of
width W covers u in [-0.5, W - 0.5] and mirroring it takes u to W - 1 - u. Products are written as
sums where precision matters: under autocast a matrix product in bfloat16 is off by whole pixels.
All but `back_project` and `view_rotation` accept torch tensors and numpy arrays.

**A turned camera.** Points X of a camera K become R X in a frame that is turned by R about the same
centre, and K R^T sees each at the same pixel. K R^T is not upper triangular: its last row is
the camera's own axis as a unit vector of the turned frame, (0, 0, 1) without a turn.
"""

import operator
from functools import reduce
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = TypeVar("Array", Tensor, NDArray[Any])


def project(points: Array, K: Array) -> Array:
    """Pixels of camera points: points (..., N, 3) m, K (..., 3, 3) px -> uv (..., N, 2) px.

    K may be of a turned camera. The caller ensures that the points are in front of the camera's
    plane (K[2] X > 0; z > 0 without a turn); one in it has no image and gives inf.
    """
    uvw = _apply(K, points)  # (..., N, 3)
    uv: Array = uvw[..., :2] / uvw[..., 2:]
    return uv


def back_project(uv: Tensor, depth: Tensor, K: Tensor) -> Tensor:
    """Camera points: uv (..., N, 2) px, depth = z (..., N) m, K (..., 3, 3) px -> (..., N, 3) m.

    K may hold the rotation and shear of a warped crop and be of a turned camera; depth is along z
    of the turned frame. A pixel's ray is where two planes meet, those of its column and its row:
    no matrix is inverted, which would synchronise a GPU.
    """
    column, row, last = K[..., None, :, :].unbind(-2)  # (..., 1, 3)
    ray = torch.linalg.cross(column - uv[..., :1] * last, row - uv[..., 1:] * last)  # (..., N, 3)
    points: Tensor = depth[..., None] * (ray / ray[..., 2:])
    return points


def view_rotation(K: NDArray[Any], side: int) -> NDArray[np.float64]:
    """R (..., 3, 3): the smallest rotation that takes the ray of a square image's centre to +z.

    K (..., 3, 3) px, of an image `side` px wide; the centre is at (side - 1) / 2.
    """
    middle = (side - 1) / 2
    ray = np.linalg.solve(K.astype(np.float64), np.array([middle, middle, 1.0]))  # (..., 3)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    a, b, c = np.moveaxis(ray, -1, 0)
    # Rodrigues about the axis ray x z, whose sine is its length and whose cosine is c
    aa, ab, bb = a * a / (1 + c), a * b / (1 + c), b * b / (1 + c)
    return np.stack(
        [
            np.stack([1 - aa, -ab, -a], -1),
            np.stack([-ab, 1 - bb, -b], -1),
            ray,
        ],
        -2,
    )


def turn(points: Array, R: Array) -> Array:
    """R X: points (..., N, 3) of the camera's frame, R (..., 3, 3) -> in the turned frame."""
    return _apply(R, points)


def turn_back(points: Array, R: Array) -> Array:
    """R^T X, the inverse of `turn`: points (..., N, 3) of the turned frame -> of the camera's."""
    return _apply(R.swapaxes(-1, -2), points)


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


def mirrored_intrinsics(K: Tensor, side: int) -> Tensor:
    """K (..., 3, 3) px of images `side` px wide -> of these mirrored, of points with x -> -x."""
    pixels = K.new_tensor([[-1.0, 0.0, side - 1], [0.0, 1.0, 0.0]])
    return warp_intrinsics(K, pixels) * K.new_tensor([-1.0, 1.0, 1.0])


def _apply(matrix: Array, points: Array) -> Array:
    """Matrix (..., D, D) times each point: points (..., N, D) -> (..., N, D).

    Column by column: a sum over an axis of length three is many times slower.
    """
    columns = range(matrix.shape[-1])
    terms = (matrix[..., None, :, d] * points[..., d, None] for d in columns)  # each (..., N, D)
    product: Array = reduce(operator.add, terms)
    return product
