"""The moving average of a model's weights, often better than the last ones."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a model's weights and batch statistics.

    Torch's own averaging function rounds down the average of whole numbers, and so makes a tree of
    joints another tree; they are copied here.

    Args:
        model: whose `parameters` and buffers `update_parameters` adds.
        decay: share of the average that each update keeps, in (0, 1).
    """

    def update(averages: Tensors, values: Tensors, _: Tensor | int) -> None:
        """Of tensors of one type."""
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, 1 - decay)
        else:
            torch._foreach_copy_(averages, values)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
