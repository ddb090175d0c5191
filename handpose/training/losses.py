"""What training minimises: one term per line of the paper's objective (section 3.2.4).

A loss is called with a network's output and the batch, and returns its weighted terms by name.
Every term is a masked mean of absolute differences or a cross-entropy, so its size does not depend
on how many samples of a batch carry the annotation it needs; a batch with none gives 0. Call them
outside autocast: bf16 is too coarse for pixels and millimetres.

`count` gives the number that a mean divides by. Several processes that share a batch pass
`DistributedGroup.count`, which sums the masks of all slices: the mean of their losses is then that
of the whole batch.

Letters: B batch, J = 21 joints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.distributed import SINGLE_PROCESS
from handpose.hand.camera import back_project, project
from handpose.hand.facing import facing
from handpose.hand.rotation import axis_angle_to_matrix, matrix_to_rot6d
from handpose.hand.skeleton import WRIST
from handpose.sample import UNLABELLED, GestureOutput, HandBatch, PoseOutput
from handpose.training.schedules import fine_weight

Count = Callable[[Tensor], Tensor]

NEAR = 0.01
"""Metres in front of the camera that projected points keep: a bad prediction must not divide by
0."""


@dataclass(frozen=True)
class GestureLoss:
    """Stage 1's loss: coarse cross-entropy, and lambda times the fine one.

    lambda grows with the epochs; see `schedules.fine_weight`.
    """

    fine_weight_start: float
    fine_weight_step: float
    fine_weight_every_epochs: int
    fine_weight_max: float

    def __call__(
        self,
        output: GestureOutput,
        batch: HandBatch,
        epoch: int | None = None,
        count: Count = SINGLE_PROCESS.count,
    ) -> dict[str, Tensor]:
        """The weighted terms; their sum is the loss. Samples without a gesture do not count.

        Args:
            output: of the network.
            batch: the ground truth.
            epoch: counted from 0; None takes lambda's maximum, which makes epochs comparable.
            count: (mask) -> what a mean over its true entries divides by.
        """
        return {
            "coarse": cross_entropy(output.coarse_logits, batch.coarse, count),
            "fine": self.fine_weight(epoch) * cross_entropy(output.fine_logits, batch.fine, count),
        }

    def fine_weight(self, epoch: int | None) -> float:
        """The paper's lambda in this epoch, or its maximum."""
        if epoch is None:
            return self.fine_weight_max
        return fine_weight(
            epoch,
            start=self.fine_weight_start,
            step=self.fine_weight_step,
            every=self.fine_weight_every_epochs,
            maximum=self.fine_weight_max,
        )


