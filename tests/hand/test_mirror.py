import torch

from handpose.hand.mirror import mirror_axis_angle, mirror_points, sign
from handpose.hand.rotation import axis_angle_to_matrix

IS_LEFT = torch.tensor([True, False, True])


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_sign_is_minus_one_for_left() -> None:
    assert sign(IS_LEFT).tolist() == [-1.0, 1.0, -1.0]


def test_mirroring_twice_is_identity_and_right_hands_stay() -> None:
    points, turns = random(3, 21, 3), random(3, 15, 3)
    for mirror, x in (
        (mirror_points, points),
        (mirror_axis_angle, turns),
    ):
        once = mirror(x, IS_LEFT)
        assert torch.equal(mirror(once, IS_LEFT), x)
        assert torch.equal(once[1], x[1])
        assert not torch.equal(once[0], x[0])


def test_points_are_mirrored_in_x_only() -> None:
    mirrored = mirror_points(torch.ones(3, 2, 3), IS_LEFT)
    assert mirrored[0].tolist() == [[-1, 1, 1], [-1, 1, 1]]


def test_a_mirrored_rotation_moves_mirrored_points_to_mirrored_positions() -> None:
    turn, points = random(3, 3), random(3, 5, 3)
    moved = points @ axis_angle_to_matrix(turn).mT
    mirrored_turn = axis_angle_to_matrix(mirror_axis_angle(turn, IS_LEFT))
    expected = mirror_points(points, IS_LEFT) @ mirrored_turn.mT
    torch.testing.assert_close(mirror_points(moved, IS_LEFT), expected)


def test_axis_angles_and_matrices_mirror_alike() -> None:
    M = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    for turns in (random(3, 15, 3), random(3, 3)):
        rotation = axis_angle_to_matrix(turns)
        expected = rotation.clone()
        expected[IS_LEFT] = M @ rotation[IS_LEFT] @ M
        found = axis_angle_to_matrix(mirror_axis_angle(turns, IS_LEFT))
        torch.testing.assert_close(found, expected)
