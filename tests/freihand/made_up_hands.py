"""Hands of the stand-in in a camera: what the writers of made-up benchmarks write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix


class MadeUpHands(NamedTuple):
    """N right hands in camera axes as ours, joints by the fingertips asked for."""

    global_orient: NDArray[Any]  # (N, 3)
    hand_pose: NDArray[Any]  # (N, 45) relative to hands_mean
    betas: NDArray[Any]  # (N, 10)
    transl: NDArray[Any]  # (N, 3)
    joints: NDArray[Any]  # (N, 21, 3)
    vertices: NDArray[Any]  # (N, 778, 3)


def made_up_hands(mano: Mano, count: int, tips: str, seed: int = 0) -> MadeUpHands:
    """Hands about 0.7 m in front of the camera."""
    rng = torch.Generator().manual_seed(seed)
    root = torch.randn(count, 3, generator=rng)
    pose = 0.2 * torch.randn(count, 45, generator=rng)
    betas = 0.5 * torch.randn(count, 10, generator=rng)
    vertices = mano(axis_angle_to_matrix(root), mano.rotations(pose), betas).vertices
    place = torch.tensor([0.0, 0.0, 0.7]) + 0.02 * torch.randn(count, 3, generator=rng)
    transl = place - vertices.mean(1)
    vertices = vertices + transl[:, None]
    joints = mano.joints_from(vertices, tips)
    parts = (root, pose, betas, transl, joints, vertices)
    return MadeUpHands(*(part.double().numpy() for part in parts))


def write_photo(path: Path, size: tuple[int, int], number: int) -> None:
    """A picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    small = rng.integers(40, 200, (size[1] // 8, size[0] // 8, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(small, size))
