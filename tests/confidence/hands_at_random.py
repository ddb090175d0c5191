"""Outputs of a network that is not there, and crops whose errors have known scales."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from handpose.confidence.head_fit import HeadExamples
from handpose.confidence.head_input import NUMBERS, WHOLE_NUMBERS, HeadInput
from handpose.sample import ConfidenceInput, PoseOutput, SideFacingOutput

C, D, J = 6, 4, 21
PEOPLE = 5


def random_output(batch: int, *, view: bool = True, confidence_input: bool = True) -> PoseOutput:
    unused: dict[str, Any] = dict.fromkeys(
        ("rot6d", "rotmat", "betas", "vertices", "coarse_logits", "fine_logits", "gates"),
        torch.zeros(0),
    )
    return PoseOutput(
        uv=64 * torch.rand(batch, J, 2),
        depth_rel=0.1 * torch.randn(batch, J),
        joints=0.1 * torch.randn(batch, J, 3),
        view=SideFacingOutput(torch.randn(batch), torch.randn(batch, 3)) if view else None,
        confidence_input=random_confidence_input(batch) if confidence_input else None,
        **unused,
    )


def random_confidence_input(batch: int) -> ConfidenceInput:
    return ConfidenceInput(
        features=torch.randn(batch, C),
        tokens=torch.randn(batch, J, D),
        spread=torch.rand(batch, J, 3),
        flip_difference=torch.rand(batch, J, 3),
        rot6d_flip_difference=torch.rand(batch, 16),
    )


def known_examples(count: int, seed: int) -> tuple[HeadExamples, Tensor]:
    """Crops whose first token channel gives the scale of the errors, and the true scales (N, J).

    Pictures without a hand have a large first feature.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    features, tokens = normal(count, C), normal(count, J, D)
    is_hand = torch.arange(count) % 3 > 0
    features[:, 0] += torch.where(is_hand, 0.0, 8.0)
    scales = 0.05 * tokens[..., 0].exp()
    exponential = -torch.rand(count, J, 2, generator=generator).clamp(min=1e-6).log()
    valid = is_hand[:, None].expand(-1, J).clone()
    rooted = valid.clone()
    rooted[:, 0] = False
    examples = HeadExamples(
        seen=HeadInput(features, tokens, normal(count, J, NUMBERS), normal(count, WHOLE_NUMBERS)),
        error_px=scales * exponential[..., 0],
        error_m=scales * exponential[..., 1],
        valid=valid,
        rooted=rooted,
        is_hand=is_hand,
        person=torch.arange(count) % PEOPLE,
    )
    return examples, scales
