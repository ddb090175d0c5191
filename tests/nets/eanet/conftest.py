"""EANet at reduced width on the smallest ResNet; at 96 px its grid has 3 x 3 cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from handpose.hand.mano import Mano
from handpose.nets.eanet.eanet import EaNet
from handpose.nets.gesture_net import GestureNet
from stages.params import EncoderParams, PoseNetParams

LACKING = {"gesture_tokens": False, "global_feature": False}


@pytest.fixture
def make_eanet(mano: Mano) -> Callable[..., EaNet]:
    def make(side: int = 64, backbone: str = "resnet18", **changes: Any) -> EaNet:
        torch.manual_seed(0)
        encoder = EncoderParams(
            backbone=backbone, image_px=side, gesture_dropout=0, gesture_levels=(32,)
        )
        gesture_net = GestureNet(**encoder.keywords(), coarse_classes=6, fine_classes=9)
        sizes = PoseNetParams(
            network="eanet", dim=16, heads=2, fusion_layers=2, volume_depth=4, **LACKING
        )
        keys = sizes.keywords() | changes
        keys.pop("network")
        return EaNet(gesture_net, mano, **keys)

    return make
