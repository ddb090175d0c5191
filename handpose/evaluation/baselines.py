"""Constant-prediction baselines: the means of the training data, of all and of each gesture.

A network has to beat the mean joints on the same images. Both mean poses are oracles: they are
given the true root rotation, that of a gesture the true class too. Means are taken in the
right-hand frame (left hands mirrored) and mirrored back for left hands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from handpose.errors import HandPoseError
from handpose.hand.mano import Mano, ManoOutput
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import WRIST
from handpose.sample import UNLABELLED

CHUNK = 65_536
"""Samples per chunk of rotations; those of all InterHand2.6M would take gigabytes."""


class BaselineError(HandPoseError):
    """The training data have no valid mean."""


@dataclass(frozen=True)
class TrainingMeans:
    """The mean hand of the training data, in the right-hand frame."""

    joints: Tensor  # (21, 3) m, camera axes, wrist at 0
    rotations: Tensor  # (15, 3, 3) mean full local rotations
    betas: Tensor  # (10,)
    has_pose: bool = True  # False: no sample has a fit, and rotations and betas are MANO's means
    by_class: Mapping[int, Tensor] = field(default_factory=dict)  # rotations of each coarse class

    @classmethod
    def of(
        cls,
        *,
        joints: Tensor,
        valid: Tensor,
        is_left: Tensor,
        hand_pose: Tensor,
        betas: Tensor,
        has_mano: Tensor,
        coarse: Tensor,
        mano: Mano,
    ) -> TrainingMeans:
        """The means over N training samples.

        Args:
            joints: (N, 21, 3) m, camera, not mirrored.
            valid: (N, 21) bool; samples without a valid wrist are excluded.
            is_left: (N,) bool.
            hand_pose: (N, 45) relative to hands_mean, right-hand frame.
            betas: (N, 10).
            has_mano: (N,) bool; samples without a fit are excluded from pose and shape.
            coarse: (N,) class, or UNLABELLED.
            mano: the hand model, which adds hands_mean.

        Raises:
            BaselineError: a joint is never valid.
        """
        counts = (valid & valid[:, [WRIST]]).float()[..., None]  # (N, 21, 1)
        if not counts.any(0).all():
            raise BaselineError(
                f"the {len(joints)} training samples have no mean hand: "
                f"{int(counts.any(0).sum())} of 21 joints are ever valid together with the wrist; "
                "see data/ingest/rejects.parquet for the dropped annotations"
            )
        relative = mirror_points(joints - joints[:, [WRIST]], is_left)
        mean_joints = (relative * counts).sum(0) / counts.sum(0)
        if not has_mano.any():
            rest = torch.zeros_like(hand_pose[:1])
            return cls(mean_joints, mano.rotations(rest)[0], torch.zeros_like(betas[0]), False)
        poses, coarse = hand_pose[has_mano], coarse[has_mano]
        classes = sorted(set(coarse.tolist()) - {UNLABELLED})
        return cls(
            mean_joints,
            _mean_rotations(poses, mano),
            betas[has_mano].mean(0),
            by_class={k: _mean_rotations(poses[coarse == k], mano) for k in classes},
        )

    def to(self, device: torch.device | str) -> TrainingMeans:
        """The same means on another device."""
        joints, rotations, betas = (t.to(device) for t in (self.joints, self.rotations, self.betas))
        by_class = {k: mean.to(device) for k, mean in self.by_class.items()}
        return TrainingMeans(joints, rotations, betas, self.has_pose, by_class)

    def mean_joints(self, is_left: Tensor) -> Tensor:
        """The mean joints for every sample: is_left (B,) -> (B, 21, 3) m, wrist at 0."""
        return mirror_points(self.joints.expand(len(is_left), -1, -1), is_left)

    def mean_pose(
        self, global_orient: Tensor, is_left: Tensor, mano: Mano, coarse: Tensor | None = None
    ) -> ManoOutput:
        """Mean pose and shape under the true root rotation: global_orient (B, 3), is_left (B,).

        With the true classes, coarse (B,), it is the mean pose of that class if `knows` it.
        """
        size = len(is_left)
        rotations = self.rotations.expand(size, -1, -1, -1)
        if coarse is not None:
            rotations = self._class_rotations[self._row(coarse)]
        hand = mano(axis_angle_to_matrix(global_orient), rotations, self.betas.expand(size, -1))
        wrist = hand.joints[:, [WRIST]]
        return ManoOutput(*(mirror_points(points - wrist, is_left) for points in hand))

    def knows(self, coarse: Tensor) -> Tensor:
        """Whether a training sample with a fit has the class: coarse (B,) -> (B,) bool."""
        return self._is_known[self._row(coarse)]

    def _row(self, coarse: Tensor) -> Tensor:
        """The row of each class in the tables of classes; that behind the last one for others."""
        last = len(self._is_known) - 1
        return torch.where((coarse < 0) | (coarse > last), last, coarse)

    @cached_property
    def _class_rotations(self) -> Tensor:
        """(K + 1, 15, 3, 3): mean rotations of the classes 0 to K - 1, and of all samples."""
        classes = range(max(self.by_class, default=-1) + 1)
        own = [self.by_class.get(k, self.rotations) for k in classes]
        return torch.stack([*own, self.rotations])

    @cached_property
    def _is_known(self) -> Tensor:
        """(K + 1,) bool, of the same rows: whether a class has a mean of its own."""
        classes = range(max(self.by_class, default=-1) + 2)
        known = [k in self.by_class for k in classes]
        return torch.tensor(known, device=self.rotations.device)


def _mean_rotations(hand_pose: Tensor, mano: Mano) -> Tensor:
    """The mean full local rotations of poses relative to hands_mean: (N, 45) -> (15, 3, 3)."""
    parts = torch.split(hand_pose, CHUNK)
    matrices = torch.stack([mano.rotations(part).sum(0) for part in parts]).sum(0)
    return nearest_rotation(matrices / len(hand_pose))


def nearest_rotation(matrix: Tensor) -> Tensor:
    """The rotation nearest to a matrix, e.g. a mean of rotations: (..., 3, 3) -> (..., 3, 3).

    Source: Moakher, Means and averaging in the group of rotations (2002), the projected mean.
    """
    u, _, vh = torch.linalg.svd(matrix)
    last = torch.ones_like(matrix[..., 0])
    last[..., 2] = torch.linalg.det(u @ vh)
    rotation: Tensor = (u * last[..., None, :]) @ vh
    return rotation
