"""Pose-only warm-up: the joints are regressed from the pooled feature, without any gesture.

It teaches the backbone what Stage 2 will ask of it, by the same labels: a control of what gestures
add to a warm-up that is about hands.

The loss takes the frame of its batch. Stage 1 gives it that of the turned camera (`sample.py`):
from the image alone no other orientation can be known.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS, Count
from handpose.hand.skeleton import JOINTS, WRIST
from handpose.sample import GestureOutput, HandBatch
from handpose.training.loss.pose_loss import masked_l1

UNIT_M = 0.1
"""Metres of the head's unit, and of the loss's: coordinates of size 1, which suit AdamW's steps."""


class JointLoss(nn.Module):
    """Stage 1's loss of `pretrain.objective: pose`, with its linear head.

    The joints are those of the batch, not mirrored: the image shows which hand it is.
    """

    def __init__(self, features: int) -> None:
        """On pooled features of this width; training starts with all joints near the wrist."""
        super().__init__()
        self.head = nn.Linear(features, 3 * len(JOINTS))
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        output: GestureOutput,
        batch: HandBatch,
        epoch: int | None = None,
        count: Count = SINGLE_PROCESS.count,
    ) -> dict[str, Tensor]:
        """The one term, `joints`: L1 against the annotated joints about the wrist, over `UNIT_M`.

        Joints that are not annotated do not count, nor do hands whose wrist is not.

        Args:
            output: of the network.
            batch: the ground truth.
            epoch: not used; every epoch has the same loss.
            count: (mask) -> what a mean over its true entries divides by.
        """
        valid = batch.joint_valid & batch.joint_valid[:, WRIST, None]  # (B, 21)
        truth = batch.joints_cam - batch.joints_cam[:, WRIST, None]
        return {"joints": masked_l1(self.joints(output), truth, valid, count(valid)) / UNIT_M}

    def joints(self, output: GestureOutput) -> Tensor:
        """The joints (B, 21, 3) m about the wrist, in the batch's frame."""
        coordinates: Tensor = self.head(output.features.float())
        return UNIT_M * torch.unflatten(coordinates, 1, (len(JOINTS), 3))
