"""The back: wrinkles over the joints, tendons to the knuckles, veins to the arm."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.hand.mano import Mano
from handpose.synthetic.texture.back_lines import ARM_V, tendons, veins, wrinkles
from handpose.synthetic.texture.landmarks import Landmarks
from tests.synthetic.texture.hands import rest_hand

FINGERS = ("index", "middle", "ring", "pinky")


@pytest.fixture(scope="module")
def hand(mano: Mano) -> Landmarks:
    return rest_hand(mano).landmarks


@pytest.mark.parametrize("seed", range(4))
def test_wrinkles_gather_over_the_joints(hand: Landmarks, seed: int) -> None:
    middles = np.array(
        [line.points.mean(0) for line in wrinkles(np.random.default_rng(seed), hand)]
    )

    def around(joint: str) -> int:
        return int((np.linalg.norm(middles - hand.at(joint), axis=1) < 0.009).sum())

    for finger in FINGERS:
        assert around(f"{finger}_2") > around(f"{finger}_3") >= 2
    assert around("thumb_3") >= 3


def test_arcs_bend_around_the_joint(hand: Landmarks) -> None:
    """The ends of the outer wrinkles lie nearer to the joint's axis than their middles."""
    joint = hand.at("middle_2")
    nearer = 0
    for seed in range(10):
        for line in wrinkles(np.random.default_rng(seed), hand):
            lift = line.points[:, 1] - joint[1]
            if (
                np.abs(line.points[:, 0] - joint[0]).max() < 0.012
                and 0.003 < abs(lift).max() < 0.01
            ):
                middle = len(lift) // 2
                nearer += 1 if abs(lift[[0, -1]]).mean() < abs(lift[middle]) else -1
    assert nearer > 10


def test_a_tendon_runs_from_the_wrist_to_each_knuckle(hand: Landmarks) -> None:
    ridges = tendons(np.random.default_rng(0), hand)
    assert len(ridges) == len(FINGERS)
    for ridge, finger in zip(ridges, FINGERS, strict=True):
        assert np.linalg.norm(ridge.points[-1] - hand.at(f"{finger}_1")) < 0.002
        assert abs(ridge.points[0, 1]) < 0.01


def test_all_veins_drain_into_the_arm(hand: Landmarks) -> None:
    for seed in range(5):
        net = veins(np.random.default_rng(seed), hand)
        points = np.concatenate([line.points for line in net])
        assert points[:, 1].min() == pytest.approx(ARM_V, abs=0.002)
        assert points[:, 1].max() > 0.7 * hand.at("middle_1")[1]
        drained = [line.points[:, 1].min() < ARM_V + 0.002 for line in net]
        joined = [line for line, there in zip(net, drained, strict=True) if there]
        open_ = [line for line, there in zip(net, drained, strict=True) if not there]
        while open_:
            ends = np.concatenate([line.points[[0, -1]] for line in joined])
            touching = [
                line
                for line in open_
                if np.linalg.norm(line.points[[0, -1], None] - ends, axis=2).min() < 0.002
            ]
            assert touching, "a vein by itself"
            joined += touching
            open_ = [line for line in open_ if not any(line is one for one in touching)]


def test_veins_differ_in_fullness(hand: Landmarks) -> None:
    deepest = [
        max(line.depth.max() for line in veins(np.random.default_rng(seed), hand))
        for seed in range(20)
    ]
    assert max(deepest) > 2 * min(deepest)
