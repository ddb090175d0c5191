"""Lines of the palm side: where hands bend, and of one person only."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.hand.mano import Mano
from handpose.synthetic.texture.landmarks import Landmarks, unit
from handpose.synthetic.texture.palm_lines import palm_lines
from handpose.synthetic.texture.strokes import Stroke
from tests.synthetic.texture.hands import rest_hand

JOINTS = tuple(f"{finger}_{k}" for finger in ("index", "middle", "ring", "pinky") for k in (2, 3))


@pytest.fixture(scope="module")
def hand(mano: Mano) -> Landmarks:
    return rest_hand(mano).landmarks


def lines(hand: Landmarks, seed: int) -> list[Stroke]:
    return palm_lines(np.random.default_rng(seed), hand)


@pytest.mark.parametrize("seed", range(5))
def test_every_finger_joint_has_a_crease_across(hand: Landmarks, seed: int) -> None:
    drawn = [line for line in lines(hand, seed) if line.depth.max() > 0.4]
    for name in (*JOINTS, "thumb_3"):
        digit, level = name.split("_")
        along = unit(hand.at(name) - hand.at(f"{digit}_{int(level) - 1}"))
        near = [
            line
            for line in drawn
            if np.linalg.norm(line.points - hand.at(name), axis=1).min() < 0.004
        ]
        assert near, name
        for line in near:
            course = unit(line.points[-1] - line.points[0])
            assert abs(course @ along) < 0.5


@pytest.mark.parametrize("seed", range(5))
def test_three_lines_run_through_the_palm_and_one_or_two_over_the_wrist(
    hand: Landmarks, seed: int
) -> None:
    def length(line: Stroke) -> float:
        return float(np.linalg.norm(np.diff(line.points, axis=0), axis=1).sum())

    long = [line for line in lines(hand, seed) if length(line) > 0.04 and line.depth.max() > 0.25]
    wrist = [line for line in long if line.points[:, 1].max() < 0.012]
    assert 1 <= len(wrist) <= 2
    assert len(long) - len(wrist) >= 3


def test_lines_stay_on_the_hand(hand: Landmarks) -> None:
    low, high = hand.uv[hand.uv[:, 1] > -0.03].min(0), hand.uv.max(0)
    for seed in range(20):
        for line in lines(hand, seed):
            assert (line.points > low - 0.004).all()
            assert (line.points < high + 0.004).all()


def test_no_two_people_have_the_same_lines(hand: Landmarks) -> None:
    again, first, second = (lines(hand, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(again[3].points, first[3].points)
    assert len(again) == len(first)
    crease, other = first[0].points.mean(0), second[0].points.mean(0)
    assert np.linalg.norm(crease - other) > 1e-4
