"""Left or right, and palm, back or edge: two classifiers beside the pose."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.hand.facing import FACINGS, INDEX, PINKY
from handpose.hand.skeleton import WRIST
from handpose.sample import SideFacingOutput

HIDDEN = 128
BY_ORDER = 6.0
"""Where the weight of the fingers' order in the side's logit starts."""

PALM, BACK = FACINGS.index("palm"), FACINGS.index("back")


class ViewHeads(nn.Module):
    """Classifiers of a hand's side, and of which face is seen (ours; the paper has neither).

    The side is not read off the gesture classes: their loss is weak, and free hands have none. From
    pixels alone it is not learnt either (`docs/choices.md`): neither the face nor the order of the
    fingers says anything of it, only both together. So their product is given: a palm whose index
    finger comes clockwise after the little finger is a right hand's, a back a left hand's. The
    heads see the joints' tokens and places, from before the side is an input.
    """

    def __init__(self, *, features: int, dim: int, joints: int) -> None:
        """Heads on a pooled feature of width `features` and `joints` tokens of width `dim`."""
        super().__init__()
        self.features_norm, self.tokens_norm = nn.LayerNorm(features), nn.LayerNorm(dim)
        self.hidden = nn.Sequential(
            nn.Linear(features + dim + 3 * joints, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(inplace=True),
        )
        self.side = nn.Linear(HIDDEN, 1)
        self.facing = nn.Linear(HIDDEN, len(FACINGS))
        self.by_order = nn.Parameter(torch.tensor(BY_ORDER))

    def forward(
        self, features: Tensor, joint_tokens: Tensor, positions: Tensor
    ) -> SideFacingOutput:
        """Logits.

        Args:
            features: (B, C) pooled, of the encoder.
            joint_tokens: (B, J, D), before any of them knows the side.
            positions: (B, J, 3) u, v and depth in [-1, 1], as seen.
        """
        about_wrist = (positions - positions[:, WRIST, None]).flatten(1)  # (B, 3 J)
        seen = (
            self.features_norm(features), self.tokens_norm(joint_tokens.mean(1)), about_wrist
        )  # fmt: skip
        hidden = self.hidden(torch.cat(seen, 1))
        facing_logits = self.facing(hidden)
        face = facing_logits.softmax(1)
        palm_or_back = face[:, PALM] - face[:, BACK]  # (B,) 1 a palm, -1 a back
        order = finger_order(positions[..., :2])
        return SideFacingOutput(
            self.by_order * order * palm_or_back + self.side(hidden)[:, 0], facing_logits
        )


def finger_order(uv: Tensor) -> Tensor:
    """Sine of the angle from the index to the little knuckle about the wrist, clockwise: (B,).

    In an image (v down), uv (B, J, 2): positive for a left palm and a right back.
    """
    wrist = uv[:, WRIST]
    index, pinky = (F.normalize(uv[:, joint] - wrist, dim=-1) for joint in (INDEX, PINKY))
    return index[:, 0] * pinky[:, 1] - index[:, 1] * pinky[:, 0]
