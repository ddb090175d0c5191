"""The smoke alarm: the whole of Stage 2 can learn four samples by heart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.losses import pose_loss
from handpose.nets.backbone import Backbone
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.sample import HandBatch
from handpose.schedules import one_cycle
from stages.params import load_params

STEPS = 250


@pytest.mark.parametrize("fusion", ["self"])
def test_four_samples_are_learnt_to_three_millimetres(
    fusion: str, mano: Mano, make_batch: Callable[..., HandBatch]
) -> None:
    torch.manual_seed(0)
    gesture_net = GestureNet(
        backbone=Backbone(name="hrnet_w18_small"),
        coarse_classes=6,
        fine_classes=9,
        gesture_levels=(4, 8, 16, 32),
    )
    net = PoseNet(
        gesture_net=gesture_net,
        mano=mano,
        pose_levels=(8, 32),
        grid=8,
        dim=64,
        heads=4,
        encoder_layers=1,
        volume_depth=8,
        depth_range_m=0.2,
        fusion_layers=1,
        fusion=fusion,
    )
    batch = make_batch(4, side=64)
    weights = load_params().pose.weights.model_dump()
    root = axis_angle_to_matrix(batch.global_orient)[:, None]
    rotations = torch.cat([root, mano.rotations(batch.hand_pose)], dim=1)

    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, STEPS))
    import time
    t=time.time()
    for _step in range(STEPS):
        output = net(batch.image, batch.is_left)
        terms = pose_loss(output, batch, rotations, weights=weights, depth_range_m=0.2)
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if _step%25==24:
            wrong = (output.joints - (batch.joints_cam - batch.joints_cam[:, :1])).norm(dim=-1)
            print(_step, time.time()-t, wrong[:,1:].mean()*1e3, {k:round(v.item(),4) for k,v in terms.items()})

    net.eval()
    with torch.no_grad():
        output = net(batch.image, batch.is_left)
    error_m = (output.joints - (batch.joints_cam - batch.joints_cam[:, :1])).norm(dim=-1)
    print(error_m[:, 1:].mean() * 1e3)
    assert error_m[:, 1:].mean() < 0.003
    assert (output.coarse_logits.argmax(1) == batch.coarse).all()
