"""The smallest nets that are still real: HRNet-W18-small at 64 px."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from handpose.hand.mano import Mano
from handpose.nets.backbone import Backbone
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet

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
    return GestureNet(
        backbone=Backbone(name="hrnet_w18_small"),
        coarse_classes=6,
        fine_classes=9,
        gesture_levels=(4, 8, 16, 32),
    )


@pytest.fixture
def make_pose_net(gesture_net: GestureNet, mano: Mano) -> Callable[..., PoseNet]:
    def make(**changes: Any) -> PoseNet:
        keywords: dict[str, Any] = {
            "pose_levels": (8, 32),
            "grid": 6,
            "dim": 32,
            "heads": 2,
            "encoder_layers": 1,
            "volume_depth": 5,
            "depth_range_m": 0.2,
            "fusion_layers": 1,
        }
        return PoseNet(gesture_net=gesture_net, mano=mano, **keywords | changes)

    return make
