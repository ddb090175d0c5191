"""Motions: from rest to the peak and back, by the motion that the table names."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.synthetic.articulation import ANGLES, GesturePose, read_gesture_poses
from handpose.synthetic.movement.motion import DIP_COUPLING, Motion, free_motion, gesture_motion

POSES = {pose.gesture: pose for pose in read_gesture_poses()}
REST = POSES["neutral_relaxed"]
PHASE = np.linspace(0, 1, 201)


def motion_of(peak: GesturePose, jitter_deg: float = 0.0, seed: int = 0) -> Motion:
    return gesture_motion(np.random.default_rng(seed), PHASE, REST, peak, jitter_deg)


def test_begins_and_ends_at_rest_and_peaks_between() -> None:
    peak = POSES["fist"]
    for seed in range(5):
        angles = motion_of(peak, seed=seed).angles
        amount = (angles - REST.angles) @ (peak.angles - REST.angles)
        amount /= np.square(peak.angles - REST.angles).sum()
        assert amount[[0, -1]].max() < 0.15  # digits start early or late by a few frames
        assert amount[70:130].min() > 0.9
        assert amount.max() <= 1 + 1e-9
        assert (amount > 0.9).mean() == pytest.approx(0.6, abs=0.1)


def test_motions_move_what_they_name() -> None:
    held, tapped = (motion_of(POSES[name]) for name in ("neutral_rigid", "indextip"))
    waved = motion_of(POSES["palmdownwave"])
    middle = np.s_[60:140]
    assert np.ptp(held.angles[middle], axis=0).max() < 1e-6
    assert np.ptp(tapped.angles[middle], axis=0).max() > 5
    yaw = waved.wrist[middle, 1]
    turns = (np.diff(np.sign(yaw - yaw.mean())) != 0).sum()
    assert np.ptp(yaw) > 30
    assert turns >= 4


def test_wrist_turns_with_the_amplitude() -> None:
    peak = POSES["thumbup_normal"]
    wrist = np.mean([motion_of(peak, seed=seed).wrist for seed in range(60)], axis=0)
    assert np.abs(wrist[0]).max() < 5
    np.testing.assert_allclose(wrist[100], peak.wrist, atol=6)


def test_jitter_is_of_the_asked_size_and_tips_follow() -> None:
    many = [motion_of(POSES["fist"], jitter, seed) for seed in range(200) for jitter in (0.0, 4.5)]
    noise = np.array(
        [b.angles[0] - a.angles[0] for a, b in zip(many[::2], many[1::2], strict=True)]
    )
    by_name = dict(zip(ANGLES, noise.T, strict=True))
    assert by_name["index.MCP"].std() == pytest.approx(4.5, rel=0.2)
    assert by_name["ring.PIP"].std() == pytest.approx(4.5, rel=0.2)
    assert np.polyfit(by_name["ring.PIP"], by_name["ring.DIP"], 1)[0] == pytest.approx(
        DIP_COUPLING, abs=0.1
    )


def test_a_person_repeats_a_gesture_in_their_own_way() -> None:
    one, other = (motion_of(POSES["fist"], 4.5, seed).angles for seed in (0, 1))
    middle = np.s_[80:120]
    assert np.abs(one[middle].mean(0) - other[middle].mean(0)).max() > 3


def test_free_motion_is_smooth_and_wrist_folders_turn_the_wrist() -> None:
    poses = list(POSES.values())
    fingers, wrist = (
        free_motion(np.random.default_rng(3), PHASE, poses, 0.0, turns) for turns in (False, True)
    )
    assert np.ptp(fingers.angles, axis=0).max() > 40
    assert np.abs(np.diff(fingers.angles, axis=0)).max() < 12
    assert np.ptp(wrist.wrist[:, 0]) > 80
    assert np.ptp(fingers.wrist[:, 0]) < 70
