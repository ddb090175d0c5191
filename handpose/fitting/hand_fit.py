"""Hand parameters from 21 joints in 3D, from a mesh, or from 21 joints in an image with K.

    fits = HandFitter(mano).to_joints(joints, is_left)      # joints (N, 21, 3) m
    mano.hand(fits.global_orient, fits.hand_pose, fits.betas, is_left)

Points do not determine everything: a twist about a straight finger's bone moves no joint, one image
cannot tell a small hand from a distant one. Such things stay at the prior, and `HandFits` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from handpose.fitting.arrow_matrix import SHARED_BETAS, SHARED_TRANSL
from handpose.fitting.first_guess import FirstGuess
from handpose.fitting.least_squares import Found, LeastSquares, Targets
from handpose.fitting.point_model import PointModel, patches
from handpose.fitting.pose_prior import PosePrior
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import axis_angle_to_matrix, matrix_to_axis_angle

NOISE_M = 5e-4
"""Exact joints come back to a tenth of a millimetre, and the prior still fills what they leave
open; measured joints deserve more."""

CHUNK = 512
"""Hands at once: their derivatives fit into a core's cache."""

STEPS_3D, STEPS_2D = 12, 30
"""Most steps of a fit."""

STARTS_2D = 6
PATCHES = 128
"""Patches of the mesh whose means are fitted to those of a given mesh."""

FIXED = 1e8
"""Precision of a shape that is given."""

Report = Callable[[int], None]


class HandFits(NamedTuple):
    """Parameters of N hands, MANO's, in the right-hand frame as `Mano.hand` takes them."""

    global_orient: Tensor  # (N, 3) axis-angle
    hand_pose: Tensor  # (N, 45) axis-angle relative to hands_mean
    betas: Tensor  # (N, 10)
    transl: Tensor  # (N, 3) m: the hand mirrored by its side, then moved by this
    residual: Tensor  # (N, P) distance of each point in m; px for pixels
    # of what follows, the derivatives are those before the last step
    pose_known: Tensor  # (N, 15, 3) share of the prior's variance that the points took, per axis
    betas_known: Tensor  # (N, 10) the same
    transl_deviation: Tensor  # (N, 3) m
    betas_covariance: Tensor  # (N, 10, 10)


