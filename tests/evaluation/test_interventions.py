from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from handpose.evaluation.interventions import (
    GATES_CLOSED,
    INTERVENTIONS,
    OTHER_LOGITS,
    TRUE_CLASS,
    TokenInterventions,
    true_class_on_top,
)
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.sample import UNLABELLED, HandBatch
from stages.params import EncoderParams, PoseNetParams


@pytest.fixture
def net(mano: Mano) -> PoseNet:
    return made(mano)


def made(mano: Mano, **changes: Any) -> PoseNet:
    torch.manual_seed(0)
    encoder, pose_net = EncoderParams(image_px=64), PoseNetParams(grid=6, dim=32, heads=2)
    gesture_net = GestureNet(**encoder.keywords(), coarse_classes=6, fine_classes=9)
    return PoseNet(gesture_net, mano, **pose_net.keywords() | {"gate_init": 0.5} | changes).eval()


def test_true_class_and_top_class_change_places_and_nothing_else() -> None:
    logits, classes = torch.randn(50, 7), torch.randint(0, 7, (50,))
    changed = true_class_on_top(logits, classes)
    assert torch.equal(changed.argmax(-1), classes)
    assert torch.equal(changed.sort(-1).values, logits.sort(-1).values)
    assert ((changed != logits).sum(-1) <= 2).all()
    right = logits.argmax(-1) == classes
    assert torch.equal(changed[right], logits[right])


def test_without_a_class_logits_stay() -> None:
    logits = torch.randn(3, 7)
    unlabelled = torch.full((3,), UNLABELLED)
    assert torch.equal(true_class_on_top(logits, unlabelled), logits)


def test_each_intervention_is_the_network_with_just_that_changed(
    net: PoseNet, make_batch: Callable[..., HandBatch]
) -> None:
    batch = make_batch(4)
    batch.coarse[2] = UNLABELLED
    with torch.no_grad():
        encoded = net.encode(batch.image)
        plain = net.decode(encoded, batch.is_left).rot6d
        found = {
            key: (output.rot6d, possible)
            for key, output, possible in TokenInterventions(net).outputs(encoded, batch)
        }
        assert list(found) == list(INTERVENTIONS)
        closed = net.decode(encoded, batch.is_left, torch.zeros(2)).rot6d
        net.get_parameter("gesture_tokens.gates").zero_()
        assert torch.equal(net.decode(encoded, batch.is_left).rot6d, closed)
    assert torch.equal(found[GATES_CLOSED][0], closed)
    assert not torch.allclose(plain, closed)
    assert found[GATES_CLOSED][1].all()
    assert found[OTHER_LOGITS][1].tolist() == [False, True, True, True]
    assert not torch.allclose(found[OTHER_LOGITS][0][1:], plain[1:])
    assert found[TRUE_CLASS][1].tolist() == [True, True, False, True]


def test_the_other_image_is_the_one_before_across_batches(
    net: PoseNet, make_batch: Callable[..., HandBatch]
) -> None:
    batch = make_batch(4)
    with torch.no_grad():
        encoded = net.encode(batch.image)
        gesture = encoded.gesture
        interventions = TokenInterventions(net)
        list(interventions.outputs(encoded, batch))
        outputs = interventions.outputs(encoded, batch)
        found = {key: (output.rot6d, possible) for key, output, possible in outputs}
        rolled = type(gesture)(*(getattr(gesture, n).roll(1, 0) for n in gesture.__annotations__))
        # no global feature is read
        expected = net.decode(encoded._replace(gesture=rolled), batch.is_left).rot6d
    torch.testing.assert_close(found[OTHER_LOGITS][0], expected)
    assert found[OTHER_LOGITS][1].all()


@pytest.mark.parametrize("classes", ["coarse", "fine"])
def test_one_token_alone_is_closed_and_exchanged_likewise(
    classes: str, mano: Mano, make_batch: Callable[..., HandBatch]
) -> None:
    net, batch = made(mano, token_classes=classes), make_batch(4)
    with torch.no_grad():
        encoded = net.encode(batch.image)
        plain = net.decode(encoded, batch.is_left).rot6d
        found = {
            key: output.rot6d for key, output, _ in TokenInterventions(net).outputs(encoded, batch)
        }
    assert not torch.allclose(found[GATES_CLOSED], plain)
    assert not torch.allclose(found[OTHER_LOGITS][1:], plain[1:])


def test_a_network_without_tokens_is_refused(mano: Mano) -> None:
    with pytest.raises(ValueError, match="without gesture tokens has none to replace"):
        TokenInterventions(made(mano, gesture_tokens=False))
