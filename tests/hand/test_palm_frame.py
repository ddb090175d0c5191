"""The frame of the palm: neither place, turn, size nor side of a hand is left in it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.spatial.transform import Rotation

from handpose.hand.mirror import mirror_points
from handpose.hand.palm_frame import KNUCKLES, in_palm_frame, palm_axes, palm_length
from handpose.hand.skeleton import MIDDLE_MCP, WRIST
from handpose.sample import HandBatch


def test_a_hand_moved_turned_and_scaled_has_the_same_joints(
    make_batch: Callable[..., HandBatch],
) -> None:
    batch = make_batch(8)
    joints = batch.joints_cam.double()
    turns = torch.from_numpy(Rotation.random(8, random_state=0).as_matrix())
    moved = 1.7 * joints @ turns.mT + torch.tensor([0.3, -0.2, 0.9])
    own = in_palm_frame(joints, batch.is_left)
    assert own.isfinite().all()
    torch.testing.assert_close(in_palm_frame(moved, batch.is_left), own)


def test_mirrored_twins_are_one_pose(make_batch: Callable[..., HandBatch]) -> None:
    joints = make_batch(6).joints_cam.double()
    right, left = torch.zeros(6, dtype=torch.bool), torch.ones(6, dtype=torch.bool)
    torch.testing.assert_close(
        in_palm_frame(mirror_points(joints, left), left), in_palm_frame(joints, right)
    )


def test_the_wrist_is_at_0_and_the_palm_has_length_1(make_batch: Callable[..., HandBatch]) -> None:
    batch = make_batch(4)
    own = in_palm_frame(batch.joints_cam, batch.is_left)
    assert (own[:, WRIST] == 0).all()
    torch.testing.assert_close(palm_length(own), torch.ones(4))
    torch.testing.assert_close(own[:, MIDDLE_MCP].norm(dim=-1), torch.ones(4))
    middle = own[:, list(KNUCKLES)].mean(1)  # on the y axis
    assert (middle[:, 1] > 0.5).all()
    torch.testing.assert_close(middle[:, ::2], torch.zeros(4, 2), atol=1e-6, rtol=0)


def test_the_axes_are_a_right_handed_frame(make_batch: Callable[..., HandBatch]) -> None:
    joints = make_batch(4).joints_cam.double()
    axes = palm_axes(joints - joints[:, [WRIST]])
    torch.testing.assert_close(axes @ axes.mT, torch.eye(3).double().expand(4, 3, 3))
    torch.testing.assert_close(torch.linalg.det(axes), torch.ones(4).double())


def test_only_the_hand_that_has_no_palm_is_not_a_number(
    make_batch: Callable[..., HandBatch],
) -> None:
    batch = make_batch(3)
    joints = batch.joints_cam.clone()
    joints[0] = joints[0, WRIST]  # a point
    steps = torch.arange(21)[:, None]
    joints[1] = joints[1, WRIST] + steps * torch.tensor([0.01, 0.02, 0.03])  # a line
    own = in_palm_frame(joints, batch.is_left)
    assert own[:2].isnan().flatten(1).any(1).all()
    assert own[2].isfinite().all()
