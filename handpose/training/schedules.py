"""Quantities that change during training, as pure functions of the step or the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

WARM_UP = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e4
"""One cycle's defaults in torch: 30 % of the steps up from 1/25, then down to 1/25/10,000."""


def lr_factor(
    schedule: str,
    step: int,
    *,
    epochs: int,
    steps_per_epoch: int,
    milestones: Sequence[int] = (),
) -> float:
    """Factor of the learning rate at this step, counted from 0.

    Args:
        schedule: one_cycle, cosine, step or constant.
        step: gradient steps taken so far, over all epochs.
        epochs: length of the run.
        steps_per_epoch: gradient steps in an epoch.
        milestones: epochs at which 'step' divides by 10.

    Raises:
        ValueError: unknown schedule.
    """
    total = epochs * steps_per_epoch
    match schedule:
        case "one_cycle":
            return one_cycle(step, total)
        case "cosine":
            return (1 + math.cos(math.pi * min(step / total, 1))) / 2
        case "step":
            return 0.1 ** sum(step >= milestone * steps_per_epoch for milestone in milestones)
        case "constant":
            return 1.0
    raise ValueError(f"schedule {schedule!r} is not one of one_cycle, cosine, step, constant")


def one_cycle(step: int, total: int) -> float:
    """Half a cosine up to 1, half a cosine down to nearly 0.

    Source: Smith and Topin, Super-convergence (2018), in the shape of torch's OneCycleLR.
    """
    peak, last = WARM_UP * total - 1, total - 1
    start = 1 / START_DIVISOR
    if step <= peak:
        return _half_cosine(start, 1.0, step / peak)
    return _half_cosine(1.0, start / END_DIVISOR, min((step - peak) / (last - peak), 1))


def _half_cosine(begin: float, end: float, progress: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * progress)) / 2


def fine_weight(epoch: int, *, start: float, step: float, every: int, maximum: float) -> float:
    """Weight of the fine gesture loss (the paper's lambda) in this epoch, counted from 0.

    It grows by `step` every `every` epochs up to `maximum`: first coarse, then fine.
    """
    return min(start + step * (epoch // every), maximum)
