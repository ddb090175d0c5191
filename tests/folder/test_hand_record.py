"""A line of hands.jsonl: defaults, and every fault with its key and what was expected."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from handpose.folder.hand_record import FolderRecord, RecordFault, parse
from tests.folder.plain_line import LINE, MANO


def read(**changes: Any) -> FolderRecord:
    """The line with changed keys; a change to ... removes the key."""
    record = {key: value for key, value in (LINE | changes).items() if value is not ...}
    return parse(json.dumps(record), 7)


def test_the_required_keys_are_enough() -> None:
    record = read()
    assert record.image == "images/day1/0001.jpg"
    assert (record.width, record.height, record.subject, record.side) == (64, 48, 3, "right")
    np.testing.assert_array_equal(record.joints.joints, LINE["joints"])
    assert record.joints.joint_valid.all() and record.joints.joint_valid.shape == (21,)
    np.testing.assert_array_equal(record.camera.K, LINE["K"])
    np.testing.assert_array_equal(record.camera.R, np.eye(3))
    assert not record.camera.C.any()
    assert record.fit is None
    assert (record.sequence, record.is_gesture, record.split) == ("free_motion", False, "train")
    assert (record.session, record.camera_name, record.frame) == (0, "0", 7)


def test_every_optional_key_is_read() -> None:
    turn = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    record = read(
        joint_valid=[True] * 20 + [False], R=turn, C=[0.1, 0.2, 0.3], mano=MANO, gesture="wave",
        session=2, camera="top", frame=5, split="lab_test",
    )  # fmt: skip
    assert record.joints.joint_valid.tolist() == [True] * 20 + [False]
    assert record.camera.R.tolist() == turn and record.camera.C.tolist() == [0.1, 0.2, 0.3]
    assert record.fit is not None and record.fit.transl.tolist() == [0, 0, 0.6]
    assert (record.sequence, record.is_gesture, record.split) == ("wave", True, "lab_test")
    assert (record.session, record.camera_name, record.frame) == (2, "top", 5)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"image": "/a.jpg"}, 'image: expected a path below images/, found "/a.jpg"'),
        ({"image": "../a.jpg"}, "image: expected a path below images/"),
        ({"image": 3}, "image: expected a text, found 3"),
        (
            {"image": "images/a.jpg"},
            'image: expected a path below images/, found "images/a.jpg"; leave the leading images/',
        ),
        ({"size": [64]}, r"size: expected [width, height] in px, found [64]"),
        ({"size": [64, 0]}, "size: expected a whole number from 1 up, found 0"),
        ({"K": [[1, 0], [0, 1]]}, "K: expected 3 x 3 finite numbers (px: [[fx, 0, cx]"),
        ({"K": np.eye(3)[::-1].tolist()}, "K: expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in"),
        ({"joints": [[0, 0, 1]] * 20}, "joints: expected 21 x 3 finite numbers (m), found [[0, 0"),
        ({"joints": [[0, 0, float("nan")]] * 21}, "joints: expected 21 x 3 finite numbers (m)"),
        ({"joints": [[0, 0, None]] * 21}, "joints: expected 21 x 3 finite numbers (m)"),
        (
            {"joints": [[9 * k, 0, 600] for k in range(21)]},
            "joints: expected metres, found a hand of 180 m; divide millimetres by 1000",
        ),
        ({"joint_valid": [True] * 20}, "joint_valid: expected 21 times true or false, found [true"),
        (
            {"joint_valid": [[True]] * 21},
            "joint_valid: expected 21 times true or false, found [[",
        ),
        ({"joint_valid": [1] * 21}, "joint_valid: expected 21 times true or false, found [1"),
        ({"joints": [[0, 0, 10**400]] * 21}, "joints: expected 21 x 3 finite numbers (m)"),
        ({"joints": [[0, 0.5, 10**400]] * 21}, "joints: expected 21 x 3 finite numbers (m)"),
        ({"joints": [["0", "0", "1"]] * 21}, "joints: expected 21 x 3 finite numbers (m), found"),
        ({"subject": 10**400}, "subject: expected a whole number from 0 up, found 1000"),
        ({"subject": "anna"}, 'subject: expected a whole number from 0 up, found "anna"'),
        ({"subject": True}, "subject: expected a whole number from 0 up, found true"),
        ({"side": "Right"}, 'side: expected right or left, found "Right"'),
        ({"side": ..., "K": ...}, "K, side: missing"),
        ({"hand": "right"}, "hand: unknown key; remove it"),
        ({"gestures": "wave"}, "gestures: unknown key; did you mean gesture?"),
        ({"gesture": "a", "sequence": "b"}, 'sequence: found "b" beside gesture "a", expected one'),
        ({"R": np.eye(3).tolist()}, "C: missing; R and C go together"),
        ({"C": [0, 0, 0]}, "R: missing; R and C go together"),
        (
            {"R": (2 * np.eye(3)).tolist(), "C": [0, 0, 0]},
            "R: expected a rotation, world to ca",
        ),
        ({"R": (-np.eye(3)).tolist(), "C": [0, 0, 0]}, "R: expected a rotation, world to ca"),
        ({"mano": {"betas": [0] * 10}}, "mano: expected an object with the keys global_orient, ha"),
        ({"mano": MANO | {"hand_pose": [0] * 48}}, "mano.hand_pose: expected 45 finite numbers (a"),
        ({"split": "validation"}, "split: validation is made of the subjects in ingest.validation"),
        (
            {"split": "Lab test"},
            "split: expected lower-case letters, digits and underscores, fou",
        ),
    ],
)
def test_faults_are_named(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(RecordFault) as error:
        read(**changes)
    assert str(error.value).startswith(fault)


def test_what_is_not_an_object_is_refused() -> None:
    with pytest.raises(RecordFault, match=r"is not JSON \(Expecting value at column 1\)"):
        parse("oops", 1)
    with pytest.raises(RecordFault, match=r"expected an object with keys, found \[1\]"):
        parse("[1]", 1)
    with pytest.raises(RecordFault, match="is not JSON that can be read"):
        parse('{"subject": ' + "9" * 5000 + "}", 1)
    with pytest.raises(RecordFault, match="is not JSON that can be read"):
        parse("[" * 200_000, 1)


def test_joints_that_are_not_valid_may_be_anywhere() -> None:
    joints = [[0.0, 0.0, 0.6]] * 20 + [[9.0, 9.0, 9.0]]
    assert read(joints=joints, joint_valid=[True] * 20 + [False]).joints.joints[20, 0] == 9


@pytest.mark.parametrize(
    "changes",
    [
        {"joints": [["0", "0", "1"]] * 21},
        {"K": [["100", "0", "32"], ["0", "100", "24"], ["0", "0", "1"]]},
        {"subject": "3"},
        {"size": ["64", "48"]},
    ],
)
def test_numbers_that_are_text_are_called_so(changes: dict[str, Any]) -> None:
    with pytest.raises(RecordFault, match=r"; numbers are text here: write them without quotes$"):
        read(**changes)


def test_words_in_place_of_numbers_are_no_numbers() -> None:
    with pytest.raises(RecordFault, match=r'found "anna"$'):
        read(subject="anna")
