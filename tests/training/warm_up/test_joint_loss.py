"""The pose-only warm-up regresses the annotated joints about the wrist, in metres."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from handpose.sample import GestureOutput, HandBatch
from handpose.training.warm_up.joint_loss import UNIT_M, JointLoss

WIDTH = 12


@pytest.fixture
def batch(make_batch: Callable[..., HandBatch]) -> HandBatch:
    return make_batch(4, side=8)


@pytest.fixture
def loss() -> JointLoss:
    torch.manual_seed(0)
    return JointLoss(WIDTH)


def output(features: Tensor) -> GestureOutput:
    nothing = torch.zeros(len(features), 1)
    return GestureOutput(nothing, nothing, features)


def knowing(batch: HandBatch) -> JointLoss:
    """A head that gives these very hands for the unit vectors."""
    truth = batch.joints_cam - batch.joints_cam[:, :1]
    loss = JointLoss(len(batch))
    with torch.no_grad():
        loss.head.weight.copy_(truth.flatten(1).T / UNIT_M)
        loss.head.bias.zero_()
    return loss


def test_the_truth_has_no_loss_and_an_offset_its_size(batch: HandBatch) -> None:
    loss, features = knowing(batch), output(torch.eye(4))
    assert loss(features, batch)["joints"] < 1e-6
    nn.init.constant_(loss.head.bias, 0.003 / UNIT_M)
    assert loss(features, batch)["joints"].item() == pytest.approx(0.003 / UNIT_M, rel=1e-3)


def test_what_is_not_annotated_does_not_count(loss: JointLoss, batch: HandBatch) -> None:
    """Nor does a hand without its wrist; the others are worth as much as they are alone."""
    features = torch.randn(4, WIDTH)
    valid = batch.joint_valid.clone()
    valid[1, 0] = False
    valid[2, 7] = False
    joints = batch.joints_cam.clone()
    joints[1], joints[2, 7] = 1e3, 1e3
    some = dataclasses.replace(batch, joints_cam=joints, joint_valid=valid)
    errors = (loss.joints(output(features)) - (batch.joints_cam - batch.joints_cam[:, :1])).abs()
    counted = valid & valid[:, :1]
    expected = (errors.mean(-1) * counted).sum() / counted.sum() / UNIT_M
    torch.testing.assert_close(loss(output(features), some)["joints"], expected)
    nobody = dataclasses.replace(batch, joint_valid=torch.zeros_like(valid))
    assert loss(output(features), nobody)["joints"] == 0


def test_it_starts_near_the_wrist_and_every_weight_learns(
    loss: JointLoss, batch: HandBatch
) -> None:
    features = torch.randn(4, WIDTH, requires_grad=True)
    assert loss.joints(output(features)).abs().max() < 0.02
    loss(output(features), batch)["joints"].backward()
    assert features.grad is not None and features.grad.any(1).all()
    assert all(p.grad is not None and p.grad.any() for p in loss.parameters())


def test_slices_of_a_batch_divide_by_all_of_its_joints(loss: JointLoss, batch: HandBatch) -> None:
    features = torch.randn(4, WIDTH)
    fields = [f.name for f in dataclasses.fields(HandBatch)]
    total = int(batch.joint_valid.sum())
    shared = []
    for rows in (slice(0, 3), slice(3, 4)):
        part = HandBatch(**{name: getattr(batch, name)[rows] for name in fields})
        count = torch.tensor(total / 2)
        shared.append(loss(output(features[rows]), part, 0, lambda mask, n=count: n)["joints"])
    torch.testing.assert_close(sum(shared) / 2, loss(output(features), batch)["joints"])
