"""The smoke alarm: Stage 2, losses, MANO and schedule together can learn four samples by heart."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.sample import HandBatch
from handpose.training.losses import PoseLoss
from handpose.training.schedules import one_cycle
from stages.params import EncoderParams, PoseNetParams, load_params

STEPS = 100


def train(net: PoseNet, batch: HandBatch) -> None:
    """All steps on the one batch, with the loss weights of params.yaml."""
    weights = load_params().pose.weights.keywords()
    loss = PoseLoss(net.mano, weights, net.depth_range_m, "annotated")
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * one_cycle(step, STEPS)
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


def test_four_samples_are_learnt_to_three_millimetres(
    mano: Mano, make_batch: Callable[..., HandBatch]
) -> None:
    torch.manual_seed(0)
    encoder = EncoderParams(image_px=64, gesture_dropout=0)
    gesture_net = GestureNet(**encoder.keywords(), coarse_classes=6, fine_classes=9)
    pose_net = PoseNetParams(grid=8, dim=64, fusion_layers=1)
    net = PoseNet(gesture_net, mano, **pose_net.keywords())
    batch = make_batch(4, side=64)
    with torch.no_grad():
        assert mpjpe_mm(net(batch.image, batch.is_left).joints, batch) > 30
    train(net, batch)
    net.eval()
    with torch.no_grad():
        output = net(batch.image, batch.is_left)
    assert mpjpe_mm(output.joints, batch) < 3
    assert torch.equal(output.coarse_logits.argmax(1), batch.coarse)
    assert torch.equal(output.fine_logits.argmax(1), batch.fine)
