"""The bend of a finger is the finger's own: how the hand lies, its size and side do not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handpose.hand.finger_state import (
    BENT_DEG,
    CHAINS,
    STATES,
    STRAIGHT_DEG,
    UNKNOWN,
    finger_bend,
    finger_states,
)
from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix

ALL = np.ones((1, 21), np.bool_)


def hand(*degrees: float) -> NDArray[np.float64]:
    """Joints (1, 21, 3) of five fingers in planes of their own, each joint bent by so much."""
    joints = np.zeros((1, 21, 3))
    for finger, bend in enumerate(degrees):
        angle, end = 0.0, np.zeros(3)
        along = np.array([np.sin(0.2 * finger), np.cos(0.2 * finger), 0])
        for place, joint in enumerate(CHAINS[finger][1:]):
            angle += np.radians(bend) if place else 0.0
            end = end + (4 - place) * (np.cos(angle) * along + [0, 0, np.sin(angle)])
            joints[0, joint] = end
    return joints


def test_the_bend_is_the_sum_of_three_angles() -> None:
    bend = np.degrees(finger_bend(hand(0, 10, 25, 45, 60), ALL))
    np.testing.assert_allclose(bend, [[0, 30, 75, 135, 180]], atol=1e-6)
    states = finger_states(hand(0, 10, 25, 45, 60), ALL)[0]
    assert [STATES[s] for s in states] == ["straight", "straight", "half", "bent", "bent"]


def test_limits_belong_to_the_state_above() -> None:
    for limits, states in ((STRAIGHT_DEG, (0, 1)), (BENT_DEG, (1, 2))):
        for offset, state in ((-0.01, states[0]), (0.01, states[1])):
            found = finger_states(hand(*(limits + offset) / 3), ALL)
            assert found.tolist() == [[state] * 5]


def test_rotation_size_and_side_change_nothing(mano: Mano) -> None:
    rng = torch.Generator().manual_seed(0)
    pose = 0.4 * torch.randn(8, 45, generator=rng)
    right = torch.zeros(8, dtype=torch.bool)
    joints = mano.hand(torch.zeros(8, 3), pose, torch.zeros(8, 10), right).joints
    R = axis_angle_to_matrix(torch.randn(8, 3, generator=rng))
    valid = np.ones((8, 21), np.bool_)
    expected = finger_bend(joints.numpy(), valid)
    assert expected.std(0).min() > 0.05, "the poses differ"
    for changed in (joints @ R.mT, 1000 * joints + 5, joints * torch.tensor([-1.0, 1, 1])):
        np.testing.assert_allclose(finger_bend(changed.numpy(), valid), expected, atol=1e-3)


@pytest.mark.parametrize(("joint", "fingers"), [(0, range(5)), (7, [1]), (20, [4])])
def test_a_finger_that_lacks_a_joint_is_unknown(joint: int, fingers: range | list[int]) -> None:
    valid = ALL.copy()
    valid[0, joint] = False
    states = finger_states(hand(*[0] * 5), valid)[0]
    assert np.flatnonzero(states == UNKNOWN).tolist() == list(fingers)
