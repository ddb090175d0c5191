"""A small head that says how far off a frozen Stage 2 network is, and whether it saw a hand at all.

It reads what the network computed anyway, detached, so it can be trained for any model without
touching it. Letters: B batch, J = 21 joints, C pooled features, D width of the joints' tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handpose.confidence.head_input import NUMBERS, WHOLE_NUMBERS, HeadInput, HeadOutput
from handpose.hand.skeleton import JOINTS, WRIST
from handpose.sample import HandConfidence, PoseOutput

TYPICAL_PX, TYPICAL_M = 0.05, 0.03
"""Where the scales of both errors start: a share of the crop's side, and metres."""


class ConfidenceHead(nn.Module):
    """Scales of each joint's two errors and the logit of "is a hand", with their calibration.

    A scale is the expected error: of `uv`, as a share of the crop's side, and of the joint about
    the wrist, m. `factors` turn scales into radii of regions that hold a known share of joints,
    and the logit into a calibrated one; `calibration.py` finds them on people that the head was not
    trained on. They are 1 until then.
    """

    factors: Tensor

    def __init__(self, *, features: int, dim: int, hidden: int = 64, dropout: float = 0.5) -> None:
        """A head on a network with `features` pooled features and joint tokens of width `dim`.

        Much of both is dropped in training: a few thousand pictures are soon known by heart.
        """
        super().__init__()
        self.features_norm, self.tokens_norm = nn.LayerNorm(features), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.whole = nn.Sequential(
            nn.Linear(features + dim + NUMBERS + WHOLE_NUMBERS, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.joint = nn.Sequential(
            nn.Linear(hidden + dim + NUMBERS, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.log_scales = nn.Linear(hidden, 2)
        typical = torch.tensor([TYPICAL_PX, TYPICAL_M]).log()
        self.by_joint = nn.Parameter(typical.repeat(len(JOINTS), 1))  # (J, 2)
        self.is_hand = nn.Linear(hidden, 1)
        self.register_buffer("factors", torch.ones(3))

    def forward(self, seen: HeadInput) -> HeadOutput:
        """Scales and logits before calibration."""
        features = self.dropout(self.features_norm(seen.features))  # (B, C)
        tokens = self.dropout(self.tokens_norm(seen.tokens))  # (B, J, D)
        together = [features, tokens.mean(1), seen.numbers.mean(1), seen.whole]
        whole = self.whole(torch.cat(together, -1))  # (B, H)
        of_each = whole[:, None].expand(-1, tokens.shape[1], -1)
        joint = self.joint(torch.cat([of_each, tokens, seen.numbers], -1))  # (B, J, H)
        log_px, log_m = (self.log_scales(joint) + self.by_joint).unbind(-1)
        return HeadOutput(log_px, log_m, self.is_hand(whole)[:, 0])

    def regions(self, hand: PoseOutput, side: int) -> HandConfidence:
        """Calibrated confidence of hands in crops of this side, px; see `HeadInput.of`."""
        found = self(HeadInput.of(hand, side))
        px, metres, logit = self.factors.unbind()
        radius_m = metres * found.log_m.exp()
        radius_m[:, WRIST] = 0
        return HandConfidence(
            radius_px=side * px * found.log_px.exp(),
            radius_m=radius_m,
            is_hand=(logit * found.hand_logit).sigmoid(),
        )
