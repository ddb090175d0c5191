"""`handpose describe`: the resolved networks, their losses and schedules, as one text."""

from __future__ import annotations

from pathlib import Path

import torch

from handpose.hand.mano import Mano
from handpose.nets.describe import describe
from handpose.schedules import fine_weight, lr_factor
from stages.params import Fit, Params, load_params


def description(path: Path) -> str:
    """What `params.yaml` resolves to: every layer with shape and size, loss weights, schedules."""
    params = load_params(path)
    return "\n\n".join([*_networks(params), _losses(params), *_schedules(params)])
