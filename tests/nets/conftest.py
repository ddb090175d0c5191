"""The smallest nets that are still real: HRNet-W18-small at 64 px."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from stages.params import EncoderParams, PoseNetParams

SIDE = 64


@pytest.fixture
def image() -> Tensor:
    return torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8)


@pytest.fixture
def is_left() -> Tensor:
    return torch.tensor([False, True, False, True])


@pytest.fixture
def gesture_net() -> GestureNet:
    torch.manual_seed(0)
    encoder = EncoderParams(image_px=SIDE, gesture_dropout=0)
    return GestureNet(**encoder.keywords(), coarse_classes=6, fine_classes=9)


@pytest.fixture
def make_pose_net(gesture_net: GestureNet, mano: Mano) -> Callable[..., PoseNet]:
    def make(**changes: Any) -> PoseNet:
        pose_net = PoseNetParams(
            grid=6, dim=32, heads=2, fusion_layers=1, volume_depth=5, volume_sharpness=1
        )
        return PoseNet(gesture_net, mano, **pose_net.keywords() | changes)

    return make
