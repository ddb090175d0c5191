"""What EANet minimises: L1 on MANO's parameters, its joints, and joints in voxels of the volume.

Terms have the names of `pose_loss.PoseLoss` where they supervise the same output, so that the same
weights apply; with EANet's own units each published weight is 1, and 10 for `joints_mano`:

    rotation, root       axis-angle relative to hands_mean, shares 45/48 and 3/48 of one mean
    betas                0 is the target where one of a fit's is beyond 3 (a fit that went astray)
    joints_mano          m, wrist-relative: against the annotated joints, + against the fit's
    uvd                  voxels of the volume, likewise in two terms
    reprojection_mano    voxels, MANO's joints by the network's own weak-perspective camera
    gesture              coarse and fine cross-entropy; EANet has none: weight 0

Means run over all entries, masked ones too: a batch with half its fits counts half. Source:
jkpark0825/EANet at 43effe8, facts only. It has arrays for two hands, half of them empty with one;
that factor is left out here, as Adam does not see it. Its fit's joints in the image are at the
fit's own wrist; here, where no camera-space translation of the fit is kept, at the annotated one.

Letters: B batch, J = 21 joints, D depth bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from handpose.distributed import SINGLE_PROCESS, Count
from handpose.hand.camera import project
from handpose.hand.rotation import matrix_to_axis_angle, rot6d_to_matrix
from handpose.hand.skeleton import WRIST
from handpose.sample import HandBatch, PoseOutput
from handpose.training.loss.gesture_loss import cross_entropy
from handpose.training.loss.pose_loss import HandModel, in_front, masked_l1

VOXEL_PX = 32
"""Pixels of the crop to a voxel: 8 voxels to EANet's 256 px."""

MOST_BETA = 3.0
"""A fit with a beta beyond +- this has no shape."""

TERMS = ("rotation", "root", "betas", "joints_mano", "uvd", "reprojection_mano", "gesture")
"""Its terms, in order; other weights of `params.yaml` weigh nothing here."""

PARAMETERS = 48
"""Numbers of a pose: three of the root, 45 of the fingers."""


@dataclass(frozen=True)
class EaNetLoss:
    """Stage 2's loss for `EaNet`, seven weighted terms."""

    mano: HandModel
    """Poses the MANO fits, on the device of the batches."""

    weights: Mapping[str, float]
    """At least one per term, by the names of this module's docstring."""

    depth_range_m: float
    """What the volume spans in front of the wrist and behind it."""

    volume_depth: int
    """D."""

    def __call__(
        self,
        output: PoseOutput,
        batch: HandBatch,
        epoch: int | None = None,
        count: Count = SINGLE_PROCESS.count,
    ) -> dict[str, Tensor]:
        """The weighted terms; their sum is the loss.

        Args:
            output: of the network, with `uv_mano`.
            batch: the ground truth.
            epoch: not used; every epoch has the same weights.
            count: (mask) -> what a mean over its true entries divides by.

        Raises:
            ValueError: the network has no camera of its own.
        """
        if output.uv_mano is None:
            raise ValueError("EANet's loss needs a network that projects MANO's joints")
        fit = batch.has_mano
        valid = batch.joint_valid
        rooted = valid & valid[:, WRIST, None]  # (B, J)
        on_axis = batch.K[:, None, 2]  # (B, 1, 3) in front of any camera; masked below
        joints = torch.where(valid[..., None], batch.joints_cam, on_axis)
        wrist = joints[:, WRIST, None]  # (B, 1, 3) m, camera
        with torch.no_grad():
            parameters = (batch.global_orient, batch.hand_pose, batch.betas)
            _, fit_joints = self.mano.hand(*parameters, batch.is_left)  # (B, J, 3) m, wrist at 0
        fit_rooted = (fit & valid[:, WRIST])[:, None].expand_as(valid)
        everything = count(torch.ones_like(valid)), count(torch.ones_like(fit))

        def joint_term(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
            return masked_l1(predicted, truth, mask, everything[0])

        def hand_term(predicted: Tensor, truth: Tensor) -> Tensor:
            return masked_l1(predicted, truth, fit, everything[1])

        pose = matrix_to_axis_angle(rot6d_to_matrix(output.rot6d)).flatten(1)  # (B, 48)
        true_pose = torch.cat([batch.global_orient, batch.hand_pose], -1)
        astray = (batch.betas.abs() > MOST_BETA).any(-1, keepdim=True)
        found = self._voxels(output.uv, output.depth_rel)
        annotated = self._located(joints - wrist, wrist, batch.K)
        fitted = self._located(fit_joints, wrist, batch.K)
        coarse = cross_entropy(output.coarse_logits, batch.coarse, count)
        fine = cross_entropy(output.fine_logits, batch.fine, count)
        terms = {
            "rotation": 45 / PARAMETERS * hand_term(pose[:, 3:], true_pose[:, 3:]),
            "root": 3 / PARAMETERS * hand_term(pose[:, :3], true_pose[:, :3]),
            "betas": hand_term(output.betas, batch.betas.masked_fill(astray, 0)),
            "joints_mano": joint_term(output.joints, joints - wrist, rooted)
            + joint_term(output.joints, fit_joints, fit[:, None].expand_as(valid)),
            "uvd": joint_term(found, annotated, rooted & self._inside(annotated, batch))
            + joint_term(found, fitted, fit_rooted & self._inside(fitted, batch)),
            "reprojection_mano": joint_term(output.uv_mano / VOXEL_PX, annotated[..., :2], rooted),
            "gesture": coarse + fine,
        }
        return {name: self.weights[name] * term for name, term in terms.items()}

    def _voxels(self, uv: Tensor, depth_rel: Tensor) -> Tensor:
        """Pixels (B, J, 2) and metres (B, J) -> voxels (B, J, 3)."""
        depth = (depth_rel / self.depth_range_m + 1) / 2 * self.volume_depth
        return torch.cat([uv / VOXEL_PX, depth[..., None]], dim=-1)

    def _located(self, joints: Tensor, wrist: Tensor, K: Tensor) -> Tensor:
        """Wrist-relative joints (B, J, 3) m at this wrist (B, 1, 3), in voxels."""
        return self._voxels(project(in_front(joints + wrist, K), K), joints[..., 2])

    def _inside(self, voxels: Tensor, batch: HandBatch) -> Tensor:
        """(B, J) bool: joints that the volume has a place for; the others do not count."""
        side = batch.image.shape[-1] / VOXEL_PX
        xy, z = voxels[..., :2], voxels[..., 2]
        return (voxels >= 0).all(-1) & (xy < side).all(-1) & (z < self.volume_depth)
