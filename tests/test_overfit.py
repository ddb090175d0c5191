"""Stage 2, losses, MANO and schedule can learn a dozen samples by heart, tokens included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from handpose.evaluation.interventions import GATES_CLOSED, OTHER_LOGITS, TokenInterventions
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.sample import HandBatch
from handpose.training.loss.pose_loss import PoseLoss
from handpose.training.schedules import one_cycle
from stages.params import EncoderParams, PoseNetParams, load_params

STEPS = 100


def train(net: PoseNet, batch: HandBatch) -> None:
    """All steps on the one batch, with the loss weights of params.yaml."""
    pose = load_params().pose
    loss = PoseLoss(net.mano, pose.weights.keywords(), net.depth_range_m, "annotated")
    gates = net.get_parameter("gesture_tokens.gates")
    others = [p for p in net.parameters() if p is not gates]
    factors = (1.0, pose.gate_lr_factor)
    optimizer = torch.optim.AdamW([{"params": others}, {"params": [gates]}], fused=True)
    for step in range(STEPS):
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] = factor * 2e-3 * one_cycle(step, STEPS)
        terms = loss(net(batch.image, batch.is_left), batch)
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()


def mpjpe_mm(joints: Tensor, batch: HandBatch) -> float:
    """Wrist-relative, over the 20 joints besides the wrist."""
    truth = batch.joints_cam - batch.joints_cam[:, :1]
    errors = (joints - joints[:, :1] - truth).norm(dim=-1)[:, 1:]  # (B, 20) m
    return 1000 * float(errors.mean())


@pytest.fixture(scope="module")
def batch(make_batch: Callable[..., HandBatch]) -> HandBatch:
    return make_batch(12, side=64)


@pytest.fixture(scope="module")
def net(mano: Mano, batch: HandBatch) -> PoseNet:
    """A small network trained on the batch."""
    torch.manual_seed(0)
    encoder = EncoderParams(image_px=64, gesture_dropout=0)
    gesture_net = GestureNet(**encoder.keywords(), coarse_classes=6, fine_classes=9)
    pose_net = PoseNetParams(grid=8, dim=64, fusion_layers=1)
    net = PoseNet(gesture_net, mano, **pose_net.keywords())
    with torch.no_grad():
        assert mpjpe_mm(net(batch.image, batch.is_left).joints, batch) > 30
    train(net, batch)
    return net.eval()


@torch.no_grad()
def test_a_dozen_samples_are_learnt_to_three_millimetres(net: PoseNet, batch: HandBatch) -> None:
    output = net(batch.image, batch.is_left)
    assert mpjpe_mm(output.joints, batch) < 3
    assert torch.equal(output.coarse_logits.argmax(1), batch.coarse)
    assert torch.equal(output.fine_logits.argmax(1), batch.fine)


@torch.no_grad()
def test_the_gesture_tokens_act(net: PoseNet, batch: HandBatch) -> None:
    """Neither closing the gates of the trained network nor another image's logits is free.

    The error of 0.4 mm becomes 9 and 13 mm. With raw logits, no norms, one learning rate, fusion by
    self-attention and the global feature in the MANO head, nothing changed (-2 to -1 %, gates at
    0.001 to 0.011).
    """
    encoded = net.encode(batch.image)
    learnt = mpjpe_mm(net.decode(encoded, batch.is_left).joints, batch)
    interventions = TokenInterventions(net).outputs(encoded, batch)
    errors = {key: mpjpe_mm(output.joints, batch) for key, output, _ in interventions}
    assert errors[GATES_CLOSED] > 5 * learnt, (errors, learnt)
    assert errors[OTHER_LOGITS] > 5 * learnt, (errors, learnt)
    assert net.get_parameter("gesture_tokens.gates").abs().min() > 0.05
