import torch

from handpose.fitting.first_guess import FirstGuess, kabsch, view_rotations
from handpose.fitting.point_model import PointModel
from handpose.fitting.pose_prior import PosePrior
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from tests.fitting.hands_at_random import known_hands


def test_kabsch_finds_the_rotation_and_never_a_mirror_image() -> None:
    rng = torch.Generator().manual_seed(0)
    R = axis_angle_to_matrix(2 * torch.randn(20, 3, generator=rng))
    points = torch.randn(20, 5, 3, generator=rng)
    torch.testing.assert_close(kabsch(points, points @ R.mT + 0.3), R, atol=1e-5, rtol=0)
    mirrored = kabsch(points, points * torch.tensor([-1.0, 1.0, 1.0]))
    torch.testing.assert_close(torch.linalg.det(mirrored), torch.ones(20))


def test_views_are_rotations_that_look_everywhere() -> None:
    R = view_rotations(32)
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand(32, 3, 3), atol=1e-5, rtol=0)
    directions = R[:, :, 2]
    closest = (directions @ directions.T - 2 * torch.eye(32)).amax(1)
    assert float(closest.min()) > 0.8 and float(directions.mean(0).norm()) < 0.05


def test_the_closed_form_comes_within_millimetres(mano: Mano) -> None:
    model, prior = PointModel(mano, mano.joint_matrix), PosePrior(mano)
    hands = known_hands(mano, 64)
    joints = mirror_points(hands.joints, hands.is_left)
    state = FirstGuess(model, prior).of_joints(joints)
    points = model.posed(state.root, prior.pose(state.x), state.betas).points.mT
    distance = (points + state.transl[:, None] - joints).norm(dim=-1)
    assert float(distance.mean()) < 0.006
    assert float((state.betas[:, 0] - hands.betas[:, 0]).abs().mean()) < 0.7


def test_a_known_shape_is_taken(mano: Mano) -> None:
    model, prior = PointModel(mano, mano.joint_matrix), PosePrior(mano)
    hands = known_hands(mano, 4)
    state = FirstGuess(model, prior).of_joints(hands.joints, hands.betas)
    assert state.betas is hands.betas
