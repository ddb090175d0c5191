"""Levenberg-Marquardt over a batch of hands: points against targets, prior against nothing.

The cost of a hand is the sum of ((point - target) / noise)^2, of the pose's distance from the prior
and limits, and of the betas' from their mean: twice a negative logarithm of a probability. Hands
that have settled leave the batch. Derivatives are analytic; what the pose corrects in the mesh is
not in them, but it is in the points, so steps are a little off and the fit is not.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import torch
from torch import Tensor

from handpose.fitting.arrow_matrix import BETAS, POSE, TRANSL, UNKNOWNS, ArrowMatrix
from handpose.fitting.first_guess import HandState
from handpose.fitting.point_model import BONES, PointModel, Posed
from handpose.fitting.pose_prior import PosePrior
from handpose.hand.rotation import SMALL_ANGLE_SQ, axis_angle_to_matrix
from handpose.hand.skeleton import MANO_PARENTS

DAMPING = 1e-3
"""Of the first step, relative to the diagonal."""

MOST_DAMPING = 1e4
"""A hand that no step helps at this damping is left where it is."""

SETTLED, SETTLED_WITHIN_NOISE = 2e-3, 0.05
"""A step that lowers the cost by less than this part of it is the last; the second where the points
already lie within their noise."""


KEPT = 512
"""Hands whose workspace is kept for the next fit: 22 MB for joints, by thread and solver."""


class Targets(NamedTuple):
    """What is known of N right hands."""

    points: Tensor  # (N, 3, P) m; or (N, 2, P) px with `K`
    betas: Tensor  # (N, 10) mean of the shape's prior
    betas_precision: float  # 1: nothing is known of this person
    K: Tensor | None = None  # (N, 3, 3) px
    noise_m: float = 1.0  # of a coordinate
    noise_px: Tensor | None = None  # (N, 1, 1) with `K`

    def rows(self, index: Tensor) -> Targets:
        """Some of the hands."""
        return self._replace(
            points=self.points[index],
            betas=self.betas[index],
            K=None if self.K is None else self.K[index],
            noise_px=None if self.noise_px is None else self.noise_px[index],
        )


class Look(NamedTuple):
    """A state, the points that follow from it, and how wrong they are."""

    posed: Posed
    residual: Tensor  # (N, 2 or 3, P) in units of the noise
    bend: Tensor | None  # (N, 2, 3, P) of pixels by points
    within_noise: Tensor  # (N,) bool
    cost: Tensor  # (N,)
    gradient: Tensor  # (N, 15, 3) of the prior
    precision: Tensor  # (N, 15, 3) of the prior

    def rows(self, index: Tensor) -> Look:
        """Some of the hands."""
        posed = Posed(*(part[index] for part in self.posed))
        bend = None if self.bend is None else self.bend[index]
        return Look(posed, self.residual[index], bend, *(part[index] for part in self[3:]))


class Found(NamedTuple):
    """The end of a fit of N hands."""

    state: HandState
    cost: Tensor  # (N,)
    residual: Tensor  # (N, 2 or 3, P) in units of the noise
    curvature: ArrowMatrix  # half the cost's second derivative before the last step

    def rows(self, index: Tensor) -> Found:
        """Some of the hands."""
        return Found(
            self.state.rows(index),
            self.cost[index],
            self.residual[index],
            self.curvature.rows(index),
        )


class Workspace(NamedTuple):
    """Memory of the largest arrays, which every step uses again: to get it anew takes longer."""

    derivatives: Tensor  # (N, 61, 3, P)
    by_rotation: Tensor  # (N * 16, 9, P)
    curvature: Tensor  # (N, 61, 61)

    @classmethod
    def of(cls, count: int, points: int) -> Workspace:
        """For a fit of `count` hands with P = `points`."""
        return cls(
            torch.empty(count, UNKNOWNS, 3, points),
            torch.empty(count * BONES, 9, points),
            torch.empty(count, UNKNOWNS, UNKNOWNS),
        )


class LeastSquares:
    """The fit of one hand model's points."""

    def __init__(self, model: PointModel, prior: PosePrior) -> None:
        """Nothing is computed yet."""
        self._model, self._prior = model, prior
        self._kept = threading.local()
        self._parents = torch.tensor(MANO_PARENTS[1:])

    def fit(self, start: HandState, targets: Targets, most_steps: int) -> Found:
        """The states of least cost near the starts."""
        n = len(start.transl)
        active = torch.arange(n)
        state, look = start, self.look(start, targets)
        damping = torch.full((n,), DAMPING)
        best = Found(
            HandState(*(part.clone() for part in start)),
            look.cost.clone(),
            look.residual.clone(),
            ArrowMatrix.empty(n),
        )
        work = self._workspace(n)
        for k in range(most_steps):
            H, g = self.normal(state, look, targets, work)
            trial = self._step(state, H, g, damping)
            seen = self.look(trial, targets)
            lower = seen.cost < look.cost
            gain = look.cost - seen.cost
            damping = torch.where(lower, damping / 5, damping * 10)
            kept = lower.nonzero()[:, 0]
            best.cost[active[kept]] = seen.cost[kept]
            best.residual[active[kept]] = seen.residual[kept]
            for whole, part in zip(best.state, trial, strict=True):
                whole[active[kept]] = part[kept]
            least = torch.where(seen.within_noise, SETTLED_WITHIN_NOISE, SETTLED)
            moving = ~lower & (damping < MOST_DAMPING) | (gain > least * seen.cost)
            if k == most_steps - 1:
                moving = torch.zeros_like(moving)
            ended = (~moving).nonzero()[:, 0]
            for whole, part in zip(best.curvature, H, strict=True):
                whole[active[ended]] = part[ended]
            if not moving.any():
                break
            if lower.all():
                state, look = trial, seen
            else:
                state, look = best.state.rows(active), self._mixed(lower, seen, look)
            if not moving.all():
                rest = moving.nonzero()[:, 0]
                active, state, look = active[rest], state.rows(rest), look.rows(rest)
                damping, targets = damping[rest], targets.rows(rest)
        return best

    def look(self, state: HandState, targets: Targets) -> Look:
        """How wrong these states are."""
        posed = self._model.posed(state.root, self._prior.pose(state.x), state.betas)
        points = posed.points + state.transl[..., None]  # (N, 3, P)
        if targets.K is None:
            residual, bend = (points - targets.points) / targets.noise_m, None
        else:
            residual, bend = _pixels(points, targets)
        pull, gradient, precision = self._prior.pull(state.x)
        strange = (state.betas - targets.betas).square().sum(1) * targets.betas_precision
        misfit = residual.square().flatten(1).sum(1)
        within = misfit < residual[0].numel()
        return Look(posed, residual, bend, within, misfit + pull + strange, gradient, precision)

    def normal(
        self, state: HandState, look: Look, targets: Targets, work: Workspace
    ) -> tuple[ArrowMatrix, Tensor]:
        """Half the cost's second derivative and gradient (N, 61), by Gauss-Newton."""
        n = len(state.transl)
        J = self._derivatives(state, look, work)  # (N, 61, 3, P)
        if look.bend is None:
            J, scale = J.flatten(2), 1 / targets.noise_m
        else:
            J, scale = (look.bend[:, None] * J[:, :, None]).sum(3).flatten(2), 1.0
        H = work.curvature[:n]
        torch.baddbmm(H, J, J.mT, beta=0, alpha=scale**2, out=H)
        g = scale * (J @ look.residual.flatten(1)[..., None])[..., 0]
        diagonal = H.diagonal(dim1=1, dim2=2)
        diagonal[:, POSE] += look.precision.flatten(1)
        diagonal[:, BETAS] += targets.betas_precision
        g[:, POSE] += look.gradient.flatten(1)
        g[:, BETAS] += targets.betas_precision * (state.betas - targets.betas)
        return ArrowMatrix.of(H), g

    def _workspace(self, count: int) -> Workspace:
        """That of this thread's last fit, unless it is too small."""
        if count > KEPT:
            return Workspace.of(count, self._model.count)
        work: Workspace | None = getattr(self._kept, "work", None)
        if work is None or len(work.curvature) < count:
            work = self._kept.work = Workspace.of(count, self._model.count)
        return work

    @staticmethod
    def _step(state: HandState, H: ArrowMatrix, g: Tensor, damping: Tensor) -> HandState:
        """The damped step from here; none where `H` is not positive definite."""
        step, found = H.solve(-g, damping)
        step = torch.where(found[:, None], step, 0.0)
        return HandState(
            axis_angle_to_matrix(step[:, :3]) @ state.root,
            state.x + step[:, POSE].view(-1, 15, 3),
            state.betas + step[:, BETAS],
            state.transl + step[:, TRANSL],
        )

    def _derivatives(self, state: HandState, look: Look, work: Workspace) -> Tensor:
        """Of the points by the unknowns: (N, 61, 3, P), in `work`."""
        n, posed = len(state.transl), look.posed
        J, turned = work.derivatives[:n], work.by_rotation[: n * BONES]
        above = posed.turns[..., self._parents].permute(0, 3, 1, 2)  # (N, 15, 3, 3)
        own = _increments(self._prior.pose(state.x)) @ self._prior.frames
        upright = torch.eye(3).expand(n, 1, 3, 3)
        axes = torch.cat([upright, above @ own], 1)  # (N, 16, 3, 3)
        self._model.by_rotation(posed, axes, out=turned)
        J[:, :48] = turned.view(n, 48, 3, -1)
        J[:, BETAS] = self._model.by_betas(posed)
        J[:, TRANSL] = torch.eye(3)[..., None]
        return J

    @staticmethod
    def _mixed(lower: Tensor, one: Look, other: Look) -> Look:
        """Hand by hand, one where `lower`, else the other."""

        def pick(a: Tensor, b: Tensor) -> Tensor:
            return torch.where(lower.view(-1, *[1] * (a.ndim - 1)), a, b)

        posed = Posed(*(pick(a, b) for a, b in zip(one.posed, other.posed, strict=True)))
        bend = None if one.bend is None or other.bend is None else pick(one.bend, other.bend)
        rest = (pick(a, b) for a, b in zip(one[3:], other[3:], strict=True))
        return Look(posed, pick(one.residual, other.residual), bend, *rest)


