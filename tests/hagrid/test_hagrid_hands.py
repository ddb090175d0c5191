"""HaGRID's hands: read from its own layout, and their side from what is seen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.hagrid.hagrid_hands import HagridError, HagridHands, read_hagrid, side_of
from handpose.hagrid.hagrid_map import folder_of
from handpose.hand.camera import project
from handpose.hand.facing import FACINGS, facing
from handpose.sample import HandBatch
from tests.hagrid.made_up_hagrid import drawn_hand, entry, write_hagrid

FOLDERS = {
    folder_of(gesture, hand)
    for gesture in ("palm", "stop_inverted", "fist")
    for hand in ("left", "right")
}


def test_the_side_of_a_hand_follows_from_the_face_that_is_seen(
    make_batch: Callable[..., HandBatch],
) -> None:
    """Of hands turned at random, those of which `facing` knows the face by their 3D joints."""
    batch = make_batch(n=200)
    faces = facing(batch.joints_cam, batch.joint_valid, batch.is_left).tolist()
    points = project(batch.joints_cam, batch.K).numpy().astype(np.float64)
    determined = 0
    for uv, face, is_left in zip(points, faces, batch.is_left.tolist(), strict=True):
        if FACINGS[face] == "edge":
            continue
        found = side_of(uv, FACINGS[face])
        assert found in (None, is_left)
        determined += found is not None
        assert side_of(uv, "") is None
        if found is not None:
            other = "back" if FACINGS[face] == "palm" else "palm"
            assert side_of(uv, other) is not is_left, "the other face is of the other hand"
            assert side_of(uv * (-1, 1), FACINGS[face]) is not is_left, "and so is its mirror image"
    assert determined > 100


def read(root: Path, **more: Any) -> HagridHands:
    return read_hagrid(root, FOLDERS, split="train", **more)


def one_photo(root: Path, gesture: str, content: Any) -> HagridHands:
    """A folder whose only file has this photo."""
    path = root / "hagrid_annotations" / "train" / f"{gesture}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"a-photo": content}), encoding="utf-8")
    return read(root)


def test_hands_have_their_gesture_side_person_and_the_box_of_their_landmarks(
    tmp_path: Path,
) -> None:
    write_hagrid(tmp_path, {"palm": False, "stop_inverted": True})
    found = read(tmp_path)
    assert [hand.gesture for hand in found.hands] == ["palm"] * 4 + ["stop_inverted"] * 4
    assert [hand.is_left for hand in found.hands] == [False, True] * 4
    assert found.hands[1].user == "train-user-1"
    for hand in found.hands:
        assert (tmp_path / hand.photo).is_file()
    points = drawn_hand(is_left=False, back=False, at=(0.5, 0.7))
    assert found.hands[0].box == pytest.approx([*points.min(0), *np.ptp(points, axis=0)])
    assert dict(found.unused) == {"no_file_of_fist": 1}


def test_at_most_so_many_of_each_gesture_and_the_same_for_a_seed(tmp_path: Path) -> None:
    write_hagrid(tmp_path, {"palm": False, "stop_inverted": True}, photos=9)
    few = read(tmp_path, most=3, seed=1)
    assert [hand.gesture for hand in few.hands] == ["palm"] * 3 + ["stop_inverted"] * 3
    assert few.unused["more_than_asked_for"] == 12
    again, other = (read(tmp_path, most=3, seed=seed) for seed in (1, 2))
    photos = [[hand.photo for hand in one.hands] for one in (few, again, other)]
    assert photos[0] == photos[1] != photos[2]


def test_hands_are_drawn_of_a_gesture_whichever_file_names_them(tmp_path: Path) -> None:
    """Photos of fists show palms as well: two files have hands of one gesture."""
    right = drawn_hand(is_left=False, back=False, at=(0.3, 0.7))
    left = drawn_hand(is_left=True, back=False, at=(0.8, 0.7))
    folder = tmp_path / "hagrid_annotations" / "train"
    folder.mkdir(parents=True)
    for name, shown, count in (("palm", ["palm"], 3), ("fist", ["palm", "fist"], 6)):
        hands = [right, left][: len(shown)]
        content = {
            f"{name}-{k}": entry(shown, hands, f"user-{k}", leading_hand="left")
            for k in reversed(range(count))
        }
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    every = read(tmp_path)
    gestures = Counter(hand.gesture for hand in every.hands)
    assert gestures["palm"] == 9 and set(gestures) <= {"palm", "fist"}
    assert [h.gesture for h in every.hands] == sorted(h.gesture for h in every.hands)
    photos = [hand.photo for hand in every.hands if hand.gesture == "palm"]
    assert photos == sorted(photos) and len({photo.split("/")[1] for photo in photos}) == 2

    for seed in range(20):
        few = read(tmp_path, most=4, seed=seed)
        drawn = [hand.photo for hand in few.hands if hand.gesture == "palm"]
        assert len(drawn) == 4 and set(drawn) < set(photos) and drawn == sorted(drawn)
        assert few.unused["more_than_asked_for"] == 5 + max(0, gestures["fist"] - 4)
    both = {
        hand.photo.split("/")[1] for s in range(20) for hand in read(tmp_path, most=4, seed=s).hands
    }
    assert both == {"palm", "fist"}


def test_what_cannot_be_used_is_counted_by_reason(tmp_path: Path) -> None:
    hand = drawn_hand(is_left=False, back=False, at=(0.3, 0.7))
    free = drawn_hand(is_left=True, back=False, at=(0.8, 0.7))
    found = one_photo(tmp_path, "palm", entry(["no_gesture", "palm"], [free, hand], "u"))
    assert [one.is_left for one in found.hands] == [False]
    assert found.unused["no_gesture"] == 1
    found = one_photo(tmp_path, "palm", entry(["holy", "palm"], [free, hand], "u"))
    assert found.unused["not_mapped"] == 1

    for more, reason in (
        ({"hand_landmarks": [[]]}, "side_unknown"),
        ({"hand_landmarks": [free.tolist()]}, "side_unknown"),  # another hand's
        ({"bboxes": [[0.2, 0.2, 0.0, 0.3]]}, "empty_box"),
        ({"bboxes": [[0.2, 0.2, 0.3]]}, "malformed"),
        ({"bboxes": [[0.2, 0.2, 0.3, float("nan")]]}, "malformed"),
        ({"user_id": None}, "malformed"),
        ({"labels": []}, "malformed"),
        ({"hand_landmarks": 5}, "side_unknown"),
    ):
        found = one_photo(tmp_path, "palm", entry(["palm"], [hand], "u", **more))
        assert (found.hands, found.unused[reason]) == ([], 1), more
    gone = entry(["palm"], [hand], "u")
    del gone["bboxes"]
    assert one_photo(tmp_path, "palm", gone).unused["malformed"] == 1


def test_a_gesture_that_shows_either_face_needs_an_annotated_hand(tmp_path: Path) -> None:
    hand = drawn_hand(is_left=True, back=False, at=(0.5, 0.7))
    assert one_photo(tmp_path, "fist", entry(["fist"], [hand], "u")).unused["side_unknown"] == 1
    led = entry(["fist"], [hand], "u", leading_hand="left", leading_conf=1.0)
    assert [one.is_left for one in one_photo(tmp_path, "fist", led).hands] == [True]
    without = led | {"hand_landmarks": [[]]}
    (found,) = one_photo(tmp_path, "fist", without).hands
    assert found.box == pytest.approx(led["bboxes"][0]), "the hand's own box"


def test_of_two_hands_that_show_a_gesture_the_leading_one_is_not_known(tmp_path: Path) -> None:
    right = drawn_hand(is_left=False, back=False, at=(0.3, 0.7))
    left = drawn_hand(is_left=True, back=False, at=(0.8, 0.7))
    both = entry(["palm", "palm"], [right, left], "u", leading_hand="right")
    assert [one.is_left for one in one_photo(tmp_path, "palm", both).hands] == [False, True]
    alone = entry(["no_gesture", "palm"], [right, left], "u", leading_hand="right")
    assert [one.is_left for one in one_photo(tmp_path, "palm", alone).hands] == [False]


def test_an_id_leads_to_no_other_folder(tmp_path: Path) -> None:
    hand = drawn_hand(is_left=False, back=False, at=(0.3, 0.7))
    path = tmp_path / "hagrid_annotations" / "train" / "palm.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"../../x": entry(["palm"], [hand], "u")}), encoding="utf-8")
    found = read(tmp_path)
    assert (found.hands, found.unused["malformed"]) == ([], 1)


def test_other_folders_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        HagridError, match=r"has none of fist\.json, palm\.json, .*expected HaGRIDv2's"
    ):
        read(tmp_path)
    path = tmp_path / "hagrid_annotations" / "train" / "palm.json"
    path.parent.mkdir(parents=True)
    path.write_text("[1, 2", encoding="utf-8")
    with pytest.raises(HagridError, match=r"palm\.json: is no JSON"):
        read(tmp_path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(HagridError, match=r"palm\.json: expected an object of photos by id"):
        read(tmp_path)
