import pytest
import torch

from handpose.fitting.arrow_matrix import BETAS, POSE, TRANSL
from handpose.fitting.first_guess import HandState
from handpose.fitting.least_squares import LeastSquares, Targets, Workspace
from handpose.fitting.point_model import PointModel, patches
from handpose.fitting.pose_prior import PosePrior
from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix
from tests.fitting.hands_at_random import known_hands

EXACT = 1e-5  # m: a hundredth of a millimetre


@pytest.mark.parametrize("which", ["joints", "patches"])
def test_points_are_those_of_the_whole_mesh(mano: Mano, which: str) -> None:
    matrix = mano.joint_matrix if which == "joints" else patches(mano, 32)
    hands = known_hands(mano, 6, spread=0.4, betas=1.0)
    root = axis_angle_to_matrix(hands.global_orient)
    mesh = mano(root, mano.rotations(hands.hand_pose), hands.betas).vertices
    full = (hands.hand_pose + mano.hands_mean).view(6, 15, 3)
    points = PointModel(mano, matrix).posed(root, full, hands.betas).points
    torch.testing.assert_close(points.mT, matrix @ mesh, atol=EXACT, rtol=0)


def test_patches_cover_every_vertex_once_and_evenly(mano: Mano) -> None:
    matrix = patches(mano, 40)
    assert matrix.shape == (40, 778)
    assert ((matrix > 0).sum(0) == 1).all()
    torch.testing.assert_close(matrix.sum(1), torch.ones(40))


def test_derivatives_are_the_differences_of_the_points(mano: Mano) -> None:
    """All but what the pose corrects in the mesh, which the model leaves out."""
    model, prior = PointModel(mano, mano.joint_matrix), PosePrior(mano)
    model._table[11:] = 0
    solver, n = LeastSquares(model, prior), 3
    hands = known_hands(mano, n, spread=0.3)
    state = HandState(
        axis_angle_to_matrix(hands.global_orient),
        prior.angles((hands.hand_pose + mano.hands_mean).view(n, 15, 3)),
        hands.betas,
        hands.transl,
    )
    targets = Targets(torch.zeros(n, 3, 21), torch.zeros(n, 10), 1.0)
    work = Workspace.of(n, model.count)
    J = solver._derivatives(state, solver.look(state, targets), work)  # (N, 61, 3, P)
    step = 1e-2
    for unknown in (0, 2, *range(3, 58, 4), 60):
        change = torch.zeros(n, 61)
        change[:, unknown] = step
        moved = [
            solver.look(
                HandState(
                    axis_angle_to_matrix(sign * change[:, :3]) @ state.root,
                    state.x + sign * change[:, POSE].view(n, 15, 3),
                    state.betas + sign * change[:, BETAS],
                    state.transl + sign * change[:, TRANSL],
                ),
                targets,
            ).residual
            for sign in (1, -1)
        ]
        torch.testing.assert_close(
            (moved[0] - moved[1]) / (2 * step), J[:, unknown], atol=5e-5, rtol=0
        )
