"""Training of the confidence head on what a frozen network made of crops, and its calibration.

The network ran once; its outputs are in memory, so an epoch takes about a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.confidence.calibration import logit_factor, people_factor
from handpose.confidence.confidence_head import ConfidenceHead
from handpose.confidence.head_input import HeadInput, HeadOutput
from handpose.training.optimiser import FusedAdamW
from handpose.training.schedules import one_cycle

LR = 1e-3
WEIGHT_DECAY = 0.05
TARGETS = ("error_px", "error_m", "valid", "rooted", "is_hand", "person")
"""Fields of `HeadExamples` beside what was seen."""


@dataclass(frozen=True)
class HeadExamples:
    """N crops: what the network made of them, how wrong that is, and whether there is a hand."""

    seen: HeadInput
    error_px: Tensor  # (N, J) of `uv`, as a share of the crop's side
    error_m: Tensor  # (N, J) about the wrist
    valid: Tensor  # (N, J) bool, the first error is known
    rooted: Tensor  # (N, J) bool, the second error is; never the wrist's own
    is_hand: Tensor  # (N,) bool; without a hand no error is known
    person: Tensor  # (N,) a number for whose hand it is

    def __len__(self) -> int:
        """Number of crops, N."""
        return len(self.is_hand)

    def rows(self, chosen: Tensor) -> HeadExamples:
        """Some of the crops, by number or by mask."""
        targets = {name: getattr(self, name)[chosen] for name in TARGETS}
        return HeadExamples(self.seen.rows(chosen), **targets)


def join_examples(parts: Sequence[HeadExamples]) -> HeadExamples:
    """All crops of these parts, in order."""
    seen = HeadInput(*map(torch.cat, zip(*(part.seen for part in parts), strict=True)))
    targets = {name: torch.cat([getattr(part, name) for part in parts]) for name in TARGETS}
    return HeadExamples(seen, **targets)


def head_loss(output: HeadOutput, examples: HeadExamples) -> dict[str, Tensor]:
    """The terms; their sum is the loss.

    An error is taken as drawn from an exponential distribution of the predicted scale, whose
    likelihood is highest at the expected error and is not ruled by outliers. A mean over no known
    error is 0.
    """
    return {
        "px": _likelihood(output.log_px, examples.error_px, examples.valid),
        "m": _likelihood(output.log_m, examples.error_m, examples.rooted),
        "is_hand": F.binary_cross_entropy_with_logits(output.hand_logit, examples.is_hand.float()),
    }


def _likelihood(log_scale: Tensor, error: Tensor, known: Tensor) -> Tensor:
    """Mean negative logarithm of the exponential density where the error is known."""
    each = log_scale + error * (-log_scale).exp()
    return (each * known).sum() / known.sum().clamp(min=1)


def fit_head(
    head: ConfidenceHead,
    examples: HeadExamples,
    *,
    epochs: int,
    batch: int,
    generator: torch.Generator,
) -> float:
    """Train the head, which is left in evaluation mode; returns the last epoch's mean loss.

    Args:
        head: with its first weights.
        examples: of people that the network may have been trained on.
        epochs: over all of them.
        batch: crops a step.
        generator: of the order.
    """
    device = head.factors.device
    steps = epochs * -(-len(examples) // batch)
    optimiser = FusedAdamW(dict(head.named_parameters()), WEIGHT_DECAY, {})
    head.train()
    step, mean = 0, 0.0
    for _ in range(epochs):
        order = torch.randperm(len(examples), generator=generator).to(device)
        losses = []
        for begin in range(0, len(examples), batch):
            chosen = order[begin : begin + batch]
            some = examples.rows(chosen)
            loss = torch.stack(list(head_loss(head(some.seen), some).values())).sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.set_lr(LR * one_cycle(step, steps))
            optimiser.step()
            step += 1
            losses.append(loss.detach())
        mean = torch.stack(losses).mean().item()
    head.eval()
    return mean


@torch.no_grad()
def calibrate(head: ConfidenceHead, examples: HeadExamples) -> None:
    """Set the head's factors by people that neither it nor the network was trained on.

    Raises:
        ValueError: no error is known, or all crops show a hand, or none does.
    """
    if examples.is_hand.all() or not examples.is_hand.any():
        raise ValueError("calibration needs crops with a hand and crops without one")
    found = head.eval()(examples.seen)
    pairs = (
        (examples.error_px, found.log_px, examples.valid),
        (examples.error_m, found.log_m, examples.rooted),
    )
    people = examples.person[:, None].expand_as(examples.valid)  # (N, J)
    factors = [people_factor(e[known], s[known].exp(), people[known]) for e, s, known in pairs]
    factors.append(logit_factor(found.hand_logit, examples.is_hand))
    head.factors.copy_(torch.tensor(factors))
