"""Shifted test sets: each changes what it says as far as it says, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from handpose.synthetic.articulation import read_gesture_poses
from handpose.synthetic.dataset_plan import Capture, DatasetSpec, SequencePlan
from handpose.synthetic.shifted_recipe import (
    HARDEST,
    NEW_PEOPLE,
    OTHER_END,
    SEED,
    SHIFTS,
    UNSEEN_GESTURES,
    ShiftedTest,
    everything,
    shifted_tests,
)
from pipeline.release.shifted_sets import SEED as RELEASED_SEED
from tests.synthetic.specs import make_spec

TRAINED = make_spec()
OWN = {"seed", "frames", "main_subjects", "short_subjects", "cameras_per_instant", "free_poses"}
"""What every set has of its own."""

ALL = shifted_tests([0.5, 1.0])
BY_NAME = {test.name: test for test in ALL}


def changed(test: ShiftedTest, trained: DatasetSpec = TRAINED) -> set[str]:
    spec = test.spec(trained, 2, 40)
    return {key for key, value in vars(spec).items() if value != vars(trained)[key]} - OWN


def drawn(sequences: list[SequencePlan]) -> list[tuple[Any, ...]]:
    """Who shows what, when."""
    return [
        (s.capture.subject, s.capture.betas.tobytes(), s.seq_name, s.hand_type, s.frames)
        for s in sequences
    ]


def test_no_severity_has_no_set_and_each_severity_has_everything() -> None:
    assert shifted_tests([]) == []
    assert list(BY_NAME)[:2] == [NEW_PEOPLE, UNSEEN_GESTURES]
    assert list(BY_NAME)[-2:] == ["everything_0.5", "everything_1"]
    assert {f"{shift}_1" for shift in SHIFTS} <= set(BY_NAME), "alone at the greatest alone"
    assert len(BY_NAME) == 4 + len(SHIFTS) == len(ALL)
    assert "light_0.25" in {test.name for test in shifted_tests([0.25])}


@pytest.mark.parametrize("test", ALL, ids=lambda test: test.name)
def test_a_set_changes_the_keys_of_its_shifts_alone(test: ShiftedTest) -> None:
    keys = {key for shift in test.shifts for key in SHIFTS[shift][1]}
    assert changed(test) == keys
    assert {*HARDEST, *OTHER_END} == {key for _, own in SHIFTS.values() for key in own}


def test_values_go_from_training_s_to_the_hardest_in_proportion() -> None:
    ends = {**HARDEST, **dict.fromkeys(OTHER_END, 1.0)}
    for severity in (1e-9, 0.25, 1.0):
        spec = everything(severity).spec(TRAINED, 2, 40)
        for key, end in ends.items():
            own = np.array(vars(TRAINED)[key])
            expected = own + severity * (np.array(end) - own)
            assert np.array(vars(spec)[key]) == pytest.approx(expected), key
    near, far = (everything(s).spec(TRAINED, 2, 40).distance_m for s in (1.0, 0.25))
    assert near == pytest.approx((0.2, 0.3)) and far[0] > near[0]


def test_what_training_has_as_hard_already_stays_and_texture_goes_to_the_other_end() -> None:
    trained = make_spec(roll_deg=100.0, distance_m=(0.1, 0.5), occluders=1.0, creases=1.0)
    spec = everything(1.0).spec(trained, 2, 40)
    assert (spec.roll_deg, spec.occluders, spec.creases, spec.skin_detail) == (100.0, 1.0, 0.0, 1.0)
    assert spec.distance_m == (0.1, 0.3)


def test_people_are_never_those_of_training_or_of_a_release() -> None:
    assert SEED not in (TRAINED.seed, RELEASED_SEED)
    for trained in (TRAINED, dataclasses.replace(TRAINED, seed=SEED)):
        assert BY_NAME[NEW_PEOPLE].spec(trained, 2, 40).seed not in (trained.seed, RELEASED_SEED)


def test_all_sets_show_the_same_people_and_gestures_at_the_same_moments() -> None:
    found = {
        name: drawn(test.sequences(test.spec(TRAINED, 3, 90)))
        for name, test in BY_NAME.items()
        if name != UNSEEN_GESTURES
    }
    first = found[NEW_PEOPLE]
    assert sum(len(frames) for *_, frames in first) == 90
    assert {subject for subject, *_ in first} == {0, 1, 2}
    for name, own in found.items():
        assert [row[:4] for row in own] == [row[:4] for row in first], name
        numbers = [[frame.number for frame in row[4]] for row in own]
        assert numbers == [[frame.number for frame in row[4]] for row in first], name


def test_unseen_gestures_are_none_of_the_table_and_no_annotation_has_a_fault() -> None:
    test = BY_NAME[UNSEEN_GESTURES]
    names = {pose.gesture for pose in read_gesture_poses()}
    sequences = test.sequences(test.spec(TRAINED, 2, 200))
    assert not {s.gesture.gesture for s in sequences if s.gesture} & names
    assert all(s.gesture and s.capture.split == "train" for s in sequences)
    assert {frame.fault for s in sequences for frame in s.frames} == {""}


def test_other_light_is_dimmer_lower_and_coloured_by_severity() -> None:
    def captures(severity: float) -> list[Capture]:
        test = ShiftedTest("light", ("light",), severity)
        return [s.capture for s in test.sequences(test.spec(TRAINED, 3, 90))]

    reference = BY_NAME[NEW_PEOPLE]
    plain = [s.capture for s in reference.sequences(reference.spec(TRAINED, 3, 90))]
    for a, b, c, d in zip(plain, captures(0.0), captures(0.5), captures(1.0), strict=True):
        for field, own in a.lighting._asdict().items():
            assert getattr(b.lighting, field) == pytest.approx(own), "0 is training's light"
        assert a.lighting.elevation > c.lighting.elevation > d.lighting.elevation > 0.09
        assert (a.lighting.ambient > c.lighting.ambient).all()
        assert d.lighting.ambient == pytest.approx(0.2 * a.lighting.ambient)
        tint, half = (np.log(one.lighting.key / a.lighting.key) for one in (d, c))
        assert 0.01 < np.ptp(tint) < 0.7 and tint == pytest.approx(2 * half)
        for one, other in zip(a.rig.sensors, d.rig.sensors, strict=True):
            assert other.brightness == pytest.approx(0.35 * one.brightness)
        cameras = zip(a.rig.cameras, d.rig.cameras, strict=True)
        assert all(np.array_equal(x.K, y.K) and np.array_equal(x.R, y.R) for x, y in cameras)
