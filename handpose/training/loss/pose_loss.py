"""Stage 2's loss: the paper's objective (section 3.2.4), and optional terms beyond it.

`bone` is a prior and averages over all samples; the other terms are as `handpose/training/loss`
says.

Letters: B batch, J = 21 joints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.distributed import SINGLE_PROCESS, Count
from handpose.hand.camera import back_project, project
from handpose.hand.facing import facing
from handpose.hand.rotation import axis_angle_to_matrix, matrix_to_rot6d
from handpose.hand.skeleton import WRIST
from handpose.sample import GestureClasses, HandBatch, PoseOutput
from handpose.training.loss.gesture_loss import cross_entropy

NEAR = 0.01
"""Metres in front of the camera that projected points keep: a bad prediction must not divide by
0."""


class HandModel(Protocol):
    """What the loss needs of `hand/mano.py::Mano`, which Stage 1 must not depend on."""

    edges: Tensor  # (E, 2) vertices of the mesh, int64

    def rotations(self, hand_pose: Tensor) -> Tensor:
        """Hand pose (B, 45) rad -> (B, 15, 3, 3), with `hands_mean` added."""

    def hand(
        self, global_orient: Tensor, hand_pose: Tensor, betas: Tensor, is_left: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Vertices (B, 778, 3) and joints (B, J, 3), m, camera axes, wrist at 0."""


@dataclass(frozen=True)
class PoseLoss:
    """Stage 2's loss, ten weighted terms, and two more of a network with view heads.

    The terms `vertices` and `edges`, of the mesh, are there where their weight is not 0. Sources:
    Lin et al., METRO (CVPR 2021); Ge et al., 3D Hand Shape and Pose Estimation from a Single RGB
    Image (CVPR 2019).
    """

    mano: HandModel
    """Poses the MANO fits, on the device of the batches."""

    weights: Mapping[str, float]
    """One weight per term, by the names of `__call__`."""

    depth_range_m: float
    """What the volume spans in front of the wrist and behind it."""

    mano_joints: Literal["annotated", "fit", "both"]
    """What `joints_mano` compares with: the annotated joints, the MANO fit's, or both: the sum of
    the two terms, as in EANet."""

    gesture_classes: GestureClasses = "both"
    """Whose cross-entropy the term `gesture` is: the coarse one, the fine one, or their sum."""

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
        n_fits, n_rooted, n_valid = count(batch.has_mano), count(rooted), count(valid)
        share = len(batch) / count(torch.ones_like(batch.has_mano))  # 1 for one process
        joints_mano = masked_l1(output.joints, joints - wrist, rooted, n_rooted)
        of_mesh = [name for name in ("vertices", "edges") if self.weights[name]]
        if self.mano_joints != "annotated" or of_mesh:
            fit_vertices, fit_joints = self._fit_meshes(batch)
        if self.mano_joints != "annotated":
            to_fit = masked_l1(output.joints, fit_joints, batch.has_mano, n_fits)
            joints_mano = to_fit if self.mano_joints == "fit" else joints_mano + to_fit
        terms = {
            "rotation": masked_l1(output.rot6d[:, 1:], rot6d[:, 1:], batch.has_mano, n_fits),
            "root": masked_l1(output.rot6d[:, 0], rot6d[:, 0], batch.has_mano, n_fits),
            "betas": masked_l1(output.betas, batch.betas, batch.has_mano, n_fits),
            "joints_volume": masked_l1(joints_volume, joints, rooted, n_rooted),
            "joints_mano": joints_mano,
            "uvd": masked_l1(uvd_volume, uvd, rooted, n_rooted),
            "reprojection_volume": masked_l1(uv_volume, uv, valid, n_valid),
            "reprojection_mano": masked_l1(uv_mano, uv, rooted, n_rooted),
            "bone": share * bone_discontinuity(output.rotmat),
            "gesture": {"coarse": coarse, "fine": fine, "both": coarse + fine}[
                self.gesture_classes
            ],
        }
        if "vertices" in of_mesh:
            terms["vertices"] = masked_l1(output.vertices, fit_vertices, batch.has_mano, n_fits)
        if "edges" in of_mesh:
            lengths, fit_lengths = (
                edge_lengths(mesh, self.mano.edges) for mesh in (output.vertices, fit_vertices)
            )
            terms["edges"] = masked_l1(lengths, fit_lengths, batch.has_mano, n_fits)
        if output.view is not None:
            faces = facing(batch.joints_cam, valid, batch.is_left)
            terms["side"] = _binary_cross_entropy(output.view.side_logit, batch.is_left, count)
            terms["facing"] = cross_entropy(output.view.facing_logits, faces, count)
        return {name: self.weights[name] * term for name, term in terms.items()}

    @torch.no_grad()
    def _fit_meshes(self, batch: HandBatch) -> tuple[Tensor, Tensor]:
        """Vertices (B, V, 3) and joints (B, J, 3) of the MANO fits, m, wrist at 0.

        They have no meaning where there is no fit.
        """
        fit = (batch.global_orient, batch.hand_pose, batch.betas)
        return self.mano.hand(*fit, batch.is_left)


MEASURED: tuple[str, ...] = (
    *("rotation", "root", "betas", "joints_volume", "joints_mano", "uvd"),
    *("reprojection_volume", "reprojection_mano", "vertices", "edges"),
)
"""The L1 terms against a truth, whose weights can be learned."""


def edge_lengths(vertices: Tensor, edges: Tensor) -> Tensor:
    """Lengths of a mesh's edges: vertices (B, V, 3), edges (E, 2) -> (B, E), in the same unit.

    The gradient of an edge without length is 0.
    """
    # not `vertices[:, edges]`: with several threads its gradient is summed in any order
    index = edges.flatten()[None, :, None].expand(len(vertices), -1, 3)
    ends = vertices.gather(1, index).view(len(vertices), -1, 2, 3)  # (B, E, 2, 3)
    lengths: Tensor = torch.linalg.vector_norm(ends[:, :, 1] - ends[:, :, 0], dim=-1)
    return lengths


def bone_discontinuity(rotmat: Tensor) -> Tensor:
    """Mean difference of consecutive joints' local rotations in 6D, along the five fingers.

    A prior, not a comparison with the truth: neighbouring joints of a finger flex alike, so a chain
    whose rotations jump is penalised whatever the annotation says. rotmat (B, 16, 3, 3) -> ().
    The root is left out: a hand's orientation does not constrain its fingers.
    """
    rot6d = matrix_to_rot6d(rotmat)  # (B, 16, 6)
    fingers = rot6d[:, 1:].reshape(-1, 5, 3, 6)  # MANO numbers a finger's joints in a row
    return (fingers[:, :, 1:] - fingers[:, :, :-1]).abs().mean()


def masked_l1(predicted: Tensor, truth: Tensor, mask: Tensor, denominator: Tensor) -> Tensor:
    """Mean absolute difference where the mask (of the leading dimensions) is true, else 0.

    The sum is divided by `denominator` (), such as `count(mask)`.
    """
    error = (predicted - truth).abs().flatten(mask.dim()).mean(-1)  # the mask's shape
    return (error * mask).sum() / denominator


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
