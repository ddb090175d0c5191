"""The reader of InterHand2.6M's files: keys of every kind, metres, our joints, plain errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.hand.skeleton import JOINTS
from handpose.interhand.annotations import (
    FILES,
    Annotations,
    DatasetError,
    RecordError,
    annotation_file,
    official_splits,
)
from tests.wrong_files import WRONG, apply_remedy, spoil

IMAGE = {
    "id": 7, "file_name": "Capture3/0003_fake_gun/cam400026/image0751.jpg", "width": 512,
    "height": 334, "capture": 3, "subject": 5, "seq_name": "0003_fake_gun", "camera": "400026",
    "frame_idx": 751,
}  # fmt: skip
HAND = {
    "id": 7, "image_id": 7, "bbox": [1, 2, 3, 4], "hand_type": "right", "hand_type_valid": 1,
    "joint_valid": [[1]] * 20 + [[0]] * 22,
}  # fmt: skip
CAMERAS: dict[str, Any] = {
    "3": {
        "campos": {"400026": [100.0, 200.0, -300.0]},
        "camrot": {"400026": [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]},
        "focal": {"400026": [1261.5, 1262.5]},
        "princpt": {"400026": [155.5, 258.5]},
    }
}
WORLD = [[float(10 * joint), float(joint), 500.0 + joint] for joint in range(42)]
JOINTS_3D: dict[str, Any] = {
    "3": {
        "751": {
            "world_coord": WORLD,
            "joint_valid": [[True]] * 40 + [[False]] * 2,
            "hand_type": "right",
            "hand_type_valid": True,
        }
    }
}
MANO = {
    "3": {
        "751": {
            "right": {"pose": [0.01 * k for k in range(48)], "shape": [0.5] * 10,
                      "trans": [0.1, 0.2, 0.3]},
            "left": None,
        }
    }
}  # fmt: skip


def write(root: Path, split: str = "train", **contents: Any) -> Path:
    """The four files of a split; `contents` replaces some by name, as an object or as text."""
    default = {
        "data": {"images": [IMAGE], "annotations": [HAND]},
        "camera": CAMERAS,
        "joint_3d": JOINTS_3D,
        "MANO_NeuralAnnot": MANO,
    }
    (root / "images").mkdir(parents=True, exist_ok=True)
    for name, content in (default | contents).items():
        path = annotation_file(root, split, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
    return root


def read(root: Path, **contents: Any) -> Annotations:
    return Annotations.read(write(root, **contents), "train")


def rekey(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The same nested content with its only key replaced at each level."""
    (value,) = content.values()
    return {keys[0]: rekey(value, *keys[1:]) if len(keys) > 1 else value}


# --- content -------------------------------------------------------------------------------------


def test_joints_are_in_metres_and_in_our_order(tmp_path: Path) -> None:
    frame = read(tmp_path).frame_joints(3, 751)
    assert frame.joints.shape == (2, 21, 3)
    # InterHand2.6M: thumb4..1, index4..1, ..., wrist; the left hand 21 further on
    theirs = [
        f"{f}{k}" for f in ("thumb", "index", "middle", "ring", "pinky") for k in (4, 3, 2, 1)
    ]
    theirs += ["wrist"]
    for index, name in enumerate(JOINTS):
        finger, _, level = name.partition("_")
        there = theirs.index({"tip": f"{finger}4", "": "wrist"}.get(level, f"{finger}{level}"))
        for hand in (0, 1):
            expected = np.array(WORLD[there + 21 * hand]) / 1000
            np.testing.assert_allclose(frame.joints[hand, index], expected)
    assert frame.joint_valid[0].all()
    lost = [JOINTS[i] for i in np.flatnonzero(~frame.joint_valid[1])]
    assert lost == ["wrist", "pinky_1"]  # their joints 40 and 41


