"""Training and calibration on crops whose errors have known scales."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from handpose.confidence.confidence_head import ConfidenceHead
from handpose.confidence.head_fit import HeadExamples, calibrate, fit_head, head_loss, join_examples
from handpose.confidence.head_input import HeadOutput
from handpose.evaluation.confidence_scores import ranking_auc
from tests.confidence.hands_at_random import C, D, J, known_examples


def trained(count: int = 600) -> ConfidenceHead:
    torch.manual_seed(0)
    head = ConfidenceHead(features=C, dim=D, dropout=0.1)
    examples, _ = known_examples(count, seed=1)
    generator = torch.Generator().manual_seed(0)
    fit_head(head, examples, epochs=25, batch=32, generator=generator)
    calibrate(head, known_examples(count, seed=2)[0])
    return head


@pytest.fixture(scope="module")
def head() -> ConfidenceHead:
    return trained()


def test_scales_are_learnt_and_hands_are_recognised(head: ConfidenceHead) -> None:
    examples, scales = known_examples(400, seed=3)
    with torch.no_grad():
        found = head(examples.seen)
    for logs, known in ((found.log_px, examples.valid), (found.log_m, examples.rooted)):
        pair = torch.stack([logs[known], scales.log()[known]])
        assert torch.corrcoef(pair)[0, 1] > 0.7
    hands, others = (found.hand_logit[examples.is_hand == flag].numpy() for flag in (True, False))
    assert ranking_auc(hands, others) > 0.95


def test_regions_hold_nine_of_ten_joints_of_new_people(head: ConfidenceHead) -> None:
    examples, _ = known_examples(1000, seed=4)
    with torch.no_grad():
        found = head(examples.seen)
    for k, (logs, errors, known) in enumerate(
        [
            (found.log_px, examples.error_px, examples.valid),
            (found.log_m, examples.error_m, examples.rooted),
        ]
    ):
        inside = errors <= head.factors[k] * logs.exp()
        assert inside[known].float().mean().item() == pytest.approx(0.9, abs=0.02)


def test_the_same_training_gives_the_same_head() -> None:
    one, other = trained(60).state_dict(), trained(60).state_dict()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_the_loss_is_least_at_the_true_scale() -> None:
    examples, scales = known_examples(3000, seed=5)

    def loss(factor: float) -> dict[str, float]:
        logs = (factor * scales).log()
        output = HeadOutput(logs, logs, torch.zeros(len(examples)))
        return {name: term.item() for name, term in head_loss(output, examples).items()}

    for name in ("px", "m"):
        assert loss(1.0)[name] < min(loss(0.8)[name], loss(1.25)[name])


def test_what_is_not_known_does_not_count() -> None:
    examples, scales = known_examples(30, seed=6)
    output = HeadOutput(scales.log(), scales.log(), torch.zeros(30))
    spoilt = dataclasses.replace(
        examples,
        error_px=torch.where(examples.valid, examples.error_px, 1e6),
        error_m=torch.where(examples.rooted, examples.error_m, 1e6),
    )
    assert head_loss(output, spoilt) == head_loss(output, examples)
    unknown = torch.zeros(30, J, dtype=torch.bool)
    nothing = head_loss(output, dataclasses.replace(examples, valid=unknown, rooted=unknown))
    assert nothing["px"] == nothing["m"] == 0


def test_parts_are_joined_in_order() -> None:
    examples, _ = known_examples(10, seed=7)
    parts = [examples.rows(torch.arange(4)), examples.rows(torch.arange(4, 10))]
    joined = join_examples(parts)
    assert len(joined) == 10 and torch.equal(joined.error_m, examples.error_m)
    for one, other in zip(joined.seen, examples.seen, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kept", [True, False])
def test_calibration_needs_hands_and_windows(kept: bool) -> None:
    examples, _ = known_examples(30, seed=8)
    alone: HeadExamples = examples.rows(examples.is_hand == kept)
    with pytest.raises(ValueError, match="crops with a hand and crops without one"):
        calibrate(ConfidenceHead(features=C, dim=D), alone)
