"""The annotation files, key by key and type by type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from handpose.hand.skeleton import FROM_INTERHAND, JOINTS, PARENTS
from handpose.synthetic.writer import (
    FrameRecord,
    ImageRecord,
    InterHandWriter,
    WorldCamera,
    WorldManoFit,
    frame_text,
    write_skeleton,
)

K = np.array([[301.0, 0, 79.25], [0, 299, 99.75], [0, 0, 1]])
CAMERA = WorldCamera("400026", np.eye(3)[[1, 2, 0]], np.array([0.1, -0.2, 0.3]), K, (160, 200))
FIT = WorldManoFit(np.linspace(-1, 1, 48), np.arange(10.0), np.array([0.4, 0.5, 0.6]))


def record(
    frame: int, capture: int = 3, fits: dict[str, WorldManoFit | None] | None = None
) -> FrameRecord:
    valid = np.arange(42) < 21
    image = ImageRecord("400026", "a/b.jpg", (160, 200), np.array([1, 2, 30.5, 40]), valid)
    joints = np.where(valid[:, None], 0.001 * np.arange(126).reshape(42, 3), 0)
    return FrameRecord(capture, 1, "0016_fist", frame, "right", True, joints, valid, fits, [image])


def written(folder: Path, records: list[FrameRecord]) -> dict[str, Any]:
    with InterHandWriter(folder, "train") as writer:
        for capture in dict.fromkeys(i.capture for i in records):
            writer.add_capture(capture, [CAMERA])
            for item in records:
                if item.capture == capture:
                    writer.add(frame_text(item))
    return {
        kind: json.loads((folder / f"InterHand2.6M_train_{kind}.json").read_text("utf-8"))
        for kind in ("data", "camera", "joint_3d", "MANO_NeuralAnnot")
    }


def test_every_record_is_found_again(tmp_path: Path) -> None:
    files = written(
        tmp_path,
        [
            record(7, fits={"right": FIT, "left": None}),
            record(12345, fits=None),
            record(7, 4, fits={"right": None, "left": None}),
        ],
    )
    assert files["data"]["images"][1] == {
        "id": files["data"]["images"][1]["id"],
        "file_name": "a/b.jpg",
        "width": 160,
        "height": 200,
        "capture": 3,
        "subject": 1,
        "seq_name": "0016_fist",
        "camera": "400026",
        "frame_idx": 12345,
    }
    assert [a["image_id"] for a in files["data"]["annotations"]] == [
        i["id"] for i in files["data"]["images"]
    ]
    annotation = files["data"]["annotations"][0]
    assert annotation["bbox"] == [1, 2, 30.5, 40]
    assert annotation["joint_valid"] == [[1]] * 21 + [[0]] * 21
    assert (annotation["hand_type"], annotation["hand_type_valid"]) == ("right", 1)
    assert files["camera"]["3"] == {
        "campos": {"400026": [100, -200, 300]},
        "camrot": {"400026": [[0, 1, 0], [0, 0, 1], [1, 0, 0]]},
        "focal": {"400026": [301, 299]},
        "princpt": {"400026": [79.25, 99.75]},
    }
    joints = files["joint_3d"]["3"]["12345"]
    assert joints["world_coord"][2] == [6, 7, 8]  # mm
    assert joints["joint_valid"] == [[True]] * 21 + [[False]] * 21
    assert joints["hand_type_valid"] is True
    assert files["MANO_NeuralAnnot"]["3"] == {
        "7": {
            "right": {
                "pose": np.round(FIT.pose, 7).tolist(),
                "shape": [float(k) for k in range(10)],
                "trans": [0.4, 0.5, 0.6],  # m
            },
            "left": None,
        }
    }
    assert files["MANO_NeuralAnnot"]["4"] == {"7": {"right": None, "left": None}}


def test_ids_are_unique_and_have_gaps_as_the_real_ones(tmp_path: Path) -> None:
    files = written(tmp_path, [record(k, capture) for capture in (0, 1, 2) for k in range(3)])
    ids = [image["id"] for image in files["data"]["images"]]
    assert len(set(ids)) == 9
    assert ids == sorted(ids)
    assert ids != list(range(9))


def test_a_split_without_images_is_still_readable(tmp_path: Path) -> None:
    files = written(tmp_path, [])
    assert files == {
        "data": {"images": [], "annotations": []},
        "camera": {},
        "joint_3d": {},
        "MANO_NeuralAnnot": {},
    }
    assert len(list(tmp_path.iterdir())) == 4  # nothing is left lying about


def test_skeleton_lists_names_and_parents_in_the_order_of_the_files(tmp_path: Path) -> None:
    write_skeleton(tmp_path / "skeleton.txt")
    lines = (tmp_path / "skeleton.txt").read_text("utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    assert [int(row[1]) for row in rows] == list(range(42))
    parents = [int(row[2]) for row in rows]
    for start in (0, 21):
        for ours, theirs in enumerate(FROM_INTERHAND):
            parent = PARENTS[ours]
            expected = -1 if parent < 0 else start + FROM_INTERHAND[parent]
            assert parents[start + theirs] == expected
            name = JOINTS[ours].replace("_tip", "4").replace("_", "")
            assert rows[start + theirs][0].split("_")[0] == name
