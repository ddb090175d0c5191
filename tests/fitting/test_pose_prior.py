import numpy as np
import torch

from handpose.fitting.pose_prior import PosePrior
from handpose.hand.mano import Mano
from handpose.hand.skeleton import MANO_JOINTS
from handpose.synthetic.articulation import DIGITS, FLEXION, WIDEST
from tests.fitting.hands_at_random import known_hands


def test_axes_are_rotations_and_angles_come_back(mano: Mano) -> None:
    prior = PosePrior(mano)
    eye = torch.eye(3).expand(15, 3, 3)
    torch.testing.assert_close(prior.frames @ prior.frames.mT, eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(prior.frames), torch.ones(15))
    pose = torch.randn(4, 15, 3)
    torch.testing.assert_close(prior.pose(prior.angles(pose)), pose, atol=1e-5, rtol=0)


def test_the_relaxed_hand_bends_and_does_not_twist(mano: Mano) -> None:
    bend, _, twist = PosePrior(mano).mean.unbind(-1)
    assert (bend > 0.1).all() and (twist.abs() < 0.01).all()


def test_limits_leave_room_for_every_gesture(mano: Mano) -> None:
    prior = PosePrior(mano)
    for joint, name in enumerate(MANO_JOINTS[1:]):
        digit, level = name.split("_")
        if digit == "thumb":
            continue
        low, high = np.radians(FLEXION[:, int(level) - 1])
        assert prior.low[joint, 0] < low and high < prior.high[joint, 0]
    assert np.radians(WIDEST) < float(prior.high[0, 1])
    assert set(DIGITS) == {name.split("_")[0] for name in MANO_JOINTS[1:]}
    hands = known_hands(mano, 200)
    x = prior.angles((hands.hand_pose + mano.hands_mean).view(-1, 15, 3))
    beyond = (x - x.clamp(prior.low, prior.high)).abs()
    assert float((beyond > 0).float().mean()) < 0.02


def test_pull_is_zero_at_the_mean_and_its_gradient_is_half_the_cost_s(mano: Mano) -> None:
    prior = PosePrior(mano)
    at_mean, gradient, _ = prior.pull(prior.mean[None])
    assert float(at_mean) == 0 and not gradient.any()
    x = (prior.mean + torch.randn(2, 15, 3)).double().requires_grad_()
    cost, gradient, precision = prior.pull(x)
    (expected,) = torch.autograd.grad(cost.sum(), x)
    torch.testing.assert_close(2 * gradient, expected, check_dtype=False)
    assert (precision >= prior.precision).all()