class HandFitter:
    """Fits of one hand model."""

    def __init__(self, mano: Mano, noise_m: float = NOISE_M, workers: int = 1) -> None:
        """Prepare the hand model.

        Args:
            mano: the hand, on the CPU; its joints' definition is the points'.
            noise_m: standard deviation of a coordinate of the points, at the hand's place. What it
                leaves open is filled from the prior.
            workers: threads, each with chunks of its own; torch's own threads do not help here.
        """
        self.mano, self.noise_m, self._workers = mano, noise_m, workers
        self._prior = PosePrior(mano)
        joints = PointModel(mano, mano.joint_matrix)
        self._guess = FirstGuess(joints, self._prior)
        self._joints = LeastSquares(joints, self._prior)
        self._patches = LeastSquares(PointModel(mano, patches(mano, PATCHES)), self._prior)
        self._means = patches(mano, PATCHES)

    def to_joints(
        self,
        joints: Tensor,
        is_left: Tensor,
        betas: Tensor | None = None,
        report: Report | None = None,
    ) -> HandFits:
        """Fits of 21 joints.

        Args:
            joints: (N, 21, 3) m, order of `hand/skeleton.py`, any frame that is not mirrored.
            is_left: (N,) bool.
            betas: (10,) of a person whose shape is known.
            report: called with the number of hands after each chunk.
        """

        def fit(rows: slice) -> HandFits:
            right, left = mirror_points(joints[rows], is_left[rows]), is_left[rows]
            right, centre = _centred(right)
            shape = _rows_of(betas, len(right))
            start = self._guess.of_joints(right, shape)
            targets = self._targets(right.mT.contiguous(), shape)
            found = self._joints.fit(start, targets, STEPS_3D)
            return self._fits(found, self.noise_m, centre, left)

        return self._chunks(fit, len(joints), report)

    def to_vertices(
        self,
        vertices: Tensor,
        is_left: Tensor,
        betas: Tensor | None = None,
        report: Report | None = None,
    ) -> HandFits:
        """Fits of meshes, (N, 778, 3) m in MANO's vertex order; the rest as `to_joints`.

        Means of `PATCHES` patches are fitted, which determine the twists too; the residual is of
        all vertices.
        """

        def fit(rows: slice) -> HandFits:
            right, left = mirror_points(vertices[rows], is_left[rows]), is_left[rows]
            right, centre = _centred(right)
            shape = _rows_of(betas, len(right))
            start = self._guess.of_joints(self.mano.joints_from(right), shape)
            means = torch.einsum("pv,nvd->ndp", self._means, right)
            targets = self._targets(means, shape)
            found = self._patches.fit(start, targets, STEPS_3D)
            state = found.state
            turns = axis_angle_to_matrix(self._prior.pose(state.x))
            mesh = self.mano(state.root, turns, state.betas).vertices + state.transl[:, None]
            fits = self._fits(found, self.noise_m, centre, left)
            return fits._replace(residual=(mesh - right).norm(dim=-1))

        return self._chunks(fit, len(vertices), report)

    def to_pixels(
        self,
        uv: Tensor,
        K: Tensor,
        is_left: Tensor,
        betas: Tensor | None = None,
        report: Report | None = None,
    ) -> HandFits:
        """Fits of 21 joints in images: uv (N, 21, 2) px, K (N, 3, 3) px; the rest as `to_joints`.

        The camera sees the hand: z > 0. Size and distance rest on the prior of the shape.
        """

        def fit(rows: slice) -> HandFits:
            left, pixels = is_left[rows], uv[rows].float()
            # the right hand whose mirror image is seen: x -> -x is in the camera's K
            camera = mirror_points(K[rows].float(), left)
            n = len(pixels)
            ones = torch.ones(n, 21, 1)
            rays = torch.linalg.solve(camera, torch.cat([pixels, ones], -1).mT).mT
            shape = _rows_of(betas, n)
            mean = torch.zeros(n, 10) if shape is None else shape
            start = self._guess.of_pixels(rays[..., :2] / rays[..., 2:], mean, STARTS_2D)
            every = torch.arange(n).repeat(STARTS_2D)
            depth = start.transl[:n, 2]
            focal = camera[:, :2, :2].det().abs().sqrt()
            noise = (self.noise_m * focal / depth)[:, None, None]
            targets = self._targets(pixels.mT.contiguous(), shape, camera, noise)
            found = self._joints.fit(start, targets.rows(every), STEPS_2D)
            best = found.cost.view(STARTS_2D, n).argmin(0) * n + torch.arange(n)
            return self._fits(found.rows(best), noise[:, 0], torch.zeros(n, 3), left)

        return self._chunks(fit, len(uv), report)

    def _chunks(
        self, fit: Callable[[slice], HandFits], count: int, report: Report | None
    ) -> HandFits:
        """The fits of all chunks, in order."""
        chunks = [slice(k, min(k + CHUNK, count)) for k in range(0, count, CHUNK)]
        parts = []
        with ThreadPoolExecutor(self._workers) as pool:
            for rows, part in zip(chunks, pool.map(fit, chunks), strict=True):
                parts.append(part)
                if report is not None:
                    report(rows.stop - rows.start)
        return HandFits(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _targets(
        self,
        points: Tensor,
        betas: Tensor | None,
        K: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Targets:
        mean = points.new_zeros(len(points), 10) if betas is None else betas
        precision = 1.0 if betas is None else FIXED
        return Targets(points, mean, precision, K, self.noise_m, noise)

    def _fits(
        self, found: Found, noise: float | Tensor, centre: Tensor, is_left: Tensor
    ) -> HandFits:
        """What is reported of right hands that were moved by -centre; of their points' noise."""
        state = found.state
        of_pose, covariance = found.curvature.inverse()
        variance = covariance.diagonal(dim1=1, dim2=2)
        known = 1 - of_pose.view(-1, 15, 3) * self._prior.precision
        return HandFits(
            global_orient=matrix_to_axis_angle(state.root),
            hand_pose=self._prior.pose(state.x).flatten(1) - self.mano.hands_mean,
            betas=state.betas,
            transl=mirror_points((state.transl + centre)[:, None], is_left)[:, 0],
            residual=found.residual.norm(dim=1) * noise,
            pose_known=known.clamp(0, 1),
            betas_known=(1 - variance[:, SHARED_BETAS]).clamp(0, 1),
            transl_deviation=variance[:, SHARED_TRANSL].clamp_min(0).sqrt(),
            betas_covariance=covariance[:, SHARED_BETAS, SHARED_BETAS],
        )


def one_shape(fits: HandFits) -> tuple[Tensor, Tensor]:
    """The shape that all hands of a track share, (10,), and how far it is known, (10,).

    Every frame is weighted by its information: a frame's betas are the mean of its evidence and of
    the prior, whose share is taken out of all frames but one.
    """
    precision = torch.linalg.inv(fits.betas_covariance.double())  # (N, 10, 10)
    total = precision.sum(0) - (len(precision) - 1) * torch.eye(10)
    betas = torch.linalg.solve(total, (precision @ fits.betas.double()[..., None]).sum(0))[:, 0]
    known = 1 - torch.linalg.inv(total).diagonal()
    return betas.float(), known.clamp(0, 1).float()


def _rows_of(betas: Tensor | None, count: int) -> Tensor | None:
    return None if betas is None else betas.float().expand(count, 10)


def _centred(points: Tensor) -> tuple[Tensor, Tensor]:
    """Points (N, P, 3) about their mean, in float32, and that mean (N, 3) as it is."""
    centre = points.mean(1)
    return (points - centre[:, None]).float(), centre
