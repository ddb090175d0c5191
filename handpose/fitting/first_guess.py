"""Where a fit begins, in closed form: shape from bone lengths, palm, then bone after bone."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.fitting.point_model import PointModel
from handpose.fitting.pose_prior import PosePrior
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import FINGERS, JOINTS, MANO_JOINTS, PARENTS

LENGTH_DEVIATION = 2e-3
"""Of a bone between regressed joints, m: by so much they move within the skin of a bent hand."""

VIEWS = 32
"""Directions that a hand is tried from when only pixels are known."""

CURLED = 0.9
"""Bend of every finger joint in the second hand that is tried, rad beyond the relaxed one."""

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))

PALM = [JOINTS.index(name) for name in ("wrist", *(f"{finger}_1" for finger in FINGERS[1:]))]


class HandState(NamedTuple):
    """Parameters of N right hands."""

    root: Tensor  # (N, 3, 3)
    x: Tensor  # (N, 15, 3) angles of `PosePrior`
    betas: Tensor  # (N, 10)
    transl: Tensor  # (N, 3) m

    def rows(self, index: Tensor) -> HandState:
        """Some of the hands."""
        return HandState(*(part[index] for part in self))


class FirstGuess:
    """Closed-form starts of one hand model, whose points are the 21 joints."""

    def __init__(self, model: PointModel, prior: PosePrior) -> None:
        """Prepare the least squares of bone lengths."""
        self._model, self._prior = model, prior
        child, parent = torch.arange(1, 21), torch.tensor(PARENTS[1:])
        bones = model.rest[child] - model.rest[parent]  # (20, 3)
        self._lengths = bones.norm(dim=-1)  # (20,)
        direction = bones / self._lengths[:, None]
        change = model.rest_shapes[child] - model.rest_shapes[parent]  # (20, 3, 10)
        slope = torch.einsum("bd,bdk->bk", direction, change) / LENGTH_DEVIATION
        normal = slope.T @ slope + torch.eye(10)
        self._solver = torch.linalg.solve(normal, slope.T) / LENGTH_DEVIATION  # (10, 20)
        self._child, self._parent = child, parent

    def of_joints(self, joints: Tensor, betas: Tensor | None = None) -> HandState:
        """From 21 joints of right hands (N, 21, 3) m; `betas` (N, 10) where the shape is known."""
        if betas is None:
            lengths = (joints[:, self._child] - joints[:, self._parent]).norm(dim=-1)
            betas = ((lengths - self._lengths) @ self._solver.T).clamp(-3, 3)
        rest = self._model.rest + torch.einsum("pdk,nk->npd", self._model.rest_shapes, betas)
        root = kabsch(rest[:, PALM], joints[:, PALM])
        turns, poses = [root.unsqueeze(1).expand(-1, 5, 3, 3)], []
        for level in (1, 2, 3):  # five fingers at once
            here, there = (
                [JOINTS.index(name) for name in names]
                for names in (
                    [f"{finger}_{level}" for finger in FINGERS],
                    [f"{finger}_{level + 1 if level < 3 else 'tip'}" for finger in FINGERS],
                )
            )
            seen = (joints[:, there] - joints[:, here])[..., None, :] @ turns[-1]  # (N, 5, 1, 3)
            poses.append(_shortest(rest[:, there] - rest[:, here], seen[..., 0, :]))
            turns.append(turns[-1] @ axis_angle_to_matrix(poses[-1]))
        digits = torch.stack(poses, 2)  # (N, 5 fingers, 3 levels, 3)
        order = [
            3 * FINGERS.index(digit) + int(level) - 1
            for digit, level in (name.split("_") for name in MANO_JOINTS[1:])
        ]
        x = self._prior.angles(digits.flatten(1, 2)[:, order])
        wrist = _rest_wrist(self._model, betas)
        middle = rest[:, PALM].mean(1) - wrist
        transl = joints[:, PALM].mean(1) - (root @ middle[..., None])[..., 0] - wrist
        return HandState(root, x, betas, transl)

    def of_pixels(self, rays: Tensor, betas: Tensor, count: int) -> HandState:
        """The `count` best of many views of a relaxed and of a curled hand, (count * N) hands.

        Args:
            rays: (N, 21, 2) x / z and y / z of the joints, of right hands.
            betas: (N, 10).
            count: starts per hand; those of one hand lie N apart.
        """
        views = view_rotations(VIEWS)  # (D, 3, 3)
        n, wrist = len(rays), _rest_wrist(self._model, betas)
        curl = torch.zeros(15, 3)
        curl[:12, 0] = CURLED
        curl[12:, 0] = CURLED / 3
        tried: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for x in (self._prior.mean, self._prior.mean + curl):
            upright = torch.eye(3).expand(n, 3, 3)
            x = x.expand(n, 15, 3)
            points = self._model.posed(upright, self._prior.pose(x), betas).points.mT
            about = points - wrist[:, None]  # (N, 21, 3), as the root turns it
            seen = torch.einsum("dij,npj->dnpi", views, about)  # (D, N, 21, 3)
            turn, scale, error = _similarity(seen[..., :2], rays)
            root = turn @ views[:, None]  # (D, N, 3, 3)
            depth = 1 / scale  # (D, N)
            place = torch.cat([rays.mean(1), torch.ones(n, 1)], -1) * depth[..., None]
            middle = (root @ about.mean(1)[..., None])[..., 0]
            tried.append((error, root, place - middle - wrist, x.expand(len(views), n, 15, 3)))
        error, root, transl, x = (torch.cat(parts) for parts in zip(*tried, strict=True))
        best = error.argsort(0)[:count]  # (count, N)
        column = torch.arange(n).expand_as(best)
        return HandState(
            root[best, column].flatten(0, 1),
            x[best, column].flatten(0, 1),
            betas.repeat(count, 1),
            transl[best, column].flatten(0, 1),
        )


def kabsch(rest: Tensor, seen: Tensor) -> Tensor:
    """Rotations that bring points closest: rest and seen (N, P, 3) -> (N, 3, 3).

    Source: W. Kabsch, Acta Crystallographica A32, 1976.
    """
    spread = (seen - seen.mean(1, keepdim=True)).mT @ (rest - rest.mean(1, keepdim=True))
    U, _, Vt = torch.linalg.svd(spread)
    U[:, :, 2] *= torch.linalg.det(U @ Vt).sign()[:, None]
    rotations: Tensor = U @ Vt
    return rotations


def view_rotations(count: int) -> Tensor:
    """Shortest rotations of +z to directions spread over the sphere: (count, 3, 3)."""
    k = torch.arange(count) + 0.5
    z, angle = 1 - 2 * k / count, GOLDEN_ANGLE * k
    ring = (1 - z * z).sqrt()
    towards = torch.stack([ring * angle.cos(), ring * angle.sin(), z], -1)
    axis = _shortest(torch.tensor([0.0, 0.0, 1.0]).expand_as(towards), towards)
    return axis_angle_to_matrix(axis)


def _shortest(start: Tensor, end: Tensor) -> Tensor:
    """Axis-angle of the smallest rotation of one direction to another: (..., 3) each."""
    axis = torch.linalg.cross(start, end)
    sine, cosine = axis.norm(dim=-1, keepdim=True), (start * end).sum(-1, keepdim=True)
    return F.normalize(axis, dim=-1) * torch.atan2(sine, cosine)


def _similarity(points: Tensor, rays: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation about z, scale and squared error that bring points to rays.

    points (D, N, 21, 2), rays (N, 21, 2) -> (D, N, 3, 3), (D, N), (D, N).
    """
    a = points - points.mean(-2, keepdim=True)
    b = rays - rays.mean(-2, keepdim=True)
    along = (a * b).sum((-1, -2))
    across = (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(-1)
    size = a.square().sum((-1, -2))
    strength = torch.hypot(along, across).clamp_min(1e-12)
    c, s, zero, one = along / strength, across / strength, 0 * along, torch.ones_like(along)
    turn = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).view(*c.shape, 3, 3)
    error = b.square().sum((-1, -2)) - strength.square() / size
    return turn, strength / size, error


def _rest_wrist(model: PointModel, betas: Tensor) -> Tensor:
    return model.joints[0, 0] + betas @ model.joints[0, 1:]
