"""The moving average of a toy's weights, and what of a model has none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from handpose.training.ema import MovingAverage


def test_the_average_follows_its_law() -> None:
    """Weights and batch statistics: the first values, then d x average + (1 - d) x new.

    d of the n-th update after the first is (1 + n) / (10 + n), and at most the decay.
    """
    decay = 0.25
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = MovingAverage(model, decay)
    expected: dict[str, torch.Tensor] = {}
    for update in range(6):
        d = min(decay, (1 + update) / (10 + update))
        assert (d < decay) == (update < 2)
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.randn_like(value))
                before = expected.get(name, value)
                expected[name] = d * before + (1 - d) * value
        average.set_step(update)
        average.update()
    found = average.module.state_dict()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])
    assert len(expected) == 6


@pytest.mark.parametrize("decay", [0.9, 0.95, 0.9999])
def test_whole_numbers_have_no_average(decay: float) -> None:
    """A hand's tree of joints, of which a mean that is rounded down would make another."""
    model, tree = nn.Linear(1, 1), torch.arange(104)
    model.register_buffer("tree", tree.clone())
    average = MovingAverage(model, decay)
    for update in range(20):
        average.set_step(update)
        average.update()
    assert torch.equal(average.module.get_buffer("tree"), tree)
    model.get_buffer("tree").add_(1)  # a count, say: the average has the newest
    average.update()
    assert torch.equal(average.module.get_buffer("tree"), tree + 1)