def _pixels(points: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Residual (N, 2, P) of projected points and its derivative (N, 2, 3, P), over the noise."""
    assert targets.K is not None and targets.noise_px is not None
    homogeneous = targets.K @ points  # (N, 3, P)
    w = homogeneous[:, 2:].clamp_min(1e-3)  # a point behind the camera costs much and moves on
    uv = homogeneous[:, :2] / w
    change = targets.K[:, :2, :, None] - uv[:, :, None] * targets.K[:, 2:, :, None]
    return (uv - targets.points) / targets.noise_px, change / (w * targets.noise_px)[:, None]


def _increments(axis_angle: Tensor) -> Tensor:
    """The left Jacobian of rotations, exp(w + dw) = exp(J dw) exp(w): (..., 3) -> (..., 3, 3).

    Source: J. Sola et al., A micro Lie theory for state estimation in robotics, 2018, eq. 145.
    """
    angle_sq = axis_angle.square().sum(-1)[..., None, None]
    small = angle_sq < SMALL_ANGLE_SQ
    angle = torch.where(small, 1.0, angle_sq).sqrt()
    sine = torch.where(small, 1 - angle_sq / 6, angle.sin() / angle)
    versine = torch.where(small, 0.5 - angle_sq / 24, (1 - angle.cos()) / angle.square())
    cubic = torch.where(small, 1 / 6, (1 - sine) / angle.square())
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(*x.shape, 3, 3)
    outer = axis_angle[..., :, None] * axis_angle[..., None, :]
    return sine * torch.eye(3) + versine * cross + cubic * outer
