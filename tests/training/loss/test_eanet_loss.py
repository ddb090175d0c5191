"""EANet's loss: nothing for the truth, one for an error of its unit, masks, what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix, matrix_to_rot6d
from handpose.sample import HandBatch, PoseOutput
from handpose.training.loss.eanet_loss import TERMS, VOXEL_PX, EaNetLoss

RANGE_M, DEPTH = 0.3, 8
"""A hand of 0.2 m is inside whatever way it points."""

Terms = Callable[[PoseOutput, HandBatch], dict[str, Tensor]]


@pytest.fixture
def batch(make_batch: Callable[..., HandBatch]) -> HandBatch:
    return make_batch(4, side=256)


@pytest.fixture
def terms(mano: Mano) -> Terms:
    return EaNetLoss(mano, dict.fromkeys(TERMS, 1.0), RANGE_M, DEPTH)


@pytest.fixture
def truth(batch: HandBatch, mano: Mano) -> PoseOutput:
    """The output of a perfect EANet: its rotations are the annotations' own."""
    pose = torch.cat([batch.global_orient, batch.hand_pose], -1).view(-1, 16, 3)
    hand = mano.hand(batch.global_orient, batch.hand_pose, batch.betas, batch.is_left)
    uv = project(batch.joints_cam, batch.K)
    return PoseOutput(
        uv=uv,
        depth_rel=batch.joints_cam[..., 2] - batch.joints_cam[:, :1, 2],
        rot6d=matrix_to_rot6d(axis_angle_to_matrix(pose)),
        rotmat=axis_angle_to_matrix(pose),
        betas=batch.betas,
        joints=hand.joints,
        vertices=hand.vertices,
        coarse_logits=1e4 * F.one_hot(batch.coarse, 6).float(),
        fine_logits=1e4 * F.one_hot(batch.fine, 9).float(),
        gates=torch.zeros(2),
        uv_mano=uv,
    )


def test_truth_costs_nothing(truth: PoseOutput, batch: HandBatch, terms: Terms) -> None:
    found = terms(truth, batch)
    assert tuple(found) == TERMS
    assert all(loss < 1e-4 for loss in found.values()), found


def test_errors_are_in_eanets_units(truth: PoseOutput, batch: HandBatch, terms: Terms) -> None:
    """One voxel along x is a third of a voxel a joint, against annotated joints and the fit's."""
    assert truth.uv_mano is not None
    right = torch.tensor([VOXEL_PX, 0.0])
    one = dataclasses.replace(truth, uv=truth.uv + right, uv_mano=truth.uv_mano + right)
    found = terms(one, batch)
    assert found["uvd"].item() == pytest.approx(2 / 3, rel=1e-3)
    assert found["reprojection_mano"].item() == pytest.approx(1 / 2, rel=1e-3)
    deeper = dataclasses.replace(truth, depth_rel=truth.depth_rel + 2 * RANGE_M / DEPTH)
    assert terms(deeper, batch)["uvd"].item() == pytest.approx(2 / 3, rel=1e-3)
    off = dataclasses.replace(truth, joints=truth.joints + 0.01, betas=truth.betas + 1)
    found = terms(off, batch)
    assert found["joints_mano"].item() == pytest.approx(0.02, rel=1e-3)
    assert found["betas"].item() == pytest.approx(1, rel=1e-3)


def test_root_and_fingers_share_one_mean_of_48_numbers(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    still = torch.tensor([1.0, 0, 0, 0, 1, 0]).expand(4, 16, 6)
    found = terms(dataclasses.replace(truth, rot6d=still), batch)
    pose = torch.cat([batch.global_orient, batch.hand_pose], -1)
    expected = pose.abs().mean().item()
    assert (found["root"] + found["rotation"]).item() == pytest.approx(expected, rel=1e-4)
    assert found["root"].item() == pytest.approx(batch.global_orient.abs().sum().item() / 4 / 48)


def test_means_run_over_masked_entries_too(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    off = dataclasses.replace(truth, joints=truth.joints + 0.01, betas=truth.betas + 1)
    first = torch.tensor([True, True, False, False])
    half = dataclasses.replace(
        batch, has_mano=first, joint_valid=first[:, None].expand(4, 21).clone()
    )
    whole, found = terms(off, batch), terms(off, half)
    for name in ("betas", "joints_mano"):
        torch.testing.assert_close(found[name], whole[name] / 2)
    wristless = batch.joint_valid.clone()
    wristless[:, 0] = False  # nothing is known relative to it
    found = terms(off, dataclasses.replace(batch, joint_valid=wristless))
    assert found["uvd"] == found["reprojection_mano"] == 0
    torch.testing.assert_close(found["joints_mano"], whole["joints_mano"] / 2)  # the fit's are


def test_joints_outside_the_volume_have_no_place_in_it(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    beyond = batch.K.clone()
    beyond[:, 0, 2] += 1000
    off = dataclasses.replace(truth, uv=truth.uv + 50)
    found = terms(off, dataclasses.replace(batch, K=beyond))
    assert found["uvd"] == 0
    assert found["reprojection_mano"] > 10


def test_a_shape_that_went_astray_is_no_shape(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    betas = batch.betas.clone()
    betas[0, 3] = -3.5
    found = terms(truth, dataclasses.replace(batch, betas=betas))["betas"]
    assert found.item() == pytest.approx(truth.betas[0].abs().sum().item() / 40, rel=1e-4)


def test_a_network_without_a_camera_is_refused(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    with pytest.raises(ValueError, match="projects MANO's joints"):
        terms(dataclasses.replace(truth, uv_mano=None), batch)
