"""The plan of the data set: counts, captures, folders, frames and faults."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from handpose.synthetic.articulation import read_gesture_poses
from handpose.synthetic.dataset_plan import (
    FAULTS,
    ROM_FOLDERS,
    Capture,
    DatasetSpec,
    SequencePlan,
    plan,
)
from tests.synthetic.specs import make_spec

POSES = read_gesture_poses()


def spec(**changes: object) -> DatasetSpec:
    return make_spec(**{"back_cameras": 1 / 3, **changes})


def sequences_of(spec: DatasetSpec) -> list[SequencePlan]:
    return [sequence for _, sequences in plan(spec, POSES) for sequence in sequences]


DEFAULT = list(plan(spec(), POSES))
SEQUENCES = [sequence for _, sequences in DEFAULT for sequence in sequences]
GESTURES = [sequence for sequence in SEQUENCES if sequence.gesture is not None]


def test_the_default_has_four_frames_per_folder_of_a_main_subject_and_one_or_two_else() -> None:
    images = Counter[tuple[int, str]]()
    for sequence in GESTURES:
        images[sequence.capture.subject, sequence.seq_name] += sequence.images
    assert sum(images.values()) == 5670
    assert len({folder for _, folder in images}) == 90
    assert {count for (subject, _), count in images.items() if subject < 12} == {4}
    for short in range(12, 22):
        counts = [count for (subject, _), count in images.items() if subject == short]
        assert len(counts) == 90, "every folder"
        assert Counter(counts) == {1: 45, 2: 45}


@pytest.mark.parametrize(
    ("frames", "cameras", "main", "short"),
    [(540, 1, 2, 2), (1000, 3, 3, 0), (777, 2, 1, 4), (30_000, 4, 8, 5)],
)
def test_any_number_of_frames_is_met_exactly(
    frames: int, cameras: int, main: int, short: int
) -> None:
    one = spec(frames=frames, cameras_per_instant=cameras, main_subjects=main, short_subjects=short)
    sequences = sequences_of(one)
    assert sum(sequence.images for sequence in sequences if sequence.gesture is not None) == frames
    views = [len(frame.cameras) for sequence in sequences for frame in sequence.frames]
    assert max(views) <= cameras
    assert np.mean(np.array(views) == cameras) > 0.3


def test_gesture_folders_are_those_of_the_table_with_their_hands() -> None:
    expected = {(pose.right_folder, "right", pose.gesture) for pose in POSES}
    expected |= {(pose.left_folder, "left", pose.gesture) for pose in POSES}
    expected = {row for row in expected if row[0]}
    assert len(expected) == 90
    found = {(t.seq_name, t.hand_type, t.gesture.gesture) for t in GESTURES if t.gesture}
    assert found == expected


def test_only_train_has_gestures_and_every_split_has_rom_and_two_hands() -> None:
    assert {sequence.capture.split for sequence in GESTURES} == {"train"}
    for split, numbers in (("train", 30), ("val", 1), ("test", 2)):
        captures = [capture for capture, _ in DEFAULT if capture.split == split]
        assert [capture.number for capture in captures] == list(range(numbers))
        free = [t for t in SEQUENCES if t.capture.split == split and t.gesture is None]
        assert {t.hand_type for t in free} == {"right", "left", "interacting"}
    names = {sequence.seq_name for sequence in SEQUENCES if sequence.gesture is None}
    assert {"ROM07_Rt_Finger_Occlusions", "ROM07_RT_Finger_Occlusions"} <= names
    assert any(name.startswith("02") for name in names)


def test_some_subjects_come_twice_and_look_the_same_before_other_cameras() -> None:
    captures: dict[int, list[Capture]] = defaultdict(list)
    for capture, _ in DEFAULT:
        if capture.split == "train":
            captures[capture.subject].append(capture)
    assert Counter(len(visits) for visits in captures.values()) == {1: 14, 2: 8}
    for first, second in (visits for visits in captures.values() if len(visits) == 2):
        np.testing.assert_array_equal(first.betas, second.betas)
        assert first.skin.melanin == second.skin.melanin
        assert np.abs(first.rig.origin - second.rig.origin).max() > 0.01
    assert any(visits[0].number != subject for subject, visits in captures.items())


def test_no_two_subjects_are_alike_and_none_is_in_two_splits() -> None:
    people = {(c.split, c.subject): (*c.betas, c.skin.melanin) for c, _ in DEFAULT}
    rows = np.array(list(people.values()))
    apart = np.abs(rows[:, None] - rows[None]).max(-1) + np.eye(len(rows))
    assert apart.min() > 0.1


def test_frame_numbers_never_meet_within_a_capture_and_are_short_and_long() -> None:
    numbers = []
    for _, sequences in DEFAULT:
        frames = [frame.number for sequence in sequences for frame in sequence.frames]
        assert len(set(frames)) == len(frames)
        assert frames == sorted(frames)
        numbers += frames
    assert min(numbers) < 1000
    assert max(numbers) > 10_000


def test_frames_are_spread_over_the_whole_sequence() -> None:
    phases = np.array([frame.phase for sequence in GESTURES for frame in sequence.frames])
    assert phases.min() >= 0
    assert phases.max() < 1
    assert np.histogram(phases, 10, (0, 1))[0] == pytest.approx(len(phases) / 10, rel=0.25)
    whole = [sequence for sequence in GESTURES if len(sequence.frames) == 4]
    for sequence in whole:
        assert np.diff([frame.phase for frame in sequence.frames]) == pytest.approx(1 / 4)


@pytest.mark.parametrize("frames", [540, 5670])
def test_every_fault_occurs_for_one_hand_and_few_frames_have_one(frames: int) -> None:
    small = spec(frames=frames, main_subjects=2, short_subjects=2)
    single = [t for t in sequences_of(small) if t.hand_type != "interacting"]
    faults = Counter(frame.fault for sequence in single for frame in sequence.frames)
    assert set(FAULTS.values()) <= set(faults)
    assert faults[""] / faults.total() > 0.9


def test_the_plan_depends_on_the_spec_alone_and_every_seed_has_its_own() -> None:
    one, again, other = (
        sequences_of(spec(frames=180, main_subjects=1, short_subjects=1, seed=seed))
        for seed in (5, 5, 6)
    )
    assert [sequence.frames for sequence in one] == [sequence.frames for sequence in again]
    assert [sequence.frames for sequence in one] != [sequence.frames for sequence in other]
    assert one[0].capture.skin.melanin != other[0].capture.skin.melanin
    np.testing.assert_array_equal(
        one[0].capture.rig.cameras[0].centre, again[0].capture.rig.cameras[0].centre
    )


def test_free_poses_are_in_all_rom_folders_and_gestures_stay_as_they_are() -> None:
    plain, free = (sequences_of(spec(free_poses=k)) for k in (0.0, 1.5))

    def gestures(sequences: list[SequencePlan]) -> list[tuple[int, str, int]]:
        return [(s.capture.number, s.seq_name, s.images) for s in sequences if s.gesture]

    assert gestures(plain) == gestures(free)
    train = [s for s in free if s.capture.split == "train"]
    of_gestures = sum(s.images for s in train if s.gesture)
    rom = [s for s in train if s.gesture is None and s.hand_type != "interacting"]
    assert sum(s.images for s in rom) == pytest.approx(1.5 * of_gestures, rel=0.01)
    assert len({s.seq_name.upper() for s in rom}) == len(ROM_FOLDERS)
    sides = Counter[str]()
    for sequence in rom:
        sides[sequence.hand_type] += sequence.images
    assert sides["left"] == pytest.approx(sides["right"], rel=0.1)


def test_a_share_of_captures_has_no_forearm_and_all_else_stays() -> None:
    captures = {
        share: [capture for capture, _ in plan(spec(no_forearm=share), POSES)]
        for share in (0.0, 0.5, 1.0)
    }
    assert all(capture.has_forearm for capture in captures[0.0])
    assert not any(capture.has_forearm for capture in captures[1.0])
    assert 5 < sum(capture.has_forearm for capture in captures[0.5]) < len(captures[0.5]) - 5
    for whole, short in zip(captures[0.0], captures[1.0], strict=True):
        assert short.sleeve.start > 1, "no cloth on a hand without an arm"
        np.testing.assert_array_equal(short.betas, whole.betas)
        np.testing.assert_array_equal(short.skin.grain_offset, whole.skin.grain_offset)
        np.testing.assert_array_equal(short.lighting.key, whole.lighting.key)
        np.testing.assert_array_equal(short.rig.cameras[0].K, whole.rig.cameras[0].K)
