"""HO-3D as it is written -> neutral annotations, both versions, and every doubt about its files."""

from __future__ import annotations

import json
import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.data.camera_frame import RestWrist, to_camera_frame
from handpose.data.merged.fit_form import in_mano_form
from handpose.hand.mano import Mano
from handpose.ho3d.frame import TRAIN_SHAPES, Ho3dError, read_frame
from handpose.ho3d.reader import Ho3dReader, Version
from stages.ingestion.camera_boxes import off_cameras
from stages.ingestion.fit_distance import fitted_joints
from tests.ho3d.made_up_ho3d import OPENGL, write_ho3d


@pytest.fixture
def root(tmp_path: Path, mano: Mano) -> Path:
    write_ho3d(tmp_path, mano, "v3", evaluation=6, train=6, photos=False)
    return tmp_path


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_hands_of_both_sets_reach_our_axes_and_order(
    tmp_path: Path, mano: Mano, version: Version
) -> None:
    hands = write_ho3d(tmp_path, mano, version, evaluation=7, train=5, photos=False)
    reader = Ho3dReader(tmp_path, version=version, training=True)
    wrist = RestWrist(mano.rest_wrist)
    for split, part in zip(reader.splits(), ("evaluation", "train"), strict=True):
        rows, _ = in_mano_form(reader.read(split).usable, mano)
        found, unusable = to_camera_frame(rows.hands(), wrist, min_valid_joints=21)
        assert unusable == []
        own = hands[part].joints[: len(rows)]
        np.testing.assert_allclose(found.joints_cam, own, atol=1e-9)
        assert found.has_mano.all() == (part == "train")
    assert [split.evaluated_as for split in reader.splits()] == [f"ho3d_{version}", "train"]
    np.testing.assert_allclose(found.global_orient, hands["train"].global_orient, atol=1e-5)
    np.testing.assert_allclose(found.hand_pose, hands["train"].hand_pose, atol=1e-6)
    np.testing.assert_allclose(found.transl, hands["train"].transl, atol=1e-6)


def test_a_flat_pose_and_opengls_axes_pose_the_joints_that_stand_there(
    root: Path, mano: Mano
) -> None:
    reader = Ho3dReader(root, version="v3", training=True)
    rows, _ = in_mano_form(reader.read(reader.splits()[1]).usable, mano)
    posed = fitted_joints(rows.hands().fit, rows.is_left(), mano, "ho3d")
    np.testing.assert_allclose(posed, rows.hands().joints, atol=3e-6)


def test_photos_cameras_and_recordings(root: Path) -> None:
    reader = Ho3dReader(root, version="v3")
    rows = reader.read(reader.splits()[0]).usable.table.to_pydict()
    assert rows["image"][:2] == ["evaluation/SM1/rgb/0000.jpg", "evaluation/MPM10/rgb/0001.jpg"]
    assert rows["camera"][:3] == ["0", "0", "1"]
    assert rows["session"][:3] == [1, 0, 0], "MPM10 and MPM11 are two cameras of one recording"


def test_boxes_hold_the_joints(root: Path) -> None:
    reader = Ho3dReader(root, version="v3")
    rows = reader.read(reader.splits()[0]).usable
    x, y, w, h = rows.boxes()[0]
    assert 0 < x < x + w < 640 and 0 < y < y + h < 480


def test_boxes_of_photos_of_another_size_reject_their_cameras(root: Path) -> None:
    for path in root.glob("evaluation/*/meta/*.pkl"):
        frame = pickle.loads(path.read_bytes())
        frame["handBoundingBox"] = [0.4 * side for side in frame["handBoundingBox"]]
        path.write_bytes(pickle.dumps(frame))
    reader = Ho3dReader(root, version="v3")
    off, unusable = off_cameras(reader.read(reader.splits()[0]).usable, 0.5)
    assert len(off) == 3 and len(unusable) == 6
    assert {one.reason for one in unusable} == {"joints_outside_boxes"}


def test_the_truth_is_in_our_axes_and_order(tmp_path: Path, mano: Mano) -> None:
    hands = write_ho3d(tmp_path, mano, "v2", evaluation=6, photos=False)["evaluation"]
    truth = Ho3dReader(tmp_path, version="v2").truth()
    np.testing.assert_allclose(truth.joints, hands.joints)
    assert truth.vertices is not None
    np.testing.assert_allclose(truth.vertices, hands.vertices)
    assert truth.vertices[..., 2].min() > 0


