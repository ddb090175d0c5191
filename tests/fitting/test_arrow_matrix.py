import torch
from torch import Tensor

from handpose.fitting.arrow_matrix import (
    BETAS,
    POSE,
    SHARED_BETAS,
    SHARED_TRANSL,
    TRANSL,
    UNKNOWNS,
    ArrowMatrix,
)
from handpose.fitting.first_guess import HandState
from handpose.fitting.least_squares import LeastSquares, Targets, Workspace
from handpose.fitting.point_model import PointModel, patches
from handpose.fitting.pose_prior import PosePrior
from handpose.hand.mano import Mano
from tests.fitting.hands_at_random import known_hands

OF_SHARED = [0, 1, 2, *range(48, 61)]


def arrowheads(count: int) -> Tensor:
    """Positive definite (N, 61, 61) in which two digits have nothing in common."""
    draw = torch.Generator().manual_seed(0)
    parts = [torch.randn(count, UNKNOWNS, 15, generator=draw) for _ in range(5)]
    for digit, part in enumerate(parts):
        other = [k for k in range(45) if k // 9 != digit]
        part[:, POSE][:, other] = 0
    J = torch.cat(parts, 2)
    return J @ J.mT + torch.eye(UNKNOWNS)


def test_the_step_solves_the_damped_matrix() -> None:
    whole, damping = arrowheads(6).double(), torch.logspace(-3, 2, 6).double()
    right = torch.randn(6, UNKNOWNS, generator=torch.Generator().manual_seed(1)).double()
    x, found = ArrowMatrix.of(whole).solve(right, damping)
    damped = whole + torch.diag_embed(damping[:, None] * whole.diagonal(dim1=1, dim2=2))
    assert found.all()
    torch.testing.assert_close((damped @ x[..., None])[..., 0], right)


def test_the_inverse_is_that_of_the_whole() -> None:
    whole = arrowheads(4).double()
    of_pose, shared = ArrowMatrix.of(whole).inverse()
    inverse = torch.linalg.inv(whole)
    torch.testing.assert_close(of_pose, inverse.diagonal(dim1=1, dim2=2)[:, POSE])
    torch.testing.assert_close(shared, inverse[:, OF_SHARED][:, :, OF_SHARED])
    torch.testing.assert_close(shared[:, SHARED_BETAS, SHARED_BETAS], inverse[:, BETAS, BETAS])
    torch.testing.assert_close(shared[:, SHARED_TRANSL, SHARED_TRANSL], inverse[:, TRANSL, TRANSL])


def test_what_is_not_positive_definite_is_said_hand_by_hand() -> None:
    whole = arrowheads(4)
    whole[1, 10, 10] = -1  # an angle
    whole[2, 60, 60] = -1  # what is shared
    _, found = ArrowMatrix.of(whole).solve(torch.ones(4, UNKNOWNS), torch.zeros(4))
    assert found.tolist() == [True, False, False, True]


def test_some_matrices_are_those_of_the_rows() -> None:
    whole, rows = arrowheads(5), torch.tensor([3, 1])
    for some, other in zip(
        ArrowMatrix.of(whole).rows(rows), ArrowMatrix.of(whole[rows]), strict=True
    ):
        assert torch.equal(some, other)
    assert [len(part) for part in ArrowMatrix.empty(5)] == [5, 5, 5]


def test_two_digits_of_a_hand_have_almost_nothing_in_common(mano: Mano) -> None:
    """What is left out: correlations of 1 % (joints) and 6 % (mesh) in the second derivative."""
    prior, n = PosePrior(mano), 50
    hands = known_hands(mano, n)
    for matrix, most in ((mano.joint_matrix, 0.02), (patches(mano, 128), 0.08)):
        model = PointModel(mano, matrix)
        solver, work = LeastSquares(model, prior), Workspace.of(n, model.count)
        state = HandState(
            torch.eye(3).expand(n, 3, 3),
            prior.mean.expand(n, 15, 3),
            torch.zeros(n, 10),
            hands.joints.mean(1),
        )
        targets = Targets(torch.zeros(n, 3, model.count), torch.zeros(n, 10), 1.0, None, 5e-4)
        solver.normal(state, solver.look(state, targets), targets, work)
        scale = work.curvature.diagonal(dim1=1, dim2=2).rsqrt()
        correlation = (scale[:, :, None] * work.curvature * scale[:, None])[:, POSE, POSE].abs()
        digit = torch.arange(45) // 9
        assert correlation[:, digit[:, None] != digit].max() < most
