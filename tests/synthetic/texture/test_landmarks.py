"""The flat hand: which side is which, and how wide it is where."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.hand.mano import Mano
from handpose.synthetic.texture.landmarks import Landmarks, normal, unit
from tests.synthetic.texture.hands import RestHand, rest_hand

FINGERS = ("index", "middle", "ring", "pinky")


@pytest.fixture(scope="module")
def hand(mano: Mano) -> RestHand:
    return rest_hand(mano)


def test_u_points_to_the_thumb_and_v_to_the_fingers(hand: RestHand) -> None:
    at = hand.landmarks.at
    np.testing.assert_allclose(at("wrist"), 0, atol=1e-9)
    assert at("middle_1")[0] == pytest.approx(0, abs=1e-9)
    across = [at(f"{finger}_2")[0] for finger in ("thumb", *FINGERS)]
    assert across == sorted(across, reverse=True)
    for finger in FINGERS:
        along = [at(f"{finger}_{part}")[1] for part in (1, 2, 3, "tip")]
        assert along == sorted(along)


def test_flat_distances_are_those_of_the_hand(hand: RestHand) -> None:
    bone = hand.joints[10] - hand.joints[9]
    flat = hand.landmarks.at("middle_2") - hand.landmarks.at("middle_1")
    assert np.linalg.norm(flat) == pytest.approx(np.linalg.norm(bone), rel=0.02)
    halfway = hand.landmarks.between("middle_1", "middle_2", 0.5)
    np.testing.assert_allclose(halfway - hand.landmarks.at("middle_1"), flat / 2)


def test_palm_shows_where_the_normal_faces_the_palm(hand: RestHand) -> None:
    up = hand.surface.mesh(hand.surface.control).normals[:, 1]  # MANO's right palm faces -y
    marks = hand.landmarks
    assert (marks.palm * marks.back).max() == 0
    fingers = marks.uv[:, 1] > marks.at("index_1")[1]
    fingers &= marks.uv[:, 0] < marks.at("index_1")[0] + 0.015  # without the thumb, which is turned
    assert up[fingers & (marks.palm > 0)].max() < 0.1
    assert up[fingers & (marks.back > 0)].min() > -0.1
    assert marks.palm[fingers & (up < -0.7)].min() > 0.9
    assert marks.back[fingers & (up > 0.7)].min() > 0.9


def test_the_nails_are_on_the_back(hand: RestHand) -> None:
    nails = hand.where.nail > 0.5
    assert hand.landmarks.palm[nails].max() == 0
    assert hand.landmarks.back[nails].mean() > 0.9


def test_digits_are_as_wide_as_digits(hand: RestHand) -> None:
    marks: Landmarks = hand.landmarks
    for digit in ("thumb", *FINGERS):
        along = unit(marks.at(f"{digit}_3") - marks.at(f"{digit}_2"))
        half = marks.half_width(digit, marks.at(f"{digit}_3"), along)
        assert 0.005 < half < 0.014
    ulnar, radial = marks.outline(0.5 * float(marks.at("middle_1")[1]))
    assert 0.06 < radial - ulnar < 0.11
    assert ulnar < 0 < radial


def test_normal_turns_v_to_u() -> None:
    np.testing.assert_allclose(normal(np.array([0.0, 1.0])), [1, 0])