def test_frames_without_a_hand_are_rejected_with_the_reason(root: Path) -> None:
    path = root / "train/SM1/meta/0000.pkl"
    frame = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({**frame, **dict.fromkeys(TRAIN_SHAPES)}))
    reader = Ho3dReader(root, version="v3", training=True)
    found = reader.read(reader.splits()[1])
    assert len(found.usable) == 5
    (row,) = found.rejected.to_pylist()
    assert (row["reason"], row["annotation_id"]) == ("not_annotated", 0)


@pytest.mark.parametrize(("there", "named"), [("v2", "v3"), ("v3", "v2")])
def test_the_other_version_is_refused(
    tmp_path: Path, mano: Mano, there: Version, named: Version
) -> None:
    write_ho3d(tmp_path, mano, there, evaluation=3)
    reader = Ho3dReader(tmp_path, version=named)
    message = f"is HO-3D {there}, but data.benchmarks names it ho3d_{named}.*Name it ho3d_{there}"
    with pytest.raises(Ho3dError, match=message):
        reader.read(reader.splits()[0])
    with pytest.raises(Ho3dError, match=message):
        reader.truth()


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._path),)


def test_a_pickle_that_would_run_something_is_refused_before_it_does(root: Path) -> None:
    path = root / "evaluation/SM1/meta/0000.pkl"
    made = root / "made_by_the_pickle"
    path.write_bytes(pickle.dumps({"camMat": Hostile(made)}))
    reader = Ho3dReader(root, version="v3")
    with pytest.raises(Ho3dError, match=r"needs posix\.mkdir.*nothing of it was run"):
        reader.read(reader.splits()[0])
    assert not made.exists()


def test_a_pickle_of_the_other_set_is_refused(root: Path) -> None:
    evaluation, train = (root / part / "SM1/meta/0000.pkl" for part in ("evaluation", "train"))
    evaluation.write_bytes(train.read_bytes())
    reader = Ho3dReader(root, version="v3")
    with pytest.raises(Ho3dError, match="has no handBoundingBox"):
        reader.read(reader.splits()[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (pickle.dumps({"camMat": np.eye(3)})[:-30], "ends in the middle|cannot be read"),
        (pickle.dumps([1]), "expected a dictionary, found list"),
        (
            pickle.dumps({"camMat": np.eye(3), "handJoints3D": np.zeros((21, 2))}),
            "has no handPose, handTrans, handBeta",
        ),
        (
            pickle.dumps({"camMat": np.eye(3), **{k: np.zeros((2, 2)) for k in TRAIN_SHAPES}}),
            "handJoints3D: expected 21 x 3 numbers, found float64 of shape",
        ),
    ],
)
def test_a_damaged_frame_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "0000.pkl"
    path.write_bytes(content)
    with pytest.raises(Ho3dError, match=message):
        read_frame(path, TRAIN_SHAPES)


def change_truth(root: Path, factor: Any) -> None:
    path = root / "evaluation_xyz.json"
    path.write_text(json.dumps((np.array(json.loads(path.read_text())) * factor).tolist()))


@pytest.mark.parametrize("factor", [1000.0, OPENGL])
def test_a_truth_in_another_unit_or_in_other_axes_is_refused(root: Path, factor: Any) -> None:
    change_truth(root, factor)
    reader = Ho3dReader(root, version="v3")
    with pytest.raises(Ho3dError, match="in another unit, or in other axes than OpenGL's"):
        reader.read(reader.splits()[0])


def test_a_truth_of_another_length_or_none_is_refused(root: Path) -> None:
    path = root / "evaluation_xyz.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:-1]))
    reader = Ho3dReader(root, version="v3")
    with pytest.raises(Ho3dError, match=r"holds 5 frames, evaluation.txt 6: samples are missing"):
        reader.read(reader.splits()[0])
    path.unlink()
    with pytest.raises(Ho3dError, match="published in November 2024 as a download of its own"):
        reader.read(reader.splits()[0])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("SM1/0000\nSM1/0000\n", "SM1/0000 is listed twice"),
        ("SM1/0000\nSM1-0001\n", r"evaluation.txt:2: expected SEQUENCE/NUMBER, found SM1-0001"),
        ("\n", "lists no frame"),
        ("SM1/0000\nSM1/0099\n", r"0099.pkl: not found, but it is in the list"),
    ],
)
def test_a_list_that_is_none_is_refused(root: Path, lines: str, message: str) -> None:
    (root / "evaluation.txt").write_text(lines)
    reader = Ho3dReader(root, version="v3")
    with pytest.raises(Ho3dError, match=message):
        reader.read(reader.splits()[0])


def test_no_list_is_reported_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(Ho3dError, match=re.escape(f"{tmp_path / 'evaluation.txt'}: not found")):
        Ho3dReader(tmp_path, version="v2").files()
