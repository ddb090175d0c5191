"""Shifted sets: each changes what it says, and nobody of them is in a training set."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.synthetic.articulation import read_gesture_poses
from pipeline.release.shifted_sets import SEED, SETS, ShiftedSet
from tests.synthetic.specs import make_spec

TRAINED = make_spec(back_cameras=0.33, free_poses=0.5)
BY_NAME = {one.name: one for one in SETS}


@pytest.mark.parametrize("one", SETS, ids=lambda one: one.name)
def test_a_set_has_its_own_people_and_changes_what_it_says_alone(one: ShiftedSet) -> None:
    spec, reference = one.spec(TRAINED), SETS[0].spec(TRAINED)
    assert spec.seed == SEED != TRAINED.seed
    changed = {key for key, value in vars(spec).items() if value != vars(reference)[key]}
    assert changed <= set(one.changes)
    sequences = one.sequences(spec)
    assert sum(s.images for s in sequences) == pytest.approx(spec.frames, rel=0.02)
    assert {s.hand_type for s in sequences} == {"left", "right"}
    assert len({s.capture.subject for s in sequences}) == spec.main_subjects


def test_unseen_gestures_are_none_of_the_table() -> None:
    table = np.stack([pose.angles for pose in read_gesture_poses()])
    names = {pose.gesture for pose in read_gesture_poses()}
    for pose in BY_NAME["unseen gestures"].poses():
        assert pose.gesture not in names
        assert np.abs(table - pose.angles).max(1).min() > 20, pose.gesture


def test_free_poses_have_no_gesture() -> None:
    one = BY_NAME["free poses"]
    assert all(s.gesture is None for s in one.sequences(one.spec(TRAINED)))


def test_photographs_show_the_hand_where_the_truth_says(mano: Mano) -> None:
    one = SETS[0]
    spec = one.spec(make_spec(image_px=(120, 96)), people=1, images=3)
    photographs = list(one.photographs(spec, mano))
    assert len(photographs) == 3
    for photograph in photographs:
        height, width = photograph.image.shape[:2]
        uv = project(photograph.joints_cam, photograph.K)
        assert ((uv > -width) & (uv < 2 * width)).all()
        inside = uv[((uv >= 0) & (uv < (width - 0.5, height - 0.5))).all(1)].round().astype(int)
        skin = photograph.image[inside[:, 1], inside[:, 0]].astype(float)
        assert len(inside) > 3 and skin.std(0).max() < 80
    again = next(iter(one.photographs(spec, mano)))
    assert np.array_equal(again.image, photographs[0].image)
