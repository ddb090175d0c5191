"""Exponential moving average (EMA) of a model's weights, often better than the last weights."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a model's weights and batch statistics.

    Torch's own averaging function also averages integer buffers, rounded down, which would corrupt
    MANO's tree of joints; here they are copied.

    The decay warms up: at the n-th update it is at most (1 + n) / (10 + n), as in TensorFlow's
    `ExponentialMovingAverage`. Otherwise the initial weights would dominate the average for
    1 / (1 - decay) steps, which a short training does not have.

    Args:
        model: its parameters and buffers are averaged by `update_parameters`.
        decay: weight of the previous average in each update after the first ones, in (0, 1).
    """

    def update(averages: Tensors, values: Tensors, count: Tensor | int) -> None:
        """The update after `count` others, in place; all tensors have the same dtype."""
        n = int(count)
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, 1 - min(decay, (1 + n) / (10 + n)))
        else:
            torch._foreach_copy_(averages, values)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
