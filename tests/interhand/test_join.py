"""A million annotations joined by columns: the same as one by one, whatever is wrong with them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.data.annotation_table import ORIGIN
from handpose.interhand import join
from handpose.interhand.annotations import FILES, Annotations, DatasetError, annotation_file
from handpose.interhand.hand_annotation import HandAnnotation, Origin, Reject, hand_annotations
from handpose.interhand.join import read_split
from handpose.interhand.reader import annotation_table
from tests.hands_one_by_one import in_world

Files = dict[str, Any]

FOLDERS = {
    "0003_fake_gun": "right",
    "0103_fake_gun": "left",
    "ROM03_LT_No_Occlusion": "left",
    "0266_dh_pray": "interacting",
}
CAMERAS = ("400026", "410053")


def four_files() -> Files:
    """Two captures of four folders, three frames each, seen by two cameras: 48 annotations."""
    rng = np.random.default_rng(0)
    images: list[Files] = []
    hands: list[Files] = []
    cameras: Files = {}
    joints: Files = {}
    fits: Files = {}
    for capture in (0, 3):
        part = {"campos": (3,), "camrot": (3, 3), "focal": (2,), "princpt": (2,)}
        cameras[str(capture)] = {
            key: {name: rng.normal(size=shape).tolist() for name in CAMERAS}
            for key, shape in part.items()
        }
        joints[str(capture)], fits[str(capture)] = {}, {}
        moments = [(folder, n) for folder in FOLDERS for n in range(3)]
        for frame, (folder, _) in enumerate(moments, start=7 * capture):
            hand = FOLDERS[folder]
            joints[str(capture)][str(frame)] = {
                "world_coord": rng.normal(size=(42, 3)).tolist(),
                "joint_valid": [[bool(flag)] for flag in rng.integers(0, 2, 42)],
                "hand_type": hand,
            }
            fit = {"pose": rng.normal(size=48).tolist(), "shape": [0.5] * 10, "trans": [0, 1, 2.5]}
            fits[str(capture)][str(frame)] = {"right": fit, "left": fit if frame % 2 else None}
            for camera in CAMERAS:
                number = len(images)
                images.append({
                    "id": number, "file_name": f"{folder}/{camera}/{frame}.jpg", "width": 512,
                    "height": 334, "capture": capture, "subject": 5, "seq_name": folder,
                    "camera": camera, "frame_idx": frame,
                })  # fmt: skip
                hands.append({
                    "id": number, "image_id": number, "bbox": [0, 0.5, 1, 1],
                    "joint_valid": [[int(flag)] for flag in rng.integers(0, 2, 42)],
                    "hand_type": hand, "hand_type_valid": 1,
                })  # fmt: skip
    data = {"images": images, "annotations": hands}
    return {"data": data, "camera": cameras, "joint_3d": joints, "MANO_NeuralAnnot": fits}


def write(root: Path, files: Files, dumps: Callable[[Any], str] = json.dumps) -> None:
    for name in FILES:
        path = annotation_file(root, "train", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = files[name]
        path.write_bytes(content if isinstance(content, bytes) else dumps(content).encode())


def in_order(view: HandAnnotation) -> tuple[Any, ...]:
    origin = view.origin
    place = origin.capture, origin.seq_name, origin.frame, origin.camera, origin.annotation_id
    return view.interacting, *place, view.is_left


def neutral(view: HandAnnotation) -> dict[str, Any]:
    """Where a hand comes from, as every data set's reader says it."""
    origin = view.origin
    return {
        "annotation_id": origin.annotation_id,
        "session": origin.capture,
        "subject": origin.subject,
        "sequence": origin.seq_name,
        "camera": origin.camera,
        "frame": origin.frame,
        "image": f"images/train/{origin.file_name}",
        "hand": origin.hand_type,
        "kind": view.kind,
    }


def parts(field: Any) -> tuple[Any, ...]:
    """The arrays of a field, or the field itself."""
    return field if isinstance(field, tuple) else (field,)


