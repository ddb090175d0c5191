"""Personal styles: of the asked size, within what a hand can do, and still the gesture."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.hand.mano import Mano
from handpose.hand.skeleton import FROM_MANO_AND_TIPS, JOINTS, MANO_JOINTS, inverse
from handpose.synthetic.articulation import ANGLES, GesturePose, read_gesture_poses
from handpose.synthetic.movement.motion import RISE, Motion, gesture_motion
from handpose.synthetic.movement.style import PersonalStyle, Stylist
from handpose.synthetic.pose_hand import HandPoser
from tests.synthetic.joint_angles import HIGHEST, LOWEST

Array = NDArray[np.floating[Any]]

POSES = read_gesture_poses()
REST = POSES[0]
PEOPLE = 12
MCP_AND_PIP = [
    name.split(".")[1] in ("MCP", "PIP") and not name.startswith("thumb") for name in ANGLES
]


def style_of(stylist: Stylist, person: int, gesture: GesturePose) -> PersonalStyle:
    own = np.random.default_rng([person, POSES.index(gesture)])
    return stylist.style(np.random.default_rng(person), own, gesture)


@pytest.fixture(scope="module")
def poser(mano: Mano) -> HandPoser:
    return HandPoser(mano)


@pytest.fixture(scope="module")
def styles(poser: HandPoser) -> list[list[PersonalStyle]]:
    """By person, then by gesture."""
    stylist = Stylist(poser.articulation, REST, 15.0)
    return [[style_of(stylist, person, pose) for pose in POSES] for person in range(PEOPLE)]


def joints_of(poser: HandPoser, angles: Array) -> Array:
    """(T, 21, 3) m of the mean shape: angles (T, 21) deg."""
    still = np.zeros((len(angles), 3))
    motion = Motion(angles, still, still)
    return poser.pose_hand(motion, np.zeros(10), False, np.eye(3), np.zeros(3)).joints


def peaks(styles: list[list[PersonalStyle]]) -> Array:
    """(people, gestures, 21) deg."""
    return np.array([[style.peak.angles for style in own] for own in styles])


def test_no_style_is_the_table(poser: HandPoser) -> None:
    stylist = Stylist(poser.articulation, REST, 0.0)
    for pose in POSES:
        assert style_of(stylist, 1, pose) == (REST, pose, RISE)


def test_a_person_has_one_rest_and_speed_in_all_gestures(
    styles: list[list[PersonalStyle]],
) -> None:
    for own in styles:
        assert len({(style.rise, *style.rest.angles) for style in own}) == 1
    rises = [own[0].rise for own in styles]
    assert 0.15 < min(rises) < RISE < max(rises) < 0.5


def test_people_differ_by_the_asked_angle(styles: list[list[PersonalStyle]]) -> None:
    apart = peaks(styles).std(0, ddof=1)[:, MCP_AND_PIP]  # (gestures, 8)
    assert 10 < np.sqrt(np.square(apart).mean()) < 16


def test_angles_stay_within_what_hands_can_do(styles: list[list[PersonalStyle]]) -> None:
    found = peaks(styles).reshape(-1, len(ANGLES))
    for name, column, low, high in zip(ANGLES, found.T, LOWEST, HIGHEST, strict=True):
        assert low <= column.min(), name
        assert column.max() <= high, name


def test_fingers_are_not_pushed_into_their_neighbours(styles: list[list[PersonalStyle]]) -> None:
    def gaps(angles: Array) -> Array:
        index, middle, ring, pinky = np.moveaxis(angles[..., 3:16:4], -1, 0)
        return np.stack([index - middle, middle + ring, pinky - ring], -1)

    table = gaps(np.array([pose.angles for pose in POSES]))
    rest = gaps(np.array([own[0].rest.angles for own in styles]))[:, None]
    closed = np.minimum(np.minimum(table, rest), 0)
    assert (gaps(peaks(styles)) >= closed - 2).all()  # half the way with one of two fingers


def test_a_thumb_that_touches_follows(poser: HandPoser, styles: list[list[PersonalStyle]]) -> None:
    thumb, tips = JOINTS.index("thumb_tip"), ("index", "middle", "ring", "pinky")
    touching = {
        k: finger
        for k, pose in enumerate(POSES)
        for finger in tips
        if pose.touches == (("thumb_3", f"{finger}_3"),)
    }
    assert len(touching) > 5
    apart = []
    for own in styles:
        angles = np.array([own[k].peak.angles for k in touching])
        for row, finger in zip(joints_of(poser, angles), touching.values(), strict=True):
            apart.append(np.linalg.norm(row[thumb] - row[JOINTS.index(f"{finger}_tip")]))
    assert np.median(apart) < 0.016
    assert np.quantile(apart, 0.85) < 0.02, "some thumbs are too short"


def test_segments_are_those_of_the_hand_model(poser: HandPoser) -> None:
    angles = np.stack([pose.angles for pose in POSES])
    own = inverse(FROM_MANO_AND_TIPS)[:16]
    R, origin = poser.articulation.segments(angles)
    joints = joints_of(poser, angles)[:, own]  # in another frame, which changes no distance
    for points in (origin, joints):
        assert points.shape == (len(POSES), 16, 3)
    one, other = (p[:, None] - p[:, :, None] for p in (origin, joints))
    apart = np.linalg.norm(one, axis=-1) - np.linalg.norm(other, axis=-1)
    assert np.abs(apart).max() < 3e-3, "joints follow the skin, origins the bones"
    third = MANO_JOINTS.index("index_3")
    bone = (R[:, third - 1] @ poser.articulation.bone("index_2", "index_3")[:, None])[..., 0]
    np.testing.assert_allclose(origin[:, third] - origin[:, third - 1], bone, atol=1e-7)


def test_the_class_explains_at_most_half_of_the_articulation(
    poser: HandPoser, styles: list[list[PersonalStyle]]
) -> None:
    """And three quarters of it without style."""
    table = Path(__file__).parents[3] / "labels/gesture_map.csv"
    with table.open() as file:
        coarse = {row["gesture"]: row["coarse"] for row in csv.DictReader(file)}
    alike = [[PersonalStyle(REST, pose, RISE) for pose in POSES]] * PEOPLE
    phase = (np.arange(8) + 0.5) / 8
    found = []
    for people in (styles, alike):
        rng = np.random.default_rng(0)
        motions = [
            gesture_motion(rng, phase, s.rest, s.peak, 4.5, s.rise).angles
            for own in people
            for s in own
        ]
        pose = poser.articulation.pose(np.concatenate(motions)).reshape(-1, 45)
        classes = np.tile(np.repeat([coarse[p.gesture] for p in POSES], len(phase)), PEOPLE)
        found.append(explained(pose, classes))
    assert found[0] < 0.52
    assert found[1] > 0.7


def explained(values: Array, classes: NDArray[np.str_]) -> float:
    """Fraction of the variance of values (N, K) that lies between classes (N,)."""
    within = sum(np.square(own - own.mean(0)).sum() for own in split(values, classes))
    return 1 - float(within / np.square(values - values.mean(0)).sum())


def split(values: Array, classes: NDArray[np.str_]) -> list[Array]:
    """The values of each class."""
    return [values[classes == k] for k in np.unique(classes)]
