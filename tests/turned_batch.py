"""A batch as cameras see it that are turned: the same pixels in another frame."""

from __future__ import annotations

import dataclasses

import torch

from handpose.hand.camera import turn
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from handpose.sample import HandBatch


def turned_batch(batch: HandBatch, seed: int = 0) -> HandBatch:
    """The batch in the frames of cameras that are turned by 10 degrees or so."""
    rng = torch.Generator().manual_seed(seed)
    R = axis_angle_to_matrix(0.12 * torch.randn(len(batch), 3, generator=rng))
    M = torch.diag_embed(mirror_points(torch.ones(len(batch), 3), batch.is_left))
    root = M @ R @ M @ axis_angle_to_matrix(batch.global_orient)
    return dataclasses.replace(
        batch,
        K=batch.K @ R.mT,
        view_rotation=R,
        joints_cam=turn(batch.joints_cam, R),
        global_orient=matrix_to_axis_angle(root),
    )
