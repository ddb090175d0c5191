from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from handpose.nets.token_fusion import GestureTokens, TokenFusion
from handpose.sample import GestureClasses

RIGHT = torch.tensor([False, False])


def tokens(gate: float, classes: GestureClasses = "both") -> GestureTokens:
    torch.manual_seed(0)
    return GestureTokens(coarse_classes=6, fine_classes=9, dim=16, gate=gate, classes=classes)


def logits() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 6), torch.randn(2, 9)


def test_closed_gate_leaves_the_type_embeddings_alone() -> None:
    net = tokens(gate=0.0)
    torch.testing.assert_close(net(*logits()), net.types.expand(2, 2, 16))


def test_open_gate_lets_each_logit_into_its_own_token() -> None:
    net = tokens(gate=1.0)
    coarse, fine = logits()
    before = net(coarse, fine)
    after = net(-coarse, fine)
    assert not torch.allclose(before[:, 0], after[:, 0])
    torch.testing.assert_close(before[:, 1], after[:, 1])


def test_scale_and_offset_of_the_logits_do_not_matter() -> None:
    """The gate alone decides how much a token says: what it multiplies has the scale 1."""
    net = tokens(gate=1.0)
    coarse, fine = logits()
    expected = net(coarse, fine)
    torch.testing.assert_close(net(coarse + 7, fine - 7), expected)
    torch.testing.assert_close(net(100 * coarse, 0.1 * fine), expected, atol=1e-2, rtol=0)
    spread = (expected - net.types).std(-1, unbiased=False)
    torch.testing.assert_close(spread, torch.ones(2, 2), atol=1e-3, rtol=0)


def test_other_gates_are_used_instead_of_the_learnt_ones() -> None:
    given = logits()
    torch.testing.assert_close(tokens(0.01)(*given, torch.tensor([0.5, 2.0])), tokens_at(given))


def tokens_at(given: tuple[Tensor, Tensor]) -> Tensor:
    net = tokens(gate=0.0)
    with torch.no_grad():
        net.gates.copy_(torch.tensor([0.5, 2.0]))
    token: Tensor = net(*given)
    return token


@pytest.mark.parametrize(("classes", "row"), [("coarse", 0), ("fine", 1)])
def test_one_kind_of_classes_has_the_token_that_it_has_beside_the_other(
    classes: GestureClasses, row: int
) -> None:
    both, one = tokens(gate=0.5), tokens(gate=0.5, classes=classes)
    taken = {name: value for name, value in both.state_dict().items() if name in one.state_dict()}
    taken |= {name: taken[name][row : row + 1] for name in ("gates", "types")}
    one.load_state_dict(taken)
    given = logits()
    torch.testing.assert_close(one(*given), both(*given)[:, row : row + 1])
    other = "fine" if classes == "coarse" else "coarse"
    assert not [name for name in one.state_dict() if name.startswith(other)]


def fusion(**changes: Any) -> TokenFusion:
    torch.manual_seed(0)
    return TokenFusion(joints=21, dim=16, heads=2, layers=1, **changes)


@pytest.mark.parametrize("cross", [False, True])
def test_joints_hear_gestures_and_stay_21(cross: bool) -> None:
    net, joints, gestures = fusion(cross=cross), torch.randn(2, 21, 16), torch.randn(2, 2, 16)
    heard = net(joints, gestures, RIGHT)
    assert heard.shape == (2, 21, 16)
    assert not torch.allclose(heard, net(joints, gestures + 1, RIGHT))


def test_without_gestures_joints_still_speak_to_each_other() -> None:
    net, joints = fusion(), torch.randn(2, 21, 16)
    alone = net(joints, None, RIGHT)
    joints[:, 5] += 1
    moved = (net(joints, None, RIGHT) - alone).abs().sum((0, 2)) > 1e-6
    assert moved.all()


def test_residual_adds_a_learnt_map_of_the_original_tokens() -> None:
    net, joints = fusion(), torch.randn(2, 21, 16)
    full = net(joints, None, RIGHT)
    weight, bias = net.residual.weight[:, :, 0].clone(), net.residual.bias
    assert bias is not None
    original = joints @ weight.T + bias
    torch.nn.init.zeros_(net.residual.weight)
    torch.nn.init.zeros_(bias)
    torch.testing.assert_close(net(joints, None, RIGHT) + original, full)


@pytest.mark.parametrize("side_input", [False, True])
def test_side_is_an_input_only_if_wanted(side_input: bool) -> None:
    net, joints = fusion(side_input=side_input), torch.randn(2, 21, 16)
    same = torch.allclose(net(joints, None, RIGHT), net(joints, None, ~RIGHT))
    assert same is not side_input


def test_joints_are_told_apart_by_their_positions() -> None:
    same = fusion()(torch.ones(1, 21, 16), None, RIGHT[:1])
    assert same.std(dim=1).max() > 1e-4
