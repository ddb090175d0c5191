"""One factor a quantity: what it holds on new draws, and what it does to overconfident logits."""

from __future__ import annotations

import math

import pytest
import torch

from handpose.confidence.calibration import conformal_factor, logit_factor, people_factor


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


def of_people(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Errors of people who are each read better or worse than is predicted, and whose they are."""
    level = (0.5 * torch.randn(count, 1, generator=generator)).exp()
    errors = level * -torch.rand(count, 400, generator=generator).clamp(min=1e-6).log()
    return errors.ravel(), torch.arange(count).repeat_interleave(400)


def held_by(people: int, *, left_out: bool) -> float:
    """Share of the errors of many other people, over a hundred calibrations on so few."""
    generator = torch.Generator().manual_seed(0)
    new = of_people(2000, generator)[0].sort().values
    held = []
    for _ in range(100):
        errors, whose = of_people(people, generator)
        ones = torch.ones_like(errors)
        factor = people_factor(errors, ones, whose) if left_out else conformal_factor(errors, ones)
        held.append(torch.searchsorted(new, torch.tensor(factor)).item() / len(new))
    return sum(held) / len(held)


def test_few_people_give_the_factor_that_covers_other_people_on_average() -> None:
    """The quantile of all their errors holds less of other people's."""
    assert held_by(3, left_out=False) < 0.89
    assert held_by(3, left_out=True) == pytest.approx(0.9, abs=0.01)


def test_people_who_are_read_alike_need_no_wider_regions() -> None:
    generator = torch.Generator().manual_seed(0)
    errors, scales = torch.rand(3000, generator=generator), torch.full((3000,), 0.5)
    found = people_factor(errors, scales, torch.arange(3000) % 6)
    assert found == pytest.approx(conformal_factor(errors, scales), rel=0.01)
    alone = people_factor(errors, scales, torch.zeros(3000))
    assert alone == conformal_factor(errors, scales), "one person says nothing of others"


@pytest.mark.parametrize("overconfident", [0.5, 1.0, 4.0])
def test_logits_become_what_they_are_worth(overconfident: float) -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(20_000, generator=generator) < 0.3
    # of two normal distributions 2 apart, the honest logit for classes that count alike is 2 x
    x = torch.randn(20_000, generator=generator) + torch.where(truth, 1.0, -1.0)
    assert logit_factor(2 * overconfident * x, truth) == pytest.approx(1 / overconfident, rel=0.06)


def test_classes_that_are_separated_without_error_stay_finite() -> None:
    logits, truth = torch.tensor([-5.0, -3.0, 4.0]), torch.tensor([False, False, True])
    assert math.isfinite(logit_factor(logits, truth))
