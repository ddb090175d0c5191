"""One factor a quantity: what it holds on new draws, and what it does to overconfident logits."""

from __future__ import annotations

import math

import pytest
import torch

from handpose.confidence.calibration import conformal_factor, logit_factor


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_regions_hold_their_share_of_new_errors_whatever_their_distribution(share: float) -> None:
    """Scales are wrong by one factor, errors are heavy-tailed: the quantile does not care."""
    generator = torch.Generator().manual_seed(0)

    def draw(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        scales = torch.randn(n, generator=generator).exp()
        ratio = torch.rand(n, generator=generator).clamp(min=1e-3) ** -0.5  # infinite variance
        return 3 * scales * ratio, scales

    factor = conformal_factor(*draw(20_000), share)
    errors, scales = draw(20_000)
    assert (errors <= factor * scales).float().mean().item() == pytest.approx(share, abs=0.01)
    exact = 3 * (1 - share) ** -0.5  # the quantile of these ratios
    assert factor == pytest.approx(exact, rel=0.05)


def test_few_errors_give_the_rank_that_covers_on_average() -> None:
    """With n errors the k-th smallest covers k / (n + 1) of new ones: 9 need the largest."""
    errors = torch.arange(1.0, 10)
    assert conformal_factor(errors, torch.ones(9)) == 9
    assert conformal_factor(errors, torch.ones(9), 0.5) == 5
    assert conformal_factor(errors[:3], torch.full((3,), 2.0)) == 1.5
    with pytest.raises(ValueError, match="no error to calibrate with"):
        conformal_factor(errors[:0], errors[:0])


@pytest.mark.parametrize("overconfident", [0.5, 1.0, 4.0])
def test_logits_become_what_they_are_worth(overconfident: float) -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(20_000, generator=generator) < 0.3
    # of two normal distributions 2 apart, the honest logit for classes that count alike is 2 x
    x = torch.randn(20_000, generator=generator) + torch.where(truth, 1.0, -1.0)
    assert logit_factor(2 * overconfident * x, truth) == pytest.approx(1 / overconfident, rel=0.06)


def test_classes_that_are_told_without_a_fault_stay_finite() -> None:
    logits, truth = torch.tensor([-5.0, -3.0, 4.0]), torch.tensor([False, False, True])
    assert math.isfinite(logit_factor(logits, truth))
