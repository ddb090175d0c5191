from __future__ import annotations

import pytest
import torch
from torch import Tensor

from handpose.nets.gesture_net import GestureNet
from handpose.sample import GestureOutput
from stages.params import EncoderParams


def test_output_shapes(gesture_net: GestureNet, image: Tensor) -> None:
    output = gesture_net(image)
    assert output.coarse_logits.shape == (4, 6)
    assert output.fine_logits.shape == (4, 9)
    assert output.features.shape == (4, 16 + 32 + 64 + 128)


def test_gradient_reaches_every_parameter(gesture_net: GestureNet, image: Tensor) -> None:
    output = gesture_net(image)
    (output.coarse_logits.square().sum() + output.fine_logits.square().sum()).backward()
    for name, parameter in gesture_net.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize("backbone", ["convnext_atto", "vit_tiny_patch16_224"])
def test_gradient_reaches_every_parameter_of_other_backbones(backbone: str, image: Tensor) -> None:
    encoder = EncoderParams(backbone=backbone, image_px=64, gesture_dropout=0)
    test_gradient_reaches_every_parameter(
        GestureNet(**encoder.keywords(), coarse_classes=6, fine_classes=9), image
    )


def test_deepest_level_alone_is_the_papers_global_feature(image: Tensor) -> None:
    encoder = EncoderParams(feature_location="incre", gesture_levels=(32,), gesture_hidden=8)
    net = GestureNet(**encoder.keywords(), coarse_classes=6, fine_classes=9).eval()
    deepest = net.backbone(image)[32]
    torch.testing.assert_close(net(image).features, deepest.mean((2, 3)))
    assert isinstance(net(image), GestureOutput)
