"""HInt as it is written, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.hint.hands import HintError, read_subsets
from tests.hint.made_up_hint import write_hint


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_hint(tmp_path, {"newdays": 6, "epick": 3, "ego4d": 3}, without_photos="ego4d")
    return tmp_path


def test_hands_are_read_with_their_side_and_video(root: Path) -> None:
    found, without = read_subsets(root)
    assert without == ["ego4d"] and set(found) == {"newdays", "epick"}
    hands = found["newdays"]
    assert {hand.video for hand in hands} == {"video0", "video1", "video2"}
    assert {hand.video for hand in found["epick"]} == {"P00_10", "P01_10", "P02_10"}
    assert sum(hand.is_left for hand in hands) == 3
    for hand in hands:
        assert hand.photo.is_file()
        low, high = hand.box[:2], hand.box[:2] + hand.box[2:]
        assert (hand.joints >= low).all() and (hand.joints <= high).all()
        (written,) = json.loads(hand.photo.with_suffix(".json").read_text())
        np.testing.assert_array_equal(hand.occluded, written["occlusion"])


def test_a_video_of_ego4d_is_its_first_identifier(tmp_path: Path) -> None:
    write_hint(tmp_path, {"ego4d": 4})
    videos = {hand.video for hand in read_subsets(tmp_path)[0]["ego4d"]}
    assert videos == {f"{k:036d}" for k in range(3)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [[50, 50, 40, 90]]}, "bbox: expected left, top, right, bottom, found"),
        ({"bbox": [50, 50, 40, 90]}, r"bbox: expected \[\[left, top, right, bottom\]\] px"),
        ({"bbox": [[500, 500, 540, 560]]}, "is the box of a photo of another size"),
        ({"keypoints": [[1, 2]] * 20}, "keypoints: expected 21 x 2 px"),
        ({"keypoints": [[float("nan"), 2]] * 21}, "keypoints: expected 21 x 2 px"),
        ({"occlusion": [2] * 21}, "occlusion: expected 0 or 1"),
        ({"occlusion": None}, "occlusion: expected 21 times"),
    ],
)
def test_a_file_that_is_not_as_described_is_named(
    root: Path, change: dict[str, Any], message: str
) -> None:
    path = next((root / "TEST_newdays_img").glob("*.json"))
    (hand,) = json.loads(path.read_text())
    path.write_text(json.dumps([hand | change]))
    with pytest.raises(HintError, match=f"{path.name}: .*{message}"):
        read_subsets(root)


def test_a_pair_that_is_not_whole_no_side_and_no_folder_are_reported(
    root: Path, tmp_path: Path
) -> None:
    folder = root / "TEST_newdays_img"
    path = sorted(folder.glob("*.jpg"))[0]
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(HintError, match=r"1 of its pairs are not whole; .*\.jpg is missing"):
        read_subsets(root)
    path.write_bytes(content)
    for suffix in (".jpg", ".json"):
        path.with_suffix(suffix).rename(folder / f"nobody{suffix}")
    with pytest.raises(HintError, match="its name gives no side"):
        read_subsets(root)
    with pytest.raises(HintError, match="has no pair of photo and JSON in any of TEST_newdays_img"):
        read_subsets(tmp_path / "elsewhere")
