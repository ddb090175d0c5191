"""What the confidence head reads of a network's output, and what it returns, as tensors.

Beside the network's own features there are a few numbers a joint that indicate errors by
themselves: how wide its heatmap is, how far the two answers of the network, heatmaps and MANO,
disagree, and how far those of an image and of its mirror image do, where both are passed through
it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from handpose.hand.facing import FACINGS
from handpose.sample import PoseOutput

NUMBERS, WHOLE_NUMBERS = 13, 21
DECIMETRE = 0.1
"""The unit of lengths, so that all numbers are about 1."""

NARROW, AGREEING = 1e-3, 1e-2
"""Added before a logarithm is taken, in units of half a crop."""

APART = 0.1
"""Added to differences of 6D rotations before a logarithm is taken."""

SURE_LOGIT = 4.0


class HeadInput(NamedTuple):
    """Of B crops; no gradient goes back to the network."""

    features: Tensor  # (B, C) pooled
    tokens: Tensor  # (B, J, D)
    numbers: Tensor  # (B, J, NUMBERS)
    whole: Tensor  # (B, WHOLE_NUMBERS) side, facing (0 without view heads), rotations' differences

    @classmethod
    def of(cls, hand: PoseOutput, side: int) -> HeadInput:
        """Of hands as the network gives them, before their camera is turned.

        Args:
            hand: of crops of the network's own size; it has a `confidence_input`.
            side: of these crops, px.

        Raises:
            ValueError: it has none: the network is in training mode, or is a baseline.
        """
        known = hand.confidence_input
        if known is None:
            raise ValueError("this output has no confidence_input to read a confidence from")
        uv, joints, depth = hand.uv.detach(), hand.joints.detach(), hand.depth_rel.detach()
        uv = 2 * uv / (side - 1) - 1  # (B, J, 2)
        disagreement = (joints[..., 2] - depth).abs()[..., None]  # (B, J, 1) m
        numbers = torch.cat(
            [
                uv,
                depth[..., None] / DECIMETRE,
                joints / DECIMETRE,
                (known.spread + NARROW).log(),
                (_misfit(joints[..., :2], uv)[..., None] + AGREEING).log(),
                disagreement / DECIMETRE,
                (known.flip_difference[..., :2].norm(dim=-1, keepdim=True) + AGREEING).log(),
                (known.flip_difference[..., 2:] + AGREEING).log(),
            ],
            -1,
        )
        whole = torch.cat([_view_numbers(hand), (known.rot6d_flip_difference + APART).log()], -1)
        return cls(known.features, known.tokens, numbers, whole)

    def rows(self, chosen: Tensor) -> HeadInput:
        """Some of the crops, by number or by mask."""
        return HeadInput(*(tensor[chosen] for tensor in self))


class HeadOutput(NamedTuple):
    """Scales and logits of B crops, not calibrated."""

    log_px: Tensor  # (B, J) of the expected error of `uv`, as a share of the crop's side
    log_m: Tensor  # (B, J) of the expected error about the wrist, m
    hand_logit: Tensor  # (B,) positive: a hand


def _misfit(xy: Tensor, uv: Tensor) -> Tensor:
    """How far points lie from others after scaling and moving: (B, J, 2) twice -> (B, J).

    The best scale is that of least squares, and is not negative; the unit is that of `uv`.
    """
    xy, uv = xy - xy.mean(1, keepdim=True), uv - uv.mean(1, keepdim=True)
    size = (xy * xy).sum((1, 2), keepdim=True).clamp(min=1e-12)
    scale = ((xy * uv).sum((1, 2), keepdim=True) / size).clamp(min=0)
    distance: Tensor = (scale * xy - uv).norm(dim=-1)
    return distance


def _view_numbers(hand: PoseOutput) -> Tensor:
    """(B, 5): which side, how surely, and the probabilities of all faces."""
    if hand.view is None:
        return hand.uv.new_zeros(hand.uv.shape[0], 2 + len(FACINGS))
    left = (hand.view.side_logit.detach() / SURE_LOGIT).tanh()[:, None]
    return torch.cat([left, left.abs(), hand.view.facing_logits.detach().softmax(-1)], -1)