class HandModel(Protocol):
    """What the loss needs of `hand/mano.py::Mano`, which Stage 1 must not depend on."""

    def rotations(self, hand_pose: Tensor) -> Tensor:
        """Hand pose (B, 45) rad -> (B, 15, 3, 3), with `hands_mean` added."""

    def hand(
        self, global_orient: Tensor, hand_pose: Tensor, betas: Tensor, is_left: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Vertices (B, 778, 3) and joints (B, J, 3), m, camera axes, wrist at 0."""


@dataclass(frozen=True)
class PoseLoss:
    """Stage 2's loss, ten weighted terms, and two more of a network with view heads."""

    mano: HandModel
    """Poses the MANO fits, on the device of the batches."""

    weights: Mapping[str, float]
    """One weight per term, by the names of `__call__`."""

    depth_range_m: float
    """What the volume spans in front of the wrist and behind it."""

    mano_joints: Literal["annotated", "fit", "both"]
    """What `joints_mano` compares with: the annotated joints, the MANO fit's, or both: the sum of
    the two terms, as in EANet."""

    def __call__(
        self,
        output: PoseOutput,
        batch: HandBatch,
        epoch: int | None = None,
        count: Count = SINGLE_PROCESS.count,
    ) -> dict[str, Tensor]:
        """The weighted terms; their sum is the loss.

        Args:
            output: of the network.
            batch: the ground truth.
            epoch: not used; every epoch has the same weights.
            count: (mask) -> what a mean over its true entries divides by.
        """
        root = axis_angle_to_matrix(batch.global_orient)[:, None]  # (B, 1, 3, 3)
        rotations = torch.cat([root, self.mano.rotations(batch.hand_pose)], 1)  # (B, 16, 3, 3)

        valid = batch.joint_valid
        rooted = valid & valid[:, WRIST, None]  # (B, J) the position relative to the wrist is known
        on_axis = batch.K[:, None, 2]  # (B, 1, 3) in front of any camera; masked below
        joints = torch.where(valid[..., None], batch.joints_cam, on_axis)
        wrist = joints[:, WRIST, None]  # (B, 1, 3) m, camera

        side = batch.image.shape[-1]
        uv = _to_unit(project(joints, batch.K), side)  # (B, J, 2) in [-1, 1]
        uv_volume = _to_unit(output.uv, side)
        uv_mano = _to_unit(project(in_front(output.joints + wrist, batch.K), batch.K), side)
        depth, depth_volume = (joints - wrist)[..., 2:], output.depth_rel[..., None]  # (B, J, 1)
        uvd = torch.cat([uv, depth / self.depth_range_m], dim=-1)
        uvd_volume = torch.cat([uv_volume, depth_volume / self.depth_range_m], dim=-1)
        joints_volume = back_project(output.uv, output.depth_rel + wrist[..., 2], batch.K)

        rot6d = matrix_to_rot6d(rotations)  # (B, 16, 6)
        coarse = cross_entropy(output.coarse_logits, batch.coarse, count)
        fine = cross_entropy(output.fine_logits, batch.fine, count)
        fits, roots, joints_known = count(batch.has_mano), count(rooted), count(valid)
        share = len(batch) / count(torch.ones_like(batch.has_mano))  # 1 for one process
        joints_mano = masked_l1(output.joints, joints - wrist, rooted, roots)
        if self.mano_joints != "annotated":
            to_fit = masked_l1(output.joints, self._fit_joints(batch), batch.has_mano, fits)
            joints_mano = to_fit if self.mano_joints == "fit" else joints_mano + to_fit
        terms = {
            "rotation": masked_l1(output.rot6d[:, 1:], rot6d[:, 1:], batch.has_mano, fits),
            "root": masked_l1(output.rot6d[:, 0], rot6d[:, 0], batch.has_mano, fits),
            "betas": masked_l1(output.betas, batch.betas, batch.has_mano, fits),
            "joints_volume": masked_l1(joints_volume, joints, rooted, roots),
            "joints_mano": joints_mano,
            "uvd": masked_l1(uvd_volume, uvd, rooted, roots),
            "reprojection_volume": masked_l1(uv_volume, uv, valid, joints_known),
            "reprojection_mano": masked_l1(uv_mano, uv, rooted, roots),
            "bone": share * bone_discontinuity(output.rotmat),
            "gesture": coarse + fine,
        }
        if output.view is not None:
            faces = facing(batch.joints_cam, valid, batch.is_left)
            terms["side"] = _binary_cross_entropy(output.view.side_logit, batch.is_left, count)
            terms["facing"] = cross_entropy(output.view.facing_logits, faces, count)
        return {name: self.weights[name] * term for name, term in terms.items()}

    @torch.no_grad()
    def _fit_joints(self, batch: HandBatch) -> Tensor:
        """Joints of the MANO fits, (B, J, 3) m, wrist at 0; of no meaning without a fit."""
        fit = (batch.global_orient, batch.hand_pose, batch.betas)
        _, joints = self.mano.hand(*fit, batch.is_left)
        return joints


def bone_discontinuity(rotmat: Tensor) -> Tensor:
    """Mean difference of consecutive joints' local rotations in 6D, along the five fingers.

    A prior, not a comparison with the truth: neighbouring joints of a finger flex alike, so a chain
    whose rotations jump is penalised whatever the annotation says. rotmat (B, 16, 3, 3) -> ().
    The root is left out: a hand's orientation does not constrain its fingers.
    """
    rot6d = matrix_to_rot6d(rotmat)  # (B, 16, 6)
    fingers = rot6d[:, 1:].reshape(-1, 5, 3, 6)  # MANO numbers a finger's joints in a row
    return (fingers[:, :, 1:] - fingers[:, :, :-1]).abs().mean()


def masked_l1(predicted: Tensor, truth: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    """Mean absolute difference where the mask (of the leading dimensions) is true, else 0."""
    error = (predicted - truth).abs().flatten(mask.dim()).mean(-1)  # the mask's shape
    return (error * mask).sum() / count


def cross_entropy(logits: Tensor, classes: Tensor, count: Count) -> Tensor:
    """Mean cross-entropy over the labelled samples, 0 without any."""
    total = F.cross_entropy(logits.float(), classes, ignore_index=UNLABELLED, reduction="sum")
    return total / count(classes != UNLABELLED)


def _binary_cross_entropy(logits: Tensor, truth: Tensor, count: Count) -> Tensor:
    """Mean cross-entropy of two classes: logits (B,), truth (B,) bool."""
    total = F.binary_cross_entropy_with_logits(logits.float(), truth.float(), reduction="sum")
    return total / count(torch.ones_like(truth))


def _to_unit(uv: Tensor, side: int) -> Tensor:
    """Pixels of a crop of this side -> [-1, 1] from its first to its last pixel centre."""
    return 2 * uv / (side - 1) - 1


def in_front(points: Tensor, K: Tensor) -> Tensor:
    """Points (B, J, 3) m moved along the axis of the camera K (B, 3, 3) to a depth >= `NEAR`."""
    axis = K[:, None, 2]  # (B, 1, 3) a unit vector, z if the camera is not turned
    depth = (points * axis).sum(-1, keepdim=True)
    return points + (NEAR - depth).clamp(min=0) * axis
