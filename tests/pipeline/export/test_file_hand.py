"""The hand in a file is the hand that the network was trained with."""

from __future__ import annotations

import torch

from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix
from pipeline.export.file_hand import FileHand, NoHand


def test_it_poses_as_smplx_does(mano: Mano) -> None:
    rng = torch.Generator().manual_seed(0)
    rotations = axis_angle_to_matrix(torch.randn(5, 16, 3, generator=rng))
    given = rotations[:, 0], rotations[:, 1:], 2 * torch.randn(5, 10, generator=rng)
    expected, found = mano(*given), FileHand(mano)(*given)
    torch.testing.assert_close(found.vertices, expected.vertices, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.joints, expected.joints, atol=1e-6, rtol=0)


def test_without_a_hand_all_points_are_at_the_origin() -> None:
    found = NoHand()(torch.eye(3)[None], torch.eye(3).expand(1, 15, 3, 3), torch.ones(1, 10))
    assert not found.joints.any() and found.joints.shape == (1, 21, 3)