def check_same(root: Path, *, each_hand: bool = False) -> list[Reject]:
    """That both ways find the same; the rejects, those of two hands apart."""
    found = list(hand_annotations(Annotations.read(root, "train"), each_hand=each_hand))
    split = read_split(root, "train", each_hand=each_hand)
    slow = sorted((v for v in found if isinstance(v, HandAnnotation)), key=in_order)
    rows = annotation_table(split.rows).in_order()
    found_origins = [
        dict(zip(ORIGIN, values, strict=True))
        for values in zip(*(rows.plain(name).to_pylist() for name in ORIGIN), strict=True)
    ]
    assert found_origins == [neutral(view) for view in slow]
    if slow:
        fields: tuple[tuple[Any, ...], ...] = (rows.hands(), in_world(slow))
        for mine, theirs in zip(*fields, strict=True):
            pairs = (
                [(mine, theirs)] if isinstance(mine, np.ndarray) else zip(mine, theirs, strict=True)
            )
            for one, other in pairs:
                np.testing.assert_array_equal(one, other)
        others = rows.other_hands()
        for k, view in enumerate(slow):
            assert others.joint_valid[k].any() <= view.interacting
            if view.interacting:
                part = [field[1 - int(view.is_left)] for field in view.frame_joints]
                np.testing.assert_array_equal(others.joints[k], part[0])
                np.testing.assert_array_equal(others.joint_valid[k], part[1])
    rejects = [item for item in found if isinstance(item, Reject)]
    columns = [Origin(official_split="train", **row) for row in split.two_hands.to_pylist()]
    by_id = [Reject(origin, "two_hands", "") for origin in columns] + split.rejects
    assert sorted(map(repr, by_id)) == sorted(map(repr, rejects))  # as text: NaN equals NaN there
    return split.rejects


def hand(files: Files, number: int, **changes: Any) -> Any:
    files["data"]["annotations"][number] |= changes


def image(files: Files, number: int, **changes: Any) -> Any:
    files["data"]["images"][number] |= changes


def joint(files: Files, **changes: Any) -> None:
    files["joint_3d"]["0"]["1"] |= changes


def fit(files: Files, value: Any, side: str = "right") -> None:
    files["MANO_NeuralAnnot"]["0"]["1"][side] = value


