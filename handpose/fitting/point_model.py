"""Chosen points of a posed hand and their derivatives, without its mesh.

A joint is a weighted mean of vertices, and skinning is linear in the vertices: the mean of those
that bone k moves is one point of that bone. So 21 joints follow from some 70 points instead of 778
vertices times 16 bones, to the same result. Right hands only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import MANO_PARENTS

BONES = len(MANO_PARENTS)
LEVELS = tuple(slice(level, BONES - 1, 3) for level in range(3))
"""MANO's joints but the wrist are five chains of three: those of each level."""

BY_LEVEL = [0] + [1 + 5 * (joint % 3) + joint // 3 for joint in range(BONES - 1)]
"""Where MANO's joints lie in (wrist, all of level 0, all of level 1, all of level 2)."""

CROSS = torch.zeros(3, 3, 3)
CROSS[[0, 1, 2], [2, 0, 1], [1, 2, 0]] = 1.0
CROSS[[0, 1, 2], [1, 2, 0], [2, 0, 1]] = -1.0
CROSS = CROSS.view(3, 9)
"""Of a vector, the matrix (3 x 3) whose product with another one is their cross product."""

LEAST_WEIGHT = 1e-5
"""A bone's share of a point below this is left out: it moves the point by a micrometre."""


class Posed(NamedTuple):
    """Points of N hands, and what their derivatives are made of."""

    points: Tensor  # (N, 3, P) m
    turns: Tensor  # (N, 3, 3, 16) rotations of the bones from rest
    levers: Tensor  # (N, 3, 16, P) m: share of a point that a bone carries, from the bone's joint


class PointModel:
    """Points = matrix @ vertices, for a matrix (P, 778) whose rows sum to 1."""

    def __init__(self, mano: Mano, matrix: Tensor) -> None:
        """Contract the hand model with the matrix once, in double precision.

        Args:
            mano: the hand.
            matrix: (P, 778), such as `mano.joint_matrix`.
        """
        layer, M = mano.layer, matrix.double().cpu()
        template, shapes = layer.v_template.double().cpu(), layer.shapedirs.double().cpu()
        corrections = layer.posedirs.double().cpu().view(135, -1, 3)
        weights, regressor = layer.lbs_weights.double().cpu(), mano.J_regressor.double().cpu()
        rest = torch.cat([template[None], shapes.permute(2, 0, 1)])  # (11, 778, 3)
        joints = torch.einsum("jv,ivd->jid", regressor, rest)  # (16, 11, 3)
        share = M @ weights  # (P, 16)
        point, bone = (share.abs() > LEAST_WEIGHT).nonzero(as_tuple=True)
        pair = M[point] * weights[:, bone].T  # (Q, 778) of a pair of point and bone
        basis = torch.cat([rest, corrections])  # (146, 778, 3)
        table = torch.einsum("qv,ivd->idq", pair, basis)  # (146, 3, Q)
        own = share[point, bone]  # (Q,)
        # about the bone's joint; its place is added after the rotation
        table[:11] -= torch.einsum("q,qid->idq", own, joints[bone])
        below = _descends()  # (16, 16): row at or below column
        carried = torch.zeros(len(point), BONES, len(M), dtype=torch.float64)
        carried[torch.arange(len(point)), :, point] = below[bone]
        self.count = len(M)
        self._parents = list(MANO_PARENTS[1:])
        self.rest: Tensor = (M @ template).float()  # (P, 3) m, flat hand of mean shape
        self.rest_shapes: Tensor = torch.einsum("pv,vdk->pdk", M, shapes).float()  # (P, 3, 10)
        self.joints: Tensor = joints.float()  # (16, 1 + 10, 3) rest joints, linear in betas
        # an index along the last axis is slower than a product with zeros and ones
        self._of_bone = torch.zeros(BONES, len(point))
        self._of_bone[bone, torch.arange(len(point))] = 1
        self._own = self._of_bone * own.float()
        self._table = table.flatten(1).float()  # (146, 3 * Q)
        self._carried = carried.flatten(1).float()  # (Q, 16 * P)
        self._share = (share @ below).T.float()  # (16, P) that a bone and those below it move
        self._by_turn = _betas_by_turn(joints, share, table[1:11], point, bone).float()
        self._by_root = joints[0, 1:].float()  # (10, 3)

    def posed(self, root: Tensor, pose: Tensor, betas: Tensor) -> Posed:
        """Points about MANO's own origin.

        Args:
            root: (N, 3, 3) global rotation.
            pose: (N, 15, 3) full local rotations, axis-angle rad (the mean pose included).
            betas: (N, 10).
        """
        local = axis_angle_to_matrix(pose)  # (N, 15, 3, 3)
        rest = self.joints[:, 0] + torch.einsum("ni,jid->njd", betas, self.joints[:, 1:])
        bones = rest[:, 1:] - rest[:, self._parents]  # (N, 15, 3)
        step = torch.cat([local, bones[..., None]], -1)  # (N, 15, 3, 4)
        turn, place = root[:, None], rest[:, :1]
        turns, places = [turn], [place]
        for level in LEVELS:  # five digits at once
            moved = turn @ step[:, level]  # (N, 5, 3, 4)
            turn, place = moved[..., :3], place + moved[..., 3]
            turns.append(turn)
            places.append(place)
        R = torch.cat(turns, 1)[:, BY_LEVEL].permute(0, 2, 3, 1).contiguous()  # (N, 3, 3, 16)
        place = torch.cat(places, 1)[:, BY_LEVEL].mT  # (N, 3, 16)
        feature = torch.cat(
            [
                torch.ones_like(betas[:, :1]),
                betas,
                (local - torch.eye(3)).flatten(1),
            ],
            1,
        )  # (N, 146)
        offset = (feature @ self._table).view(len(betas), 3, -1)  # (N, 3, Q)
        x, y, z = (R @ self._of_bone).unbind(2)  # columns of the bones' rotations, (N, 3, Q)
        a, b, c = offset[:, :, None].unbind(1)  # each (N, 1, Q)
        moved = (place @ self._own).addcmul_(x, a).addcmul_(y, b).addcmul_(z, c)  # (N, 3, Q)
        levers = (moved @ self._carried).view(len(betas), 3, BONES, -1)
        points = levers[:, :, 0]  # the root carries everything
        return Posed(points, R, levers - self._share * place[..., None])

    def by_rotation(self, posed: Posed, axes: Tensor, out: Tensor) -> None:
        """Write derivatives by rotations of the bones: axes (N, 16, 3, 3) -> (N * 16, 9, P).

        `axes[n, b, :, i]` is the axis in space about which parameter i of bone b turns; of the
        result, 3 i + k is coordinate k. What the pose corrects in the mesh is left out: a
        millimetre a radian, of 30.
        """
        cross = axes.mT.reshape(-1, 3) @ CROSS  # (N * 16 * 3, 9)
        lever = posed.levers.transpose(1, 2).flatten(0, 1)  # (N * 16, 3, P)
        torch.bmm(cross.view(-1, 9, 3), lever, out=out)

    def by_betas(self, posed: Posed) -> Tensor:
        """Derivatives by betas: (N, 10, 3, P)."""
        n = len(posed.points)
        turned = posed.turns.reshape(n * 3, -1) @ self._by_turn  # (N * 3, 10 * P)
        by = turned.view(n, 3, 10, -1) + self._by_root.T[:, :, None]
        return by.transpose(1, 2)


def patches(mano: Mano, count: int) -> Tensor:
    """Means of `count` patches of neighbouring vertices that cover the mesh: (count, 778).

    Seeds are spread over the mean hand, each as far as possible from those before it.
    """
    at: NDArray[np.float32] = mano.layer.v_template.cpu().numpy()
    seeds = [int(at[:, 0].argmin())]
    distance = np.linalg.norm(at - at[seeds[0]], axis=1)
    while len(seeds) < count:
        seeds.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(at - at[seeds[-1]], axis=1))
    nearest = np.linalg.norm(at[:, None] - at[seeds], axis=-1).argmin(1)  # (778,)
    matrix = np.zeros((count, len(at)), np.float32)
    matrix[nearest, np.arange(len(at))] = 1
    return torch.from_numpy(matrix / matrix.sum(1, keepdims=True))


def _descends() -> Tensor:
    """1 where the bone (row) is the bone (column) or below it: (16, 16)."""
    below = torch.eye(BONES, dtype=torch.float64)
    for joint, parent in enumerate(MANO_PARENTS[1:], start=1):
        below[joint] += below[parent]
    return below


def _betas_by_turn(
    joints: Tensor, share: Tensor, table: Tensor, point: Tensor, bone: Tensor
) -> Tensor:
    """What betas add to the points before a bone's rotation: (3 * 16, 10 * P).

    Rows as `Posed.turns` flattened: the coordinate before rotation, then the bone.
    """
    by = torch.zeros(3, BONES, 10, len(share), dtype=torch.float64)
    by[:, bone, :, point] = table.permute(2, 1, 0)  # (Q, 3, 10): at most one pair each
    below = share @ _descends()  # (P, 16)
    for joint, parent in enumerate(MANO_PARENTS[1:], start=1):
        step = joints[joint, 1:] - joints[parent, 1:]  # (10, 3) of the bone that ends here
        by[:, parent] += torch.einsum("id,p->dip", step, below[:, joint])
    return by.view(3 * BONES, -1)
