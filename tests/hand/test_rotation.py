import math

import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torch import Tensor

from handpose.hand.rotation import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_rot6d,
    rot6d_to_matrix,
)


@pytest.fixture
def axis_angle() -> Tensor:
    """Turns of all sizes in (0, pi), tiny and nearly half ones among them: (200, 3)."""
    rng = torch.Generator().manual_seed(0)
    axis = F.normalize(torch.randn(200, 3, generator=rng), dim=-1)
    angle = torch.cat(
        [
            torch.logspace(-7, -1, 50),
            torch.linspace(0.1, 3.1, 100),
            math.pi - torch.logspace(-3, -1, 50),
        ]
    )
    return axis * angle[:, None]


def test_axis_angle_to_matrix_agrees_with_scipy(axis_angle: Tensor) -> None:
    expected = torch.from_numpy(Rotation.from_rotvec(axis_angle.numpy()).as_matrix()).float()
    torch.testing.assert_close(axis_angle_to_matrix(axis_angle), expected, atol=1e-6, rtol=0)


def test_axis_angle_survives_the_round_trip(axis_angle: Tensor) -> None:
    back = matrix_to_axis_angle(axis_angle_to_matrix(axis_angle))
    torch.testing.assert_close(back, axis_angle, atol=2e-5, rtol=0)


def test_half_turns_come_back_up_to_sign() -> None:
    half = math.pi * F.normalize(
        torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, -2, 3]]), dim=1
    )
    matrix = axis_angle_to_matrix(half)
    torch.testing.assert_close(axis_angle_to_matrix(matrix_to_axis_angle(matrix)), matrix)


def test_rot6d_survives_the_round_trip(axis_angle: Tensor) -> None:
    matrix = axis_angle_to_matrix(axis_angle).view(10, 20, 3, 3)
    torch.testing.assert_close(rot6d_to_matrix(matrix_to_rot6d(matrix)), matrix)


def test_rot6d_holds_the_first_column_then_the_second() -> None:
    quarter = axis_angle_to_matrix(torch.tensor([0.0, 0.0, math.pi / 2]))  # x -> y, y -> -x
    expected = torch.tensor([0.0, 1, 0, -1, 0, 0])
    torch.testing.assert_close(matrix_to_rot6d(quarter), expected, atol=1e-6, rtol=0)


def test_any_six_numbers_make_a_rotation() -> None:
    matrix = rot6d_to_matrix(torch.randn(100, 6, generator=torch.Generator().manual_seed(1)))
    eye = torch.eye(3).expand(100, 3, 3)
    torch.testing.assert_close(matrix @ matrix.mT, eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(100))


def test_gradients_at_the_zero_turn_are_those_of_the_generators() -> None:
    jacobian = torch.func.jacrev(axis_angle_to_matrix)(torch.zeros(3))  # (3, 3, 3)
    for k, (i, j) in enumerate([(2, 1), (0, 2), (1, 0)]):  # d R / d angle about x, y, z
        expected = torch.zeros(3, 3)
        expected[i, j], expected[j, i] = 1, -1
        torch.testing.assert_close(jacobian[..., k], expected)


def test_gradients_are_finite_at_zero_and_half_turns_and_at_zero_rot6d() -> None:
    for start in ([0.0, 0, 0], [math.pi, 0, 0], [1e-9, 0, 0]):
        x = torch.tensor(start, requires_grad=True)
        matrix_to_axis_angle(axis_angle_to_matrix(x)).sum().backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None and x.grad.isfinite().all()
    x = torch.zeros(6, requires_grad=True)
    rot6d_to_matrix(x).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and x.grad.isfinite().all()
