"""What training minimises: one term per line of the paper's objective (section 3.2.4).

Every term is a masked mean of absolute differences or a cross-entropy, so its size does not depend
on how many samples of a batch carry the annotation it needs; a batch with none gives 0. Call these
outside autocast: bf16 is too coarse for pixels and millimetres.

`count` gives the number that a mean divides by. Several processes that share a batch give
`Group.count`, which knows the masks of all slices: the mean of their losses is then the batch's.

Letters: B batch, J = 21 joints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.distributed import SINGLE_PROCESS
from handpose.hand.camera import back_project, project
from handpose.hand.rotation import matrix_to_rot6d
from handpose.hand.skeleton import WRIST
from handpose.sample import UNLABELLED, GestureOutput, HandBatch, PoseOutput

Count = Callable[[Tensor], Tensor]

NEAR = 0.01
"""Metres before the camera below which nothing is projected: a wild hand must not divide by 0."""


def gesture_loss(
    output: GestureOutput | PoseOutput,
    batch: HandBatch,
    *,
    fine_weight: float,
    count: Count = SINGLE_PROCESS.count,
) -> dict[str, Tensor]:
    """Stage 1's terms, weighted: coarse cross-entropy, and lambda = `fine_weight` times the fine.

    Samples without a gesture are left out.
    """
    return {
        "coarse": _cross_entropy(output.coarse_logits, batch.coarse, count),
        "fine": fine_weight * _cross_entropy(output.fine_logits, batch.fine, count),
    }


def pose_loss(
    output: PoseOutput,
    batch: HandBatch,
    rotations: Tensor,
    *,
    weights: Mapping[str, float],
    depth_range_m: float,
    count: Count = SINGLE_PROCESS.count,
) -> dict[str, Tensor]:
    """Stage 2's terms, weighted; their sum is the loss.

    Args:
        output: what the net says.
        batch: the truth.
        rotations: (B, 16, 3, 3) the fit's full local rotations (root first, `hands_mean`
            included), right-hand frame; any rotation where there is no fit.
        weights: one weight a term, by the names below.
        depth_range_m: what the volume spans before and behind the wrist.
        count: (mask) -> what a mean over its true entries divides by.
    """
    valid = batch.joint_valid
    rooted = valid & valid[:, WRIST, None]  # (B, J) the place relative to the wrist is known
    joints = torch.where(valid[..., None], batch.joints_cam, 1.0)  # finite; masked below
    wrist = joints[:, WRIST, None]  # (B, 1, 3) m, camera

    side = batch.image.shape[-1]
    uv = _to_unit(project(joints, batch.K), side)  # (B, J, 2) in [-1, 1]
    uv_volume = _to_unit(output.uv, side)
    uv_mano = _to_unit(project(_in_front(output.joints + wrist), batch.K), side)
    uvd = torch.cat([uv, (joints - wrist)[..., 2:] / depth_range_m], dim=-1)
    uvd_volume = torch.cat([uv_volume, output.depth_rel[..., None] / depth_range_m], dim=-1)
    joints_volume = back_project(output.uv, output.depth_rel + wrist[..., 2], batch.K)

    rot6d = matrix_to_rot6d(rotations)  # (B, 16, 6)
    gesture = gesture_loss(output, batch, fine_weight=1.0, count=count)
    fits, roots, places = count(batch.has_mano), count(rooted), count(valid)
    share = len(batch) / count(torch.ones_like(batch.has_mano))  # 1 for one process
    terms = {
        "rotation": _l1(output.rot6d[:, 1:], rot6d[:, 1:], batch.has_mano, fits),
        "root": _l1(output.rot6d[:, 0], rot6d[:, 0], batch.has_mano, fits),
        "betas": _l1(output.betas, batch.betas, batch.has_mano, fits),
        "joints_volume": _l1(joints_volume, joints, rooted, roots),
        "joints_mano": _l1(output.joints, joints - wrist, rooted, roots),
        "uvd": _l1(uvd_volume, uvd, rooted, roots),
        "reprojection_volume": _l1(uv_volume, uv, valid, places),
        "reprojection_mano": _l1(uv_mano, uv, rooted, roots),
        "bone": share * bone_discontinuity(output.rotmat),
        "gesture": gesture["coarse"] + gesture["fine"],
    }
    return {name: weights[name] * term for name, term in terms.items()}


def bone_discontinuity(rotmat: Tensor) -> Tensor:
    """Mean difference of consecutive joints' local rotations in 6D, along the five fingers.

    A prior, not a comparison with the truth: neighbouring joints of a finger flex alike, so a chain
    whose rotations jump is penalised whatever the annotation says. rotmat (B, 16, 3, 3) -> ().
    The root is left out: how a hand is held says nothing of its fingers.
    """
    rot6d = matrix_to_rot6d(rotmat)  # (B, 16, 6)
    fingers = rot6d[:, 1:].reshape(-1, 5, 3, 6)  # MANO numbers a finger's joints in a row
    return (fingers[:, :, 1:] - fingers[:, :, :-1]).abs().mean()


def _l1(predicted: Tensor, truth: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    """Mean absolute difference where the mask (of the leading dimensions) is true, else 0."""
    error = (predicted - truth).abs().flatten(mask.dim()).mean(-1)  # the mask's shape
    return (error * mask).sum() / count


def _cross_entropy(logits: Tensor, classes: Tensor, count: Count) -> Tensor:
    """Mean cross-entropy over the labelled samples, 0 without any."""
    total = F.cross_entropy(logits.float(), classes, ignore_index=UNLABELLED, reduction="sum")
    return total / count(classes != UNLABELLED)


def _to_unit(uv: Tensor, side: int) -> Tensor:
    """Pixels of a crop of this side -> [-1, 1] from its first to its last pixel centre."""
    return 2 * uv / (side - 1) - 1


def _in_front(points: Tensor) -> Tensor:
    """The same points, (B, J, 3) m camera, none nearer than `NEAR`."""
    x, y, z = points.unbind(-1)
    return torch.stack([x, y, z.clamp(min=NEAR)], dim=-1)
