"""Free poses: within the ranges, apart from each other, and not only gestures."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.hand.mano import Mano
from handpose.synthetic.articulation import ANGLES, FLEXION, THUMB, WIDEST, read_gesture_poses
from handpose.synthetic.movement.free_pose import FreePoses
from handpose.synthetic.movement.motion import varied_motion
from handpose.synthetic.pose_hand import HandPoser

GESTURES = read_gesture_poses()


@pytest.fixture(scope="module")
def poses(mano: Mano) -> FreePoses:
    return FreePoses(HandPoser(mano).articulation, GESTURES)


def test_poses_are_within_the_ranges_of_joints_or_of_a_gesture(poses: FreePoses) -> None:
    angles = poses.draw(np.random.default_rng(0), 400)
    table = np.stack([pose.angles for pose in GESTURES])
    low = np.minimum(table.min(0), [*([*FLEXION[0], -WIDEST] * 4), *THUMB[0]])
    high = np.maximum(table.max(0), [*([*FLEXION[1], WIDEST] * 4), *THUMB[1]])
    assert (angles >= low - 1e-9).all() and (angles <= high + 1e-9).all()


def test_no_two_digits_share_the_same_space(poses: FreePoses) -> None:
    assert poses.overlap_m(poses.draw(np.random.default_rng(1), 200)).max() < 0.002


def test_overlap_finds_crossed_straight_fingers_and_leaves_an_open_hand(poses: FreePoses) -> None:
    flat = next(pose.angles for pose in GESTURES if pose.gesture == "neutral_rigid")
    crossed = flat.copy()
    crossed[[ANGLES.index("index.abduction"), ANGLES.index("middle.abduction")]] = -10, 10
    found = poses.overlap_m(np.stack([flat, crossed]))
    assert found[0] == 0 and found[1] > 0.002


def test_most_poses_are_no_gesture_and_they_reach_where_gestures_do_not(poses: FreePoses) -> None:
    angles = poses.draw(np.random.default_rng(2), 300)
    table = np.stack([pose.angles for pose in GESTURES])
    nearest = np.abs(angles[:, None] - table).max(-1).min(1)  # degrees
    assert (nearest > 15).mean() > 0.7


def test_the_same_generator_draws_the_same_poses(poses: FreePoses) -> None:
    one, other = (poses.draw(np.random.default_rng(3), 20) for _ in range(2))
    assert (one == other).all()


def test_motion_leads_from_pose_to_pose_without_overlap(poses: FreePoses) -> None:
    phase = np.linspace(0, 1, 60)
    motion = varied_motion(np.random.default_rng(4), phase, poses, jitter_deg=0)
    assert motion.angles.shape == (60, 21)
    assert poses.overlap_m(motion.angles).max() < 0.002
    steps = np.abs(np.diff(motion.angles, axis=0)).max(1)
    assert np.median(steps) < 60
    assert np.ptp(motion.wrist, axis=0).min() > 10