NAN = float("nan")
FAULTS: dict[str, Callable[[Files], Any]] = {
    "nothing": lambda f: None,
    "other image": lambda f: hand(f, 2, image_id=5),
    "dangling": lambda f: hand(f, 2, image_id=999),
    "dangling text": lambda f: hand(f, 2, image_id="2"),
    "dangling list": lambda f: hand(f, 2, image_id=[2]),
    "image id as float": lambda f: image(f, 2, id=2.0),
    "image id as float, too": lambda f: image(f, 3, id=2.0),
    "image id as float of the annotation": lambda f: hand(f, 2, image_id=2.0),
    "image id is negative": lambda f: (image(f, 2, id=-3), hand(f, 2, image_id=-3)),
    "image without id": lambda f: (f["data"]["images"][2].pop("id"), hand(f, 2, image_id=None)),
    "two images": lambda f: image(f, 3, id=2),
    "two annotations": lambda f: hand(f, 3, id=2),
    "two annotations, the first malformed": lambda f: (
        hand(f, 3, id=2),
        hand(f, 2, joint_valid=[]),
    ),
    "two annotations, one as text": lambda f: hand(f, 3, id="2"),
    "two annotations, one of two hands": lambda f: hand(f, 20, id=2),
    "id as text": lambda f: hand(f, 3, id="0999"),
    "id nan": lambda f: hand(f, 3, id=NAN),
    "id huge": lambda f: hand(f, 3, id=10**30),
    "id true": lambda f: hand(f, 3, id=True),
    "id negative": lambda f: hand(f, 3, id=-4),
    "no id": lambda f: f["data"]["annotations"][3].pop("id"),
    "flags of another number": lambda f: hand(f, 3, joint_valid=[[1]] * 41),
    "flags missing": lambda f: hand(f, 3, joint_valid=None),
    "flags bare": lambda f: hand(f, 3, joint_valid=[1] * 42),
    "flags true": lambda f: hand(f, 3, joint_valid=[[True]] * 42),
    "flags two": lambda f: hand(f, 3, joint_valid=[[2]] + [[1]] * 41),
    "flags of two digits and none": lambda f: hand(f, 3, joint_valid=[[10], []] + [[1]] * 40),
    "flags in all but one": lambda f: f["data"]["annotations"][3].update(
        joint_valid="x", more=[[1]] * 42
    ),
    "brackets in a text": lambda f: image(f, 3, file_name="a}, {b], [c[[d]]e}]"),
    "quotes in a text": lambda f: image(f, 3, seq_name='"\\\n\u00e9\u4e2d'),
    "hand type": lambda f: hand(f, 3, hand_type="foot"),
    "hand type null": lambda f: hand(f, 3, hand_type=None),
    "hand type not valid": lambda f: hand(f, 3, hand_type_valid=0),
    "hand type not valid of two": lambda f: hand(f, 20, hand_type_valid=0),
    "hand type valid true": lambda f: hand(f, 3, hand_type_valid=True),
    "hand type valid nan": lambda f: hand(f, 3, hand_type_valid=NAN),
    "hand contradicts": lambda f: hand(f, 3, hand_type="left"),
    "width text": lambda f: image(f, 3, width="512"),
    "width zero": lambda f: image(f, 3, width=0),
    "height null": lambda f: image(f, 3, height=None),
    "frame text": lambda f: image(f, 3, frame_idx="0001"),
    "frame float": lambda f: image(f, 3, frame_idx=1.0),
    "frame elsewhere": lambda f: image(f, 3, frame_idx=12345),
    "frame huge": lambda f: image(f, 3, frame_idx=1 << 40),
    "capture text": lambda f: image(f, 3, capture="03"),
    "capture elsewhere": lambda f: image(f, 3, capture=8),
    "subject negative": lambda f: image(f, 3, subject=-1),
    "camera number": lambda f: image(f, 3, camera=400026),
    "camera elsewhere": lambda f: image(f, 3, camera="400099"),
    "folder empty": lambda f: image(f, 3, seq_name=""),
    "photo empty": lambda f: image(f, 3, file_name=""),
    "photo missing": lambda f: f["data"]["images"][3].pop("file_name"),
    "camera nan": lambda f: f["camera"]["0"]["focal"]["400026"].__setitem__(0, NAN),
    "camera shape": lambda f: f["camera"]["0"]["campos"].update({"400026": [1]}),
    "no camera": lambda f: f["camera"]["0"]["camrot"].pop("400026"),
    "joints nan": lambda f: f["joint_3d"]["0"]["1"]["world_coord"][3].__setitem__(1, NAN),
    "joints null": lambda f: f["joint_3d"]["0"]["1"]["world_coord"][3].__setitem__(1, None),
    "joints few": lambda f: joint(f, world_coord=[[0, 0, 0]] * 41),
    "joints flat": lambda f: joint(f, world_coord=[0.5] * 126),
    "joint flags bare": lambda f: joint(f, joint_valid=[True] * 42),
    "joint flags numbers": lambda f: joint(f, joint_valid=[[1], [0]] * 21),
    "joint flags few": lambda f: joint(f, joint_valid=[[True]] * 41),
    "joint flags none": lambda f: f["joint_3d"]["0"]["1"].pop("joint_valid"),
    "no joints": lambda f: f["joint_3d"]["0"].pop("1"),
    "no joints of a capture": lambda f: f["joint_3d"].pop("0"),
    "joints null frame": lambda f: f["joint_3d"]["0"].update({"1": None}),
    "joints padded": lambda f: f["joint_3d"]["0"].update({"0001": f["joint_3d"]["0"].pop("1")}),
    "joints of text": lambda f: joint(f, note="} ]"),
    "fit null": lambda f: fit(f, None),
    "fit empty": lambda f: fit(f, {}),
    "fit number": lambda f: fit(f, 5),
    "fit nan": lambda f: fit(f, {"pose": [NAN] * 48, "shape": [0] * 10, "trans": [0] * 3}),
    "fit infinite": lambda f: fit(f, {"pose": [1e308 * 10] * 48, "shape": [0] * 10, "trans": [0]}),
    "fit short": lambda f: fit(f, {"pose": [0] * 45, "shape": [0] * 10, "trans": [0] * 3}),
    "fit frame null": lambda f: f["MANO_NeuralAnnot"]["0"].update({"1": None}),
    "fit frame list": lambda f: f["MANO_NeuralAnnot"]["0"].update({"1": [1]}),
    "no fits": lambda f: f.update(MANO_NeuralAnnot={}),
    "no fits of a capture": lambda f: f["MANO_NeuralAnnot"].update({"0": {}}),
    "annotations reversed": lambda f: f["data"]["annotations"].reverse(),
    "no annotation": lambda f: f["data"].update(annotations=[]),
    "no image": lambda f: f["data"].update(images=[]),
    "a further list": lambda f: f["data"].update(categories=[{"id": 1}]),
    "a further object": lambda f: f["data"].update(info={"year": 2020}),
    "a further key of a record": lambda f: hand(f, 3, segmentation=[[1, 2]], other={"a": None}),
    "lists the other way round": lambda f: f.update(data=dict(reversed(f["data"].items()))),
}


@pytest.fixture(scope="module")
def whole() -> Files:
    return four_files()


@pytest.mark.parametrize("fault", FAULTS)
def test_columns_and_records_find_the_same(tmp_path: Path, whole: Files, fault: str) -> None:
    files = copy.deepcopy(whole)
    FAULTS[fault](files)
    write(tmp_path, files)
    check_same(tmp_path)
    check_same(tmp_path, each_hand=True)


@pytest.mark.parametrize("fault", FAULTS)
def test_both_hands_of_a_faulty_annotation_are_found_alike(
    tmp_path: Path, whole: Files, fault: str
) -> None:
    """The same faults, where each annotation is of both hands."""
    files = copy.deepcopy(whole)
    for one in files["data"]["annotations"]:
        one["hand_type"] = "interacting"
    FAULTS[fault](files)
    write(tmp_path, files)
    check_same(tmp_path, each_hand=True)