def test_a_camera_has_its_centre_in_metres(tmp_path: Path) -> None:
    K, R, C = read(tmp_path).camera(3, "400026")
    np.testing.assert_allclose(K, [[1261.5, 0.0, 155.5], [0.0, 1262.5, 258.5], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(R @ [1, 0, 0], [0, -1, 0])
    np.testing.assert_allclose(C, [0.1, 0.2, -0.3])


def test_a_fit_is_in_metres_already(tmp_path: Path) -> None:
    annotations = read(tmp_path)
    fit = annotations.fit(3, 751, "right")
    assert fit is not None
    np.testing.assert_allclose(fit.global_orient, [0, 0.01, 0.02])
    np.testing.assert_allclose(fit.hand_pose, 0.01 * np.arange(3, 48))
    np.testing.assert_allclose(fit.transl, [0.1, 0.2, 0.3])
    assert annotations.fit(3, 751, "left") is None  # null
    assert annotations.fit(3, 752, "right") is None  # no such frame
    assert annotations.fit(4, 751, "right") is None  # no such capture


@pytest.mark.parametrize("frame", ["751", "0751", "00751"])
def test_keys_may_be_padded(tmp_path: Path, frame: str) -> None:
    annotations = read(
        tmp_path,
        joint_3d=rekey(JOINTS_3D, "03", frame),
        MANO_NeuralAnnot=rekey(MANO, "03", frame),
        camera=rekey(CAMERAS, "03"),
    )
    assert annotations.frame_joints(3, 751).joint_valid[0].all()
    assert annotations.fit(3, 751, "right") is not None
    assert annotations.camera(3, "400026").K[0, 0] == 1261.5


@pytest.mark.parametrize("flags", [[1] * 42, [True] * 42, [[True]] * 42, [[1.0]] * 42])
def test_flags_may_be_bare_or_nested(tmp_path: Path, flags: list[Any]) -> None:
    data = {"images": [IMAGE], "annotations": [HAND | {"joint_valid": flags}]}
    frame = JOINTS_3D["3"]["751"] | {"joint_valid": flags}
    annotations = read(tmp_path, data=data, joint_3d={"3": {"751": frame}})
    assert annotations.hands[0]["joint_valid"] == bytes([1] * 42)
    assert annotations.frame_joints(3, 751).joint_valid.all()


# --- records that cannot be used -----------------------------------------------------------------


def reason(annotations: Annotations, look_up: str, *key: Any) -> str:
    with pytest.raises(RecordError) as error:
        getattr(annotations, look_up)(*key)
    assert error.value.detail
    return error.value.reason


def test_look_ups_that_find_nothing_say_what_is_missing(tmp_path: Path) -> None:
    annotations = read(tmp_path)
    assert reason(annotations, "image", 8) == "dangling_image_id"
    assert reason(annotations, "image", [8]) == "dangling_image_id"
    assert reason(annotations, "camera", 3, "400027") == "no_camera"
    assert reason(annotations, "camera", 4, "400026") == "no_camera"
    assert reason(annotations, "frame_joints", 3, 752) == "no_joint_3d"
    assert reason(annotations, "frame_joints", 4, 751) == "no_joint_3d"


def test_two_images_with_one_id_are_ambiguous(tmp_path: Path) -> None:
    annotations = read(tmp_path, data={"images": [IMAGE, IMAGE], "annotations": [HAND]})
    assert reason(annotations, "image", 7) == "duplicate_image_id"


@pytest.mark.parametrize("odd", [[7], {"id": 7}, None, "7"])
def test_an_image_with_no_number_for_an_id_is_nobodys(tmp_path: Path, odd: Any) -> None:
    annotations = read(tmp_path, data={"images": [IMAGE | {"id": odd}], "annotations": [HAND]})
    assert reason(annotations, "image", 7) == "dangling_image_id"


def test_nan_is_found_at_its_record(tmp_path: Path) -> None:
    def spoilt(content: Any, number: str) -> str:
        return json.dumps(content).replace(number, "NaN", 1)

    annotations = read(
        tmp_path,
        camera=spoilt(CAMERAS, "1261.5"),
        MANO_NeuralAnnot=spoilt(MANO, "0.2"),
        joint_3d=spoilt(JOINTS_3D, "500.0"),
    )
    assert reason(annotations, "camera", 3, "400026") == "nan_in_camera"
    assert reason(annotations, "fit", 3, 751, "right") == "nan_in_mano"
    assert (
        np.isnan(annotations.frame_joints(3, 751).joints).sum() == 1
    )  # matters only if it is valid


@pytest.mark.parametrize(
    ("name", "content", "look_up", "key"),
    [
        ("joint_3d", {"3": {"751": {"world_coord": WORLD[:41], "joint_valid": [[1]] * 42}}},
         "frame_joints", (3, 751)),
        ("joint_3d", {"3": {"751": {"world_coord": WORLD, "joint_valid": [[1]] * 41}}},
         "frame_joints", (3, 751)),
        ("joint_3d", {"3": {"751": {"world_coord": "none", "joint_valid": [[1]] * 42}}},
         "frame_joints", (3, 751)),
        ("MANO_NeuralAnnot", {"3": {"751": {"right": {"pose": [0.0] * 45, "shape": [0.0] * 10,
                                                      "trans": [0, 0, 0]}}}},
         "fit", (3, 751, "right")),
        ("camera", {"3": CAMERAS["3"] | {"focal": {"400026": 1261.5}}}, "camera", (3, "400026")),
    ],
)  # fmt: skip
def test_numbers_of_another_shape_are_malformed(
    tmp_path: Path, name: str, content: Any, look_up: str, key: tuple[Any, ...]
) -> None:
    expected = "malformed_mano" if look_up == "fit" else "malformed"
    assert reason(read(tmp_path, **{name: content}), look_up, *key) == expected


# --- files that cannot be used -------------------------------------------------------------------


def test_broken_json_is_reported_with_its_place(tmp_path: Path) -> None:
    whole = json.dumps(JOINTS_3D)
    with pytest.raises(DatasetError) as error:
        read(tmp_path, joint_3d=whole[:200] + "}" + whole[200:])
    path = annotation_file(tmp_path, "train", "joint_3d")
    assert str(error.value).startswith(f"{path}:1:")
    assert "is not JSON" in str(error.value)
    assert whole[180:200] in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data", [], "expected an object with lists"),
        (
            "data",
            {"images": [], "annotations": [1]},
            "expected an object with lists 'images' and 'annotations'",
        ),
        ("camera", [1], r"holds lists where v1\.0 has objects, as .* early release .* of v1\.0"),
        ("joint_3d", {"3": [JOINTS_3D["3"]["751"]]}, r"holds lists where v1\.0 has objects"),
        ("camera", 3, "expected objects keyed by numbers, found int; is it another file"),
        ("joint_3d", {"3": {"first": {}}}, "keyed by numbers, found the key 'first'"),
        ("camera", {"images": []}, "keyed by numbers, found the key 'images'; is it another file"),
        ("joint_3d", {"3": {"7": {}, "07": {}}}, "a capture or frame is there twice"),
    ],
)
def test_a_file_of_another_build_is_reported(
    tmp_path: Path, name: str, content: Any, message: str
) -> None:
    with pytest.raises(DatasetError, match=message) as error:
        read(tmp_path, **{name: content})
    assert str(annotation_file(tmp_path, "train", name)) in str(error.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_broke_off_is_reported_as_such(tmp_path: Path, name: str, share: float) -> None:
    path = annotation_file(write(tmp_path), "train", name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DatasetError, match=r"ends in the middle, after .* unpack the annotations"):
        Annotations.read(tmp_path, "train")


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_kind_is_called_by_its_name_and_the_remedy_works(
    tmp_path: Path, name: str, kind: str
) -> None:
    path = annotation_file(write(tmp_path), "train", name)
    whole = path.read_bytes()
    spoil(path, kind)
    with pytest.raises(DatasetError) as error:
        Annotations.read(tmp_path, "train")
    assert f"{path}: {WRONG[kind]}" in str(error.value)
    apply_remedy(str(error.value), path, whole)
    Annotations.read(tmp_path, "train")


def test_joints_of_an_early_release_are_reported_as_such(tmp_path: Path) -> None:
    """Frames as lists of joints: neither missing nor malformed."""
    found = read(tmp_path, joint_3d={"3": {"751": WORLD}})
    assert reason(found, "frame_joints", 3, 751) == "early_release"


def test_missing_files_are_all_named_and_the_remedy_too(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, split="val")
    for split, name in (("train", "camera"), ("val", "MANO_NeuralAnnot")):
        annotation_file(tmp_path, split, name).unlink()
    with pytest.raises(DatasetError) as error:
        official_splits(tmp_path)
    assert "InterHand2.6M_train_camera.json, " in str(error.value)
    assert "InterHand2.6M_val_MANO_NeuralAnnot.json. data.root in params.yaml" in str(error.value)
    assert "`dvc repro` makes" in str(error.value)


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"^not found: .*/nowhere\. data\.root in params\.yaml"):
        official_splits(tmp_path / "nowhere")


def test_val_and_test_may_be_absent(tmp_path: Path) -> None:
    write(tmp_path)
    assert official_splits(tmp_path) == ["train"]
    write(tmp_path, split="test")
    assert official_splits(tmp_path) == ["train", "test"]
    assert len(FILES) == 4


def test_a_file_in_another_encoding_is_reported(tmp_path: Path) -> None:
    write(tmp_path)
    annotation_file(tmp_path, "train", "camera").write_bytes(b'{"3": "\xfc"}')
    with pytest.raises(DatasetError, match=r"train_camera\.json: byte 7 is not UTF-8"):
        Annotations.read(tmp_path, "train")
