from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy.spatial.transform import Rotation

from handpose.evaluation.baselines import BaselineError, TrainingMeans, nearest_rotation
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.sample import UNLABELLED, HandBatch


def means_of(batch: HandBatch, mano: Mano) -> TrainingMeans:
    return TrainingMeans.of(
        joints=batch.joints_cam,
        valid=batch.joint_valid,
        is_left=batch.is_left,
        hand_pose=batch.hand_pose,
        betas=batch.betas,
        has_mano=batch.has_mano,
        coarse=batch.coarse,
        mano=mano,
    )


def test_means_of_one_hand_are_that_hand(make_batch: Callable[..., HandBatch], mano: Mano) -> None:
    batch = make_batch(2)  # a right one and a left one
    for k in range(2):
        one = make_batch(2)
        for field in ("joints_cam", "hand_pose", "betas", "global_orient", "is_left"):
            getattr(one, field)[:] = getattr(batch, field)[k].clone()
        means = means_of(one, mano)
        wrist = one.joints_cam[:, :1]
        torch.testing.assert_close(means.mean_joints(one.is_left), one.joints_cam - wrist)
        posed = means.mean_pose(one.global_orient, one.is_left, mano)
        fit = mano.hand(one.global_orient, one.hand_pose, one.betas, one.is_left)
        torch.testing.assert_close(posed.vertices, fit.vertices, rtol=0, atol=1e-5)
        torch.testing.assert_close(posed.joints, fit.joints, rtol=0, atol=1e-5)


def test_left_hands_are_averaged_as_their_mirror_images(
    make_batch: Callable[..., HandBatch], mano: Mano
) -> None:
    right = make_batch(4)
    right.is_left[:] = False
    mirrored = make_batch(4)
    left = torch.tensor([False, True, True, False])
    mirrored.is_left[:] = left
    mirrored.joints_cam[:] = mirror_points(right.joints_cam, left)
    torch.testing.assert_close(means_of(mirrored, mano).joints, means_of(right, mano).joints)


def test_joints_that_are_not_valid_and_samples_without_a_fit_do_not_count(
    make_batch: Callable[..., HandBatch], mano: Mano
) -> None:
    batch, spoilt = make_batch(4), make_batch(4)
    spoilt.joint_valid[3, 0] = False  # no wrist: the whole sample
    spoilt.joints_cam[3] = 99
    spoilt.joint_valid[2, 8] = False
    spoilt.joints_cam[2, 8] = 99
    spoilt.has_mano[3] = False
    spoilt.hand_pose[3] = 99
    spoilt.betas[3] = 99
    means = means_of(spoilt, mano)
    relative = mirror_points(batch.joints_cam - batch.joints_cam[:, :1], batch.is_left)
    torch.testing.assert_close(means.joints[5], relative[:3, 5].mean(0))
    torch.testing.assert_close(means.joints[8], relative[:2, 8].mean(0))
    torch.testing.assert_close(means.betas, batch.betas[:3].mean(0))


def test_no_fit_at_all_leaves_the_mean_joints(
    make_batch: Callable[..., HandBatch], mano: Mano
) -> None:
    batch = make_batch(4)
    whole = means_of(batch, mano)
    batch.has_mano[:] = False
    means = means_of(batch, mano).to("cpu")
    assert whole.has_pose and not means.has_pose
    torch.testing.assert_close(means.joints, whole.joints)
    assert means.rotations.shape == (15, 3, 3) and not means.betas.any()


def test_a_class_of_one_hand_has_its_pose_and_other_classes_the_mean_of_all(
    make_batch: Callable[..., HandBatch], mano: Mano
) -> None:
    batch = make_batch(6)
    batch.has_mano[:] = True
    batch.coarse[:] = torch.tensor([0, 1, 2, UNLABELLED, UNLABELLED, 4])
    batch.has_mano[5] = False
    means = means_of(batch, mano)
    assert means.knows(batch.coarse).tolist() == [True, True, True, False, False, False]
    turned = batch.global_orient, batch.is_left, mano
    posed, mean = means.mean_pose(*turned, batch.coarse), means.mean_pose(*turned)
    same = TrainingMeans(means.joints, mano.rotations(batch.hand_pose[1:2])[0], means.betas)
    torch.testing.assert_close(
        posed.joints[1], same.mean_pose(*turned).joints[1], rtol=0, atol=1e-5
    )
    torch.testing.assert_close(posed.joints[3:], mean.joints[3:])


def test_a_joint_that_is_never_valid_is_reported(
    make_batch: Callable[..., HandBatch], mano: Mano
) -> None:
    batch = make_batch(4)
    batch.joint_valid[:, 8] = False
    with pytest.raises(BaselineError, match="20 of 21 joints are ever valid"):
        means_of(batch, mano)


def test_nearest_rotation_is_scipys_mean_of_rotations() -> None:
    rotations = Rotation.from_rotvec(torch.randn(9, 3).numpy() * 0.4)
    mean = torch.from_numpy(rotations.as_matrix().mean(0))
    expected = torch.from_numpy(rotations.mean().as_matrix())
    torch.testing.assert_close(nearest_rotation(mean), expected)


def test_nearest_rotation_never_reflects() -> None:
    reflection = torch.diag(torch.tensor([1.0, 1.0, -1.0]))
    assert float(torch.linalg.det(nearest_rotation(reflection))) == pytest.approx(1)
