from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from pipeline.describe.layers import describe


def lines(table: str) -> dict[str, list[str]]:
    """Cells after the name, by the line's first word; the last of a name wins."""
    return {line.split()[0]: line.split()[1:] for line in table.splitlines()}


def test_table_lists_what_the_net_computes(
    make_pose_net: Callable[..., PoseNet], image: Tensor, is_left: Tensor
) -> None:
    net = make_pose_net()
    table = lines(describe(net, image[:1], is_left[:1]))
    total = f"{sum(p.numel() for p in net.parameters()):,}"
    assert table["net"] == ["PoseNet", "PoseOutput", total]
    assert table["trained"] == [total]
    assert table["volume_head"][:2] == ["VolumeHead", "21x5x6x6"]
    assert table["gates"] == ["Parameter", "2", "2"]
    assert table["mano"] == ["Mano", "778x3,", "21x3", "0"]


def test_frozen_weights_are_not_counted_as_trained(gesture_net: GestureNet, image: Tensor) -> None:
    gesture_net.backbone.requires_grad_(False)
    heads = sum(p.numel() for p in gesture_net.heads.parameters())
    assert lines(describe(gesture_net, image))["trained"] == [f"{heads:,}"]


def test_depth_cuts_the_table(gesture_net: GestureNet, image: Tensor) -> None:
    names = list(lines(describe(gesture_net, image, depth=1)))
    assert names == ["layer", "net", "backbone", "heads", "trained"]


@pytest.mark.parametrize("training", [True, False])
def test_net_is_left_as_it_was(gesture_net: GestureNet, image: Tensor, training: bool) -> None:
    gesture_net.train(training)
    before = {key: value.clone() for key, value in gesture_net.state_dict().items()}
    describe(gesture_net, image)
    assert all(m.training is training for m in gesture_net.modules())
    assert not any(m._forward_hooks for m in gesture_net.modules())
    assert all(torch.equal(v, before[k]) for k, v in gesture_net.state_dict().items())
