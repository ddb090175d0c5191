"""Validation of the warm-ups without gestures, and what their numbers are compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from handpose.sample import GestureOutput, HandBatch
from handpose.training.warm_up.instance_loss import InstanceLoss
from handpose.training.warm_up.joint_loss import UNIT_M, JointLoss
from stages.training.training_data import TrainingDataError
from stages.training.warm_up import (
    chance_of_instances,
    mean_joints_error,
    validate_instances,
    validate_joints,
)


class Features(nn.Module):
    """The same features for every batch, whatever it shows."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = nn.Parameter(features)

    def forward(self, image: Tensor) -> GestureOutput:
        nothing = torch.zeros(len(image), 1)
        return GestureOutput(nothing, nothing, self.features[: len(image)])


def test_views_are_counted_over_batches_of_any_size(make_batch: Callable[..., HandBatch]) -> None:
    batches = [make_batch(n, side=8) for n in (8, 8, 2)]
    net = Features(torch.eye(4).repeat(2, 1))
    found = validate_instances(net, batches, InstanceLoss(4))
    assert found["instance_accuracy"] == pytest.approx(1.0), "of two views each finds the other"
    assert set(found) == {"loss", "instance_accuracy"}
    measured = chance_of_instances(batches)
    assert measured["chance"]["instance"] == pytest.approx((8 / 7 + 8 / 7 + 2 / 1) / 18)
    assert measured["samples"] == {"validation_views": 18}


def test_the_error_of_joints_is_millimetres_over_hands(
    make_batch: Callable[..., HandBatch],
) -> None:
    batch = make_batch(4, side=8)
    truth = batch.joints_cam - batch.joints_cam[:, :1]
    loss = JointLoss(4)
    with torch.no_grad():
        loss.head.weight.copy_(truth.flatten(1).T / UNIT_M)
        loss.head.bias.zero_()
        loss.head.bias[3:] += 0.01 / UNIT_M  # all but the wrist, 10 mm along each axis
    found = validate_joints(Features(torch.eye(4)), [batch, batch], loss)
    assert found["mpjpe_mm"] == pytest.approx(10 * 3**0.5, rel=1e-3)
    assert found["loss"] == pytest.approx(0.01 / UNIT_M * 20 / 21, rel=1e-3)


def test_the_best_constant_is_the_mean_of_each_side(make_batch: Callable[..., HandBatch]) -> None:
    """Hands that are all alike but for their side have no error; others have some."""
    batch = make_batch(4, side=8)
    first = batch.joints_cam[:1].expand(4, -1, -1)
    sign = torch.where(batch.is_left, -1.0, 1.0)[:, None, None]
    alike = torch.cat([sign * first[..., :1], first[..., 1:]], -1)
    same = dataclasses.replace(batch, joints_cam=alike)
    measured = mean_joints_error([same])
    assert measured["mean_joints"]["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    assert measured["samples"] == {"validation": 4}
    assert mean_joints_error([batch])["mean_joints"]["mpjpe_mm"] > 10


def test_hands_without_a_wrist_validate_nothing(make_batch: Callable[..., HandBatch]) -> None:
    batch = make_batch(4, side=8)
    valid = batch.joint_valid.clone()
    valid[:, 0] = False
    with pytest.raises(TrainingDataError, match="none of the 4 validation samples has an annot"):
        mean_joints_error([dataclasses.replace(batch, joint_valid=valid)])
