"""Views of one hand: which annotations are used, and the reason for each that is not."""

from __future__ import annotations

from typing import Any

import pytest

from handpose.interhand.annotations import Annotations
from handpose.interhand.folders import folder_kind
from handpose.interhand.hand_annotation import (
    UNKNOWN,
    HandAnnotation,
    Reject,
    hand_annotations,
)

IMAGE = {
    "id": 7, "file_name": "Capture3/0003_fake_gun/cam400026/image0751.jpg", "width": 512,
    "height": 334, "capture": 3, "subject": 5, "seq_name": "0003_fake_gun", "camera": "400026",
    "frame_idx": 751,
}  # fmt: skip
HAND = {
    "id": 9, "image_id": 7, "hand_type": "right", "hand_type_valid": 1,
    "joint_valid": bytes([1] * 21 + [0] * 21),
}  # fmt: skip
CAMERA = {
    "campos": {"400026": [0, 0, 0]},
    "camrot": {"400026": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
    "focal": {"400026": [1000, 1000]},
    "princpt": {"400026": [256, 167]},
}
FRAME = {"world_coord": [[0, 0, 500]] * 42, "joint_valid": [1] * 42}
FIT = {"pose": [0] * 48, "shape": [0] * 10, "trans": [0, 0, 0.5]}


def joined(
    hands: list[dict[str, Any]], image: dict[str, Any], fits: dict[int, Any] | None = None
) -> Annotations:
    return Annotations(
        "train",
        {"images": [IMAGE | image], "annotations": hands},
        cameras={3: CAMERA},
        joints={3: {751: FRAME}},
        fits={3: fits if fits is not None else {751: {"right": FIT, "left": None}}},
    )


def one(image: dict[str, Any] | None = None, **hand: Any) -> HandAnnotation | Reject:
    (found,) = hand_annotations(joined([HAND | hand], image or {}))
    return found


def test_a_view_joins_image_camera_joints_and_fit() -> None:
    view = one()
    assert isinstance(view, HandAnnotation)
    assert view.origin == (
        9, "train", 3, 5, "0003_fake_gun", "400026", 751, IMAGE["file_name"], "right",
    )  # fmt: skip
    assert (view.kind, view.width, view.height, view.is_left) == ("gesture", 512, 334, False)
    assert view.visible == HAND["joint_valid"]
    assert view.camera.K[0, 0] == 1000
    assert view.frame_joints.joints[0, 0, 2] == 0.5
    assert view.fit is not None and view.fit.transl[2] == 0.5


def test_numbers_may_be_written_as_text() -> None:
    view = one(image={"capture": "3", "frame_idx": "0751", "camera": 400026})
    assert isinstance(view, HandAnnotation)
    assert (view.origin.capture, view.origin.frame, view.origin.camera) == (3, 751, "400026")


@pytest.mark.parametrize("fits", [{}, {751: None}, {751: {}}, {751: {"right": None}}])
def test_a_missing_fit_is_no_reason(fits: dict[int, Any]) -> None:
    (view,) = hand_annotations(joined([HAND], {}, fits))
    assert isinstance(view, HandAnnotation)
    assert view.fit is None


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"image_id": 8}, "dangling_image_id", "no image has the id 8"),
        ({"hand_type": "interacting"}, "two_hands", ""),
        ({"hand_type_valid": 0}, "hand_type_not_valid", "hand_type_valid is 0"),
        ({"hand_type": "foot"}, "malformed", "hand_type is 'foot', expected right or left"),
        ({"hand_type": "left"}, "hand_contradicts_folder",
         "a left hand in 0003_fake_gun, a right-hand folder"),
        ({"joint_valid": [[1]] * 42}, "malformed", "joint_valid (42 flags)"),
        ({"joint_valid": bytes(21)}, "malformed", "joint_valid (42 flags)"),
        ({"joint_valid": None}, "malformed", "joint_valid (42 flags)"),
        ({"id": float("nan")}, "malformed", "annotation_id"),
        ({"image": {"frame_idx": 752}}, "no_joint_3d", "frame 752 of capture 3"),
        ({"image": {"camera": "400027"}}, "no_camera", "camera 400027 of capture 3"),
        ({"image": {"frame_idx": float("nan")}}, "malformed", "frame"),
        ({"image": {"subject": None}}, "malformed", "subject"),
        ({"image": {"width": 0}}, "malformed", "width"),
        ({"image": {"height": "tall"}}, "malformed", "height"),
        ({"image": {"seq_name": ""}}, "malformed", "seq_name"),
        ({"image": {"capture": 3.5}}, "malformed", "capture"),
    ],
)  # fmt: skip
def test_each_reject_has_its_reason(changes: dict[str, Any], reason: str, detail: str) -> None:
    reject = one(**changes)
    assert isinstance(reject, Reject)
    assert reject.reason == reason
    assert detail in reject.detail
    assert reject.origin.official_split == "train"


def test_a_dangling_annotation_gives_what_it_can() -> None:
    reject = one(image_id=8)
    assert isinstance(reject, Reject)
    assert (reject.origin.annotation_id, reject.origin.capture) == (9, UNKNOWN)


def test_the_second_annotation_with_an_id_is_rejected() -> None:
    first, second = hand_annotations(joined([HAND, HAND], {}))
    assert isinstance(first, HandAnnotation)
    assert isinstance(second, Reject) and second.reason == "duplicate_annotation_id"


def test_every_annotation_comes_out_in_its_order() -> None:
    hands = [HAND | {"id": n, "image_id": 7 + n % 2} for n in range(6)]
    found = list(hand_annotations(joined(hands, {})))
    assert [item.origin.annotation_id for item in found] == list(range(6))
    assert [isinstance(item, HandAnnotation) for item in found] == [True, False] * 3


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("0003_fake_gun", "gesture"),
        ("0158_middlefinger", "gesture"),
        ("0266_dh_pray", "two_hands"),
        ("0390_dh_touchROM", "two_hands"),
        ("ROM03_LT_No_Occlusion", "rom"),
        ("rom07_Rt_Finger_Occlusions", "rom"),
        ("my_own_wave", "gesture"),  # so that the gesture map is asked about it
    ],
)
def test_kind_of_a_folder(folder: str, kind: str) -> None:
    assert folder_kind(folder) == kind


def test_rom_folders_may_show_either_hand() -> None:
    for hand in ("right", "left"):
        assert isinstance(
            one({"seq_name": "ROM03_LT_No_Occlusion"}, hand_type=hand), HandAnnotation
        )
