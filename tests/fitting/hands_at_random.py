"""Hands whose parameters are known: gestures, and joints turned about every axis."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from handpose.fitting.hand_fit import HandFits
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.synthetic.articulation import Articulation, read_gesture_poses


class KnownHands(NamedTuple):
    """Parameters as `HandFits` has them, and what follows."""

    global_orient: Tensor
    hand_pose: Tensor
    betas: Tensor
    transl: Tensor
    is_left: Tensor
    vertices: Tensor
    joints: Tensor


def known_hands(mano: Mano, n: int, *, spread: float = 0.0, betas: float = 0.7) -> KnownHands:
    """Every second one a left hand, 0.7 m before a camera; posed by `Mano.forward` itself.

    spread: standard deviation in rad about every axis; 0: mixtures of two gestures.
    """
    rng = torch.Generator().manual_seed(1)
    numbers = np.random.default_rng(1)
    root = 1.5 * torch.randn(n, 3, generator=rng)
    if spread:
        pose = spread * torch.randn(n, 45, generator=rng)
    else:
        table = np.stack([row.angles for row in read_gesture_poses()])
        articulation = Articulation((mano.J_regressor @ mano.layer.v_template).numpy())
        one, other = table[numbers.integers(0, len(table), (2, n))]
        share = numbers.uniform(size=(n, 1))
        full = articulation.pose(share * one + (1 - share) * other)
        pose = torch.from_numpy(full).float().view(n, 45) - mano.hands_mean
    shape = betas * torch.randn(n, 10, generator=rng)
    transl = 0.1 * torch.randn(n, 3, generator=rng) + torch.tensor([0.0, 0.0, 0.7])
    is_left = torch.arange(n) % 2 == 1
    posed = mano(axis_angle_to_matrix(root), mano.rotations(pose), shape)
    vertices, joints = (mirror_points(points, is_left) + transl[:, None] for points in posed)
    return KnownHands(root, pose, shape, transl, is_left, vertices, joints)


def posed_points(mano: Mano, fits: HandFits, is_left: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices (N, 778, 3) and joints (N, 21, 3) m of fits, in the frame of the points."""
    rotations = mano.rotations(fits.hand_pose)
    posed = mano(axis_angle_to_matrix(fits.global_orient), rotations, fits.betas)
    vertices, joints = (mirror_points(points, is_left) + fits.transl[:, None] for points in posed)
    return vertices, joints
