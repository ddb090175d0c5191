"""Classes from the pose: of what occurs in training, fine ones inside coarse ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from handpose.hand.finger_state import STATES, finger_states
from stages.labelling.image_labels import NONE
from stages.labelling.pose_codes import (
    PoseCodeError,
    finger_state_codes,
    pose_cluster_codes,
)
from tests.hand.test_finger_state import hand

BENDS = ((0, 0, 0, 0, 0), (0, 60, 60, 60, 60), (0, 30, 60, 60, 60), (40, 0, 0, 0, 0))


def table(splits: list[str], **columns: NDArray[Any]) -> pa.Table:
    lists = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        for name, values in columns.items()
        if values.ndim == 2
    }
    plain = {name: pa.array(v) for name, v in columns.items() if v.ndim == 1}
    return pa.table({"split": splits, **lists, **plain})


def fingers(splits: list[str], *poses: int) -> pa.Table:
    joints = np.concatenate([hand(*BENDS[pose]) for pose in poses]).reshape(-1, 63)
    return table(splits, joints_cam=joints, joint_valid=np.ones((len(poses), 21), np.bool_))


def test_fingers_make_the_fine_class_and_straight_ones_the_coarse_one() -> None:
    codes = finger_state_codes(fingers(["train"] * 5, 0, 1, 2, 3, 1))
    names = [codes.names["fine"][k] for k in codes.number]
    assert names == ["sssss", "sbbbb", "shbbb", "bssss", "sbbbb"]
    coarse = [codes.names["coarse"][codes.parent[k]] for k in codes.number]
    assert coarse == ["sssss", "s----", "s----", "-ssss", "s----"]


def test_a_name_says_the_states_of_the_fingers() -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(50, 63))
    valid = np.ones((50, 21), np.bool_)
    codes = finger_state_codes(table(["train"] * 50, joints_cam=joints, joint_valid=valid))
    states = finger_states(joints.reshape(-1, 21, 3), valid)
    expected = ["".join(STATES[s][0] for s in row) for row in states]
    assert [codes.names["fine"][k] for k in codes.number] == expected
    assert set(codes.number) == set(range(len(codes.names["fine"])))


def test_what_training_has_not_seen_or_nobody_knows_has_no_class() -> None:
    images = fingers(["train", "train", "validation", "test", "test"], 0, 1, 2, 1, 3)
    codes = finger_state_codes(images)
    assert codes.names["fine"] == ["sbbbb", "sssss"]
    assert codes.number.tolist() == [1, 0, NONE, 0, NONE]
    unknown = np.ones((5, 21), np.bool_)
    unknown[0, 20] = False
    joints = images["joints_cam"].combine_chunks().flatten().to_numpy().reshape(5, 63)
    lacking = table(images["split"].to_pylist(), joints_cam=joints, joint_valid=unknown)
    assert finger_state_codes(lacking).number.tolist() == [NONE, 0, NONE, 0, NONE]


def test_joints_that_are_never_complete_make_no_classes() -> None:
    images = fingers(["validation", "test"], 0, 1)
    with pytest.raises(PoseCodeError, match=r"finger_states, but no training image has all 21"):
        finger_state_codes(images)


def poses(splits: list[str], seed: int = 0) -> tuple[pa.Table, NDArray[np.int64]]:
    """Poses around seven centres far apart, and which one each is of."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(0, 1, (7, 45))
    of = rng.permutation(np.arange(len(splits)) % 7)
    near = (centres[of] + rng.normal(0, 0.01, (len(splits), 45))).astype(np.float32)
    return table(splits, hand_pose=near, has_mano=np.ones(len(splits), np.bool_)), of


def test_clusters_are_those_that_are_there_and_a_fine_one_has_one_group() -> None:
    images, of = poses(["train"] * 70 + ["test"] * 14)
    codes = pose_cluster_codes(images, coarse=3, fine=7, seed=0)
    pairs = set(zip(of.tolist(), codes.number.tolist(), strict=True))
    assert len(pairs) == 7 == len({own for _, own in pairs}), "one class a centre"
    assert codes.parent.shape == (7,) and set(codes.parent) == {0, 1, 2}
    assert codes.names["fine"][6] == "cluster_06" and codes.names["coarse"][2] == "group_02"


def test_clusters_come_from_training_and_the_seed() -> None:
    images, _ = poses(["train"] * 70 + ["test"] * 14)
    codes = pose_cluster_codes(images, 3, 5, 0)
    alone = pose_cluster_codes(images.slice(0, 70), 3, 5, 0)
    assert np.array_equal(alone.number, codes.number[:70])
    others = [pose_cluster_codes(images, 3, 5, seed).number for seed in range(1, 5)]
    assert not all(np.array_equal(codes.number, other) for other in others)


def test_a_hand_without_a_fit_has_no_class() -> None:
    images, _ = poses(["train"] * 70)
    fitted = np.arange(70) % 5 > 0
    images = images.set_column(images.column_names.index("has_mano"), "has_mano", pa.array(fitted))
    codes = pose_cluster_codes(images, 3, 7, 0)
    assert np.array_equal(codes.number == NONE, ~fitted)


def test_more_classes_than_poses_are_refused() -> None:
    images, _ = poses(["train"] * 5 + ["test"] * 20)
    with pytest.raises(PoseCodeError, match="the training images have 5 poses for 7 classes"):
        pose_cluster_codes(images, 3, 7, 0)
