"""The head: gradients reach all of it and nothing else, and its regions scale as they should."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from handpose.confidence.confidence_head import ConfidenceHead
from handpose.confidence.head_fit import HeadExamples, head_loss
from handpose.confidence.head_input import HeadInput
from handpose.hand.skeleton import WRIST
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from stages.params import EncoderParams, PoseNetParams
from tests.confidence.hands_at_random import C, D, J, random_output

PX = 64


@pytest.fixture
def head() -> ConfidenceHead:
    torch.manual_seed(0)
    return ConfidenceHead(features=C, dim=D).eval()


@pytest.fixture
def net(mano: Callable[..., object]) -> PoseNet:
    torch.manual_seed(0)
    encoder = EncoderParams(image_px=PX).keywords()
    pose_net = PoseNetParams(grid=4, dim=16, heads=2, view_heads=True).keywords()
    gesture_net = GestureNet(**encoder, coarse_classes=3, fine_classes=3)
    return PoseNet(gesture_net, mano, **pose_net)  # type: ignore[arg-type]


def test_gradients_reach_every_parameter_of_the_head_and_none_of_the_network(net: PoseNet) -> None:
    image = torch.randint(0, 256, (3, 3, PX, PX), dtype=torch.uint8)
    seen = HeadInput.of(net.eval()(image, torch.tensor([True, False, True])), PX)
    head = ConfidenceHead(features=seen.features.shape[-1], dim=16)
    known = torch.ones(3, J, dtype=torch.bool)
    error_px, error_m = torch.rand(2, 3, J).unbind()
    is_hand, person = torch.tensor([True, True, False]), torch.tensor([0, 1, -1])
    examples = HeadExamples(seen, error_px, error_m, known, known, is_hand, person)
    loss = torch.stack(list(head_loss(head(seen), examples).values())).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
    assert all(parameter.grad is None for parameter in net.parameters())


def test_regions_are_of_the_crop_and_the_wrist_is_the_origin(head: ConfidenceHead) -> None:
    output = random_output(3)
    with torch.no_grad():
        found = head.regions(output, PX)
    assert found.radius_px.shape == found.radius_m.shape == (3, J) and found.is_hand.shape == (3,)
    assert (found.radius_px > 0).all() and (found.radius_m[:, 1:] > 0).all()
    assert not found.radius_m[:, WRIST].any()
    assert ((found.is_hand > 0) & (found.is_hand < 1)).all()
    torch.testing.assert_close(found.zoomed(2.0).radius_px, 2 * found.radius_px)
    assert found.zoomed(2.0).radius_m is found.radius_m


def test_each_factor_acts_on_its_own_quantity(head: ConfidenceHead) -> None:
    output = random_output(3)

    def quantities() -> list[Tensor]:
        with torch.no_grad():
            found = head.regions(output, PX)
        return [found.radius_px, found.radius_m, found.is_hand.logit()]

    before = quantities()
    for k, factor in enumerate((2.0, 3.0, 0.5)):
        head.factors.fill_(1)
        head.factors[k] = factor
        for j, (old, new) in enumerate(zip(before, quantities(), strict=True)):
            torch.testing.assert_close(new, old * (factor if j == k else 1), rtol=1e-4, atol=1e-5)


def test_crops_do_not_depend_on_each_other(head: ConfidenceHead) -> None:
    seen = HeadInput.of(random_output(4), PX)
    with torch.no_grad():
        together, alone = head(seen), head(seen.rows(torch.tensor([2])))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[2:3], other)