def test_both_hands_share_the_photo_and_have_joints_flags_and_fits_of_their_own(
    tmp_path: Path, whole: Files
) -> None:
    files = copy.deepcopy(whole)
    hand(files, 18, hand_type_valid=0)  # of 42 joints: it says nothing of one hand
    write(tmp_path, files)
    without, rows = (
        annotation_table(read_split(tmp_path, "train", each_hand=both).rows).in_order()
        for both in (False, True)
    )
    one, two = len(without), rows.is_kind("interacting").sum()
    assert (one, two) == (36, 24)
    first = rows.slice(0, one)  # as without the others: their numbers stay
    found, expected = (part.table.drop_columns(["camera_at"]) for part in (first, without))
    assert found.to_pydict() == expected.to_pydict()
    np.testing.assert_array_equal(first.hands().camera.K, without.hands().camera.K)
    columns = rows.slice(one, one + two).table.to_pydict()
    for name in ("annotation_id", "image", "camera_at", "box", "width"):
        assert columns[name][::2] == columns[name][1::2]
    assert columns["hand"] == ["right", "left"] * 12
    assert columns["joints_at"][::2] == columns["other_at"][1::2]
    assert columns["joints_at"][1::2] == columns["other_at"][::2]
    assert columns["fit_at"][::2] != columns["fit_at"][1::2]
    assert set(without.table["other_at"].to_pylist()) == {-1}


@pytest.mark.parametrize("size", [1, 5, 5000])
def test_every_fault_at_once_and_batches_of_any_size(
    tmp_path: Path, whole: Files, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handpose.interhand.raw_json.BATCH", size)
    files = copy.deepcopy(whole)
    for number, name in enumerate(("seq_name", "camera", "frame_idx", "capture", "width")):
        image(files, 2 * number, **{name: "70"})
    hand(files, 30, id=31, hand_type_valid=0)
    hand(files, 33, image_id=999)
    write(tmp_path, files)
    assert {"duplicate_annotation_id", "dangling_image_id", "no_joint_3d", "no_camera"} <= {
        reject.reason for reject in check_same(tmp_path)
    }


@pytest.mark.parametrize(
    "dumps",
    [
        lambda content: json.dumps(content, separators=(",", ":")),
        lambda content: json.dumps(content, indent=1),
        lambda content: json.dumps(content, indent="\t", sort_keys=True),
        lambda content: " \n" + json.dumps(content) + "\n\n",
        lambda content: "\ufeff" + json.dumps(content),
    ],
)
def test_files_may_be_spaced_in_any_way(
    tmp_path: Path, whole: Files, dumps: Callable[[Any], str]
) -> None:
    write(tmp_path, whole, dumps)
    assert check_same(tmp_path) == []


def test_what_is_as_it_should_be_goes_by_columns(
    tmp_path: Path, whole: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fall-back is taken silently for the files of everyone."""

    def never(*_: Any) -> Any:
        raise AssertionError("not by columns")

    for function in (
        "data_columns.load_data",
        "data_columns.parse",
        "frame_columns.load_frames",
        "frame_columns.parse_frame_joints",
    ):
        monkeypatch.setattr(f"handpose.interhand.{function}", never)
    write(tmp_path, whole)
    split = read_split(tmp_path, "train")
    assert len(split.rows) == 36 and len(split.two_hands) == 12 and split.rejects == []
    assert join.NO_IMAGE != join.NO_ID


@pytest.mark.parametrize("name", FILES)
def test_damaged_bytes_are_reported_or_change_both_ways_alike(
    tmp_path: Path, whole: Files, name: str
) -> None:
    """Sixty files with one stretch of bytes overwritten, left out or cut off."""
    files = {kind: json.dumps(content).encode() for kind, content in whole.items()}
    write(tmp_path, files)
    sound, path = files[name], annotation_file(tmp_path, "train", name)
    rng = np.random.default_rng(0)
    reported = 0
    for _ in range(60):
        start = int(rng.integers(len(sound)))
        length = int(rng.choice([1, 1, 2, 500, 5000]))
        filling = rng.choice(
            [b"", b"\0", b"x", b"}", b"]", b",", b"1", b" ", b'"', b"\xff", b"null"]
        )
        path.write_bytes(sound[:start] + bytes(filling) + sound[start + length :])
        try:
            Annotations.read(tmp_path, "train")
        except DatasetError as error:
            reported += 1
            with pytest.raises(DatasetError) as mine:
                read_split(tmp_path, "train")
            assert str(mine.value) == str(error)
        else:
            check_same(tmp_path)
    assert reported > 10
