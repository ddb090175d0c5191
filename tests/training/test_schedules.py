from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from handpose.training.schedules import fine_weight, lr_factor, one_cycle

EPOCHS, PER_EPOCH = 5, 8
TOTAL = EPOCHS * PER_EPOCH


def factors(schedule: str, milestones: tuple[int, ...] = ()) -> list[float]:
    return [
        lr_factor(schedule, step, epochs=EPOCHS, steps_per_epoch=PER_EPOCH, milestones=milestones)
        for step in range(TOTAL)
    ]


def test_one_cycle_is_torchs() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = OneCycleLR(optimizer, max_lr=1.0, total_steps=TOTAL)
    for factor in factors("one_cycle"):
        assert factor == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler.last_epoch < TOTAL - 1:
            scheduler.step()


@pytest.mark.parametrize("total", range(1, 12))
def test_one_cycle_of_very_few_steps_is_defined(total: int) -> None:
    assert all(0 < one_cycle(step, total) <= 1 for step in range(total))


def test_cosine_falls_from_one_towards_zero() -> None:
    values = factors("cosine")
    assert values[0] == 1
    assert values[TOTAL // 2] == pytest.approx(0.5)
    assert values == sorted(values, reverse=True)
    assert 0 < values[-1] < 0.01


def test_step_divides_by_ten_at_each_milestone() -> None:
    values = factors("step", milestones=(2, 4))
    expected = [1.0] * 2 * PER_EPOCH + [0.1] * 2 * PER_EPOCH + [0.01] * PER_EPOCH
    assert values == pytest.approx(expected)


def test_constant_is_one() -> None:
    assert factors("constant") == [1.0] * TOTAL


def test_unknown_schedule_is_named() -> None:
    with pytest.raises(ValueError, match="'linear' is not one of"):
        factors("linear")


def papers(epoch: int) -> float:
    return fine_weight(epoch, start=0.1, step=0.1, every=10, maximum=0.5)


def constant(epoch: int) -> float:
    return fine_weight(epoch, start=0.5, step=0.1, every=10, maximum=0.5)


@pytest.mark.parametrize(
    ("schedule", "epoch", "weight"),
    [
        (papers, 0, 0.1),
        (papers, 9, 0.1),
        (papers, 10, 0.2),
        (papers, 39, 0.4),
        (papers, 40, 0.5),
        (papers, 1000, 0.5),
        (constant, 0, 0.5),
        (constant, 1000, 0.5),
    ],
)
def test_fine_weight_climbs_in_steps_to_its_maximum(
    schedule: Callable[[int], float], epoch: int, weight: float
) -> None:
    assert schedule(epoch) == pytest.approx(weight)
