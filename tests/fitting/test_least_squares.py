import inspect
import re

import torch

from handpose.fitting import least_squares
from handpose.fitting.first_guess import HandState
from handpose.fitting.least_squares import KEPT, LeastSquares, Targets, Workspace
from handpose.fitting.point_model import PointModel
from handpose.fitting.pose_prior import PosePrior
from handpose.hand.mano import Mano
from tests.fitting.hands_at_random import known_hands


def test_no_fit_is_worse_than_its_start_and_costs_are_the_states_own(mano: Mano) -> None:
    """From a start that is wrong by a radian, where steps are refused and damped."""
    prior, n = PosePrior(mano), 20
    solver = LeastSquares(PointModel(mano, mano.joint_matrix), prior)
    hands = known_hands(mano, n)
    targets = Targets(hands.joints.mT.contiguous(), torch.zeros(n, 10), 1.0, None, 5e-4)
    start = HandState(
        torch.eye(3).expand(n, 3, 3),
        prior.mean + torch.randn(n, 15, 3, generator=torch.Generator().manual_seed(2)),
        torch.zeros(n, 10),
        hands.joints.mean(1),
    )
    before = solver.look(start, targets).cost
    for steps in (1, 3, 12):
        found, cost, residual, _ = solver.fit(start, targets, steps)
        assert (cost <= before).all()
        seen = solver.look(found, targets)
        torch.testing.assert_close(seen.cost, cost, rtol=1e-3, atol=1e-2)
        torch.testing.assert_close(seen.residual, residual, rtol=1e-3, atol=1e-2)
        before = cost


def test_the_memory_that_is_kept_is_as_large_as_is_said(mano: Mano) -> None:
    stated = re.search(r"next fit: (\d+) MB for joints", inspect.getsource(least_squares))
    arrays = Workspace.of(KEPT, PointModel(mano, mano.joint_matrix).count)
    assert stated and round(sum(array.nbytes for array in arrays) / 1e6) == int(stated.group(1))
