from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from handpose.nets.mano_head import ClassStart, ManoHead


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


def test_a_start_is_added_before_the_passes_that_correct_it(
    inputs: tuple[Tensor, Tensor, Tensor],
) -> None:
    start = torch.randn(3, 16, 6)
    plain, corrected = refined(0), refined(2)
    torch.testing.assert_close(plain(*inputs, start=start)[0], plain(*inputs)[0] + start)
    moved = corrected(*inputs, start=start)[0] - corrected(*inputs)[0]
    assert not torch.allclose(moved, start, atol=1e-3), "the passes see it"
    for one, other in zip(
        plain(*inputs), plain(*inputs, start=torch.zeros_like(start)), strict=True
    ):
        assert torch.equal(one, other)


MEANS = torch.randn(4, 15, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def class_start() -> ClassStart:
    return ClassStart(4)


def test_a_sure_class_starts_at_its_mean_and_no_idea_at_the_mean_of_all(
    class_start: ClassStart,
) -> None:
    centre = class_start.set_means(MEANS, torch.ones(4, dtype=torch.bool))
    sure = class_start(1e4 * torch.eye(4))
    torch.testing.assert_close(sure[:, 1:] + centre, MEANS)
    assert not sure[:, 0].any(), "a gesture says nothing of the root"
    torch.testing.assert_close(class_start(torch.zeros(2, 4)), torch.zeros(2, 16, 6))
    half = class_start(torch.tensor([[0.0, 0.0, -1e4, -1e4]]))[0, 1:] + centre
    torch.testing.assert_close(half, MEANS[:2].mean(0), rtol=1e-4, atol=1e-5)


def test_a_class_without_a_mean_adds_nothing(class_start: ClassStart) -> None:
    known = torch.tensor([True, True, False, True])
    means = MEANS.clone()
    means[2] = torch.nan
    centre = class_start.set_means(means, known)
    torch.testing.assert_close(centre, MEANS[known].mean(0))
    assert not class_start(1e4 * torch.eye(4))[2].any()
    torch.testing.assert_close(class_start(torch.zeros(1, 4)), torch.zeros(1, 16, 6))


def test_errors_of_the_pose_do_not_bend_the_classes(class_start: ClassStart) -> None:
    class_start.set_means(MEANS, torch.ones(4, dtype=torch.bool))
    logits = torch.randn(3, 4, requires_grad=True)
    assert not class_start(logits).requires_grad
    assert not list(class_start.parameters()) and "offsets" in class_start.state_dict()
