"""Whether a network knows the hand's side, and which face of it is seen."""

from __future__ import annotations

import torch
from torch import Tensor

from handpose.hand.facing import FACINGS, UNKNOWN, facing
from handpose.sample import HandBatch, SideFacingOutput

BACK, PALM = FACINGS.index("back"), FACINGS.index("palm")


def side_hits(view: SideFacingOutput, batch: HandBatch) -> Tensor:
    """1 where the likelier side is the hand's, else 0: (B,)."""
    return ((view.side_logit > 0) == batch.is_left).to(view.side_logit.dtype)


def facing_hits(view: SideFacingOutput, batch: HandBatch) -> Tensor:
    """1 where the likeliest facing is the true one, else 0; NaN where it is not known: (B,)."""
    truth = facing(batch.joints_cam, batch.joint_valid, batch.is_left)
    hits = (view.facing_logits.argmax(-1) == truth).to(view.facing_logits.dtype)
    return torch.where(truth == UNKNOWN, torch.nan, hits)


def mirrored_fingers(
    joints: Tensor, joints_cam: Tensor, joint_valid: Tensor, is_left: Tensor
) -> Tensor:
    """1 where a prediction shows the back of a hand whose palm is seen, or the palm of a back.

    Its fingers then come out in mirrored order in the image, whichever side the prediction has.
    NaN where the hand is seen from its edge, or its facing is not known: (B,).

    Args:
        joints: (B, 21, 3) m, predicted, in the frame of the truth; only relative to the wrist.
        joints_cam: (B, 21, 3) m, true.
        joint_valid: (B, 21) bool.
        is_left: (B,) bool, true.
    """
    truth = facing(joints_cam, joint_valid, is_left)
    at = joints_cam[:, :1] + joints - joints[:, :1]  # the line of sight is that of the true wrist
    found = facing(at, torch.ones_like(joint_valid), is_left)
    wrong = ((truth == PALM) & (found == BACK)) | ((truth == BACK) & (found == PALM))
    return torch.where((truth == PALM) | (truth == BACK), wrong.to(joints.dtype), torch.nan)
