"""Exponential moving average (EMA) of a model's weights, often better than the last weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class MovingAverage:
    """The exponential moving average of a model's weights and batch statistics.

    Whole numbers are copied: a mean that is rounded down would be none.

    The decay warms up: at the n-th update after the first it is at most (1 + n) / (10 + n), as in
    TensorFlow's `ExponentialMovingAverage`. Otherwise the initial weights would dominate the
    average for 1 / (1 - decay) steps, which a short training does not have. The first update copies
    the weights.

    The host sets the weight of the next update, `update` works on the device alone.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """The average of this model, whose tensors must stay where they are.

        Args:
            model: as it is now; it is the average until the first update.
            decay: weight of the previous average in each update after the first ones, in (0, 1).
        """
        self.module = copy.deepcopy(model)
        self._decay = decay
        pairs = list(
            zip(self.module.state_dict().values(), model.state_dict().values(), strict=True)
        )
        self._real = [pair for pair in pairs if pair[0].is_floating_point()]
        self._whole = [pair for pair in pairs if not pair[0].is_floating_point()]
        device = self._real[0][0].device
        self._weight: Tensor | float = (
            1.0 if device.type == "cpu" else torch.ones((), device=device)
        )

    def set_step(self, updates: int) -> None:
        """Prepare the update that comes after this many."""
        warm_up = (1 + updates) / (10 + updates) if updates else 0.0
        weight = 1 - min(self._decay, warm_up)
        if isinstance(self._weight, Tensor):
            self._weight.fill_(weight)
        else:
            self._weight = weight

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model's weights as they are now."""
        averages, values = map(list, zip(*self._real, strict=True))
        if isinstance(self._weight, Tensor):  # torch has no lerp of many tensors by one on a device
            steps = torch._foreach_sub(values, averages)
            torch._foreach_mul_(steps, self._weight)
            torch._foreach_add_(averages, steps)
        else:
            torch._foreach_lerp_(averages, values, self._weight)
        for average, value in self._whole:
            average.copy_(value)
