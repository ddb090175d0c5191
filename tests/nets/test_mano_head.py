from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from handpose.nets.mano_head import ManoHead


def test_starts_near_the_mean_pose_and_the_mean_shape() -> None:
    mean = torch.randn(16, 6)
    head = ManoHead(joints=21, dim=32, features=10, mean_rot6d=mean)
    rot6d, betas = head(torch.randn(3, 21, 32), torch.rand(3, 21, 3), torch.randn(3, 10))
    assert rot6d.shape == (3, 16, 6)
    assert betas.shape == (3, 10)
    assert (rot6d - mean).abs().max() < 0.3
    assert betas.abs().max() < 0.3


def test_every_input_is_read() -> None:
    head = ManoHead(joints=21, dim=32, features=10, mean_rot6d=torch.randn(16, 6))
    inputs = [torch.randn(3, 21, 32), torch.rand(3, 21, 3), torch.randn(3, 10)]
    rot6d, _ = head(*inputs)
    for place in range(3):
        changed = [-x if i == place else x for i, x in enumerate(inputs)]
        assert not torch.allclose(rot6d, head(*changed)[0])


def test_without_a_global_feature_none_is_read() -> None:
    head = ManoHead(joints=21, dim=32, features=0, mean_rot6d=torch.randn(16, 6))
    tokens, uvd = torch.randn(3, 21, 32), torch.rand(3, 21, 3)
    for one, other in zip(
        head(tokens, uvd, torch.randn(3, 10)), head(tokens, uvd, torch.randn(3, 10)), strict=True
    ):
        assert torch.equal(one, other)


def refined(refinements: int, *, at_random: bool = True) -> ManoHead:
    """A head with these passes; always the same weights, corrections at random or 0."""
    torch.manual_seed(0)
    head = ManoHead(
        joints=21, dim=32, features=10, mean_rot6d=torch.randn(16, 6), refinements=refinements
    )
    if at_random and refinements:
        for name, weight in head.named_parameters():
            if "correction.last" in name:
                torch.nn.init.normal_(weight, std=0.1)
    return head


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(3, 21, 32), torch.rand(3, 21, 3), torch.randn(3, 10)


def test_refinements_start_as_without_them(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    plain = refined(0)
    for refinements in (1, 3):
        head = refined(refinements, at_random=False)
        for name, weight in plain.named_parameters():
            assert torch.equal(head.get_parameter(name), weight), name
        for one, other in zip(head(*inputs), plain(*inputs), strict=True):
            assert torch.equal(one, other)


def test_all_passes_share_their_weights(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    one, three = refined(1), refined(3)
    names = [name for name, _ in one.named_parameters()]
    assert names == [name for name, _ in three.named_parameters()]
    assert not torch.allclose(one(*inputs)[0], three(*inputs)[0])


def test_a_pass_corrects_the_estimate_that_it_sees(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    """Of the layers that read an estimate nothing is left but their bias: each pass is alike."""
    heads = [refined(n) for n in (0, 1, 2, 3)]
    outputs = [torch.cat([x.flatten(1) for x in head(*inputs)], -1) for head in heads]
    steps = [after - before for before, after in pairwise(outputs)]
    assert all(not torch.allclose(one, other) for one, other in pairwise(steps))
    for head in heads[1:]:
        for name, weight in head.named_parameters():
            if name.endswith("correction.estimate.weight"):
                torch.nn.init.zeros_(weight)
    blind = [torch.cat([x.flatten(1) for x in head(*inputs)], -1) for head in heads]
    first, *others = [after - before for before, after in pairwise(blind)]
    for step in others:
        torch.testing.assert_close(step, first, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("at_random", [False, True])
def test_gradients_reach_what_can_learn(
    at_random: bool, inputs: tuple[Tensor, Tensor, Tensor]
) -> None:
    """At the start all but the layers that see the estimate; these once there is a correction."""
    head = refined(2, at_random=at_random)
    rot6d, betas = head(*inputs)
    (rot6d.square().sum() + betas.square().sum()).backward()
    for name, weight in head.named_parameters():
        learns = at_random or ".estimate." not in name
        assert weight.grad is not None and bool(weight.grad.any()) is learns, name
