"""Side, facing and finger order against the truth of a batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from handpose.evaluation.side_and_facing import facing_hits, mirrored_fingers, side_hits
from handpose.hand.facing import FACINGS, UNKNOWN, facing
from handpose.sample import HandBatch, SideFacingOutput


@pytest.fixture
def batch(make_batch: Callable[..., HandBatch]) -> HandBatch:
    return make_batch(48)


def test_hits_are_agreement_with_the_batch(batch: HandBatch) -> None:
    truth = facing(batch.joints_cam, batch.joint_valid, batch.is_left)
    sure = torch.nn.functional.one_hot(truth.clamp(min=0), 3).float()
    right = SideFacingOutput(torch.where(batch.is_left, 1.0, -1.0), sure)
    wrong = SideFacingOutput(-right.side_logit, -sure)
    assert side_hits(right, batch).all() and not side_hits(wrong, batch).any()
    assert facing_hits(right, batch).nanmean() == 1 and facing_hits(wrong, batch).nanmean() == 0
    lost = dataclasses.replace(batch, joint_valid=torch.zeros_like(batch.joint_valid))
    assert facing_hits(right, lost).isnan().all()


def test_the_true_hand_is_in_order_and_the_other_hand_in_its_place_is_not(
    batch: HandBatch,
) -> None:
    truth = facing(batch.joints_cam, batch.joint_valid, batch.is_left)
    counts = (truth != UNKNOWN) & (truth != FACINGS.index("edge"))
    joints = batch.joints_cam - batch.joints_cam[:, :1]
    true = (batch.joints_cam, batch.joint_valid, batch.is_left)
    own = mirrored_fingers(joints, *true)
    assert torch.equal(~own.isnan(), counts) and not own[counts].any()
    # the picture mirrored about the wrist, and taken for the same hand
    other = mirrored_fingers(joints * torch.tensor([-1.0, 1.0, 1.0]), *true)
    assert other[counts].mean() > 0.8
