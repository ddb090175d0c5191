"""Laws of the measures that photos give, on pictures made up here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.faults.ingested_hands import IngestedHands
from pipeline.faults.photo_measures import in_order, measure_photos
from pipeline.faults.second_hand import SIDE, Surroundings, second_hands, without_hand

SIZE = (160, 120)
SKIN, WALL = (190, 140, 110), (40, 60, 90)


def hand_at(x: float, y: float) -> Any:
    """(21, 2) px: a hand of 40 px with straight fingers; the wrist is at (x, y)."""
    uv = [[x, y]]
    for finger in range(5):
        uv += [[x + 7 * (finger - 2), y - 14 - 8 * k] for k in range(4)]
    return np.array(uv, float)


def picture_of(*hands: Any) -> Any:
    photo = np.full((SIZE[1], SIZE[0], 3), WALL, np.uint8)
    for uv in hands:
        for tip in uv[4::4]:
            ends = uv[0].round().astype(int).tolist(), tip.round().astype(int).tolist()
            cv2.line(photo, *ends, SKIN, 6)
    return photo


def views(root: Path, photos: list[Any], uv: list[Any], **changes: Any) -> IngestedHands:
    """One camera's photos, one after another."""
    for number, photo in enumerate(photos):
        cv2.imwrite(str(root / f"{number}.png"), photo[..., ::-1])
    count = len(photos)
    at = np.array(uv)
    low, high = at.min(1), at.max(1)
    columns: dict[str, Any] = {
        "source_split": np.array(["train"] * count),
        "session": np.zeros(count, np.int64),
        "camera": np.array(["400026"] * count),
        "sequence": np.array(["0016_fist"] * count),
        "frame": np.arange(count),
        "image": np.array([f"{k}.png" for k in range(count)]),
        "width": np.full(count, SIZE[0]),
        "height": np.full(count, SIZE[1]),
        "kind": np.array(["gesture"] * count),
        "is_left": np.zeros(count, np.bool_),
    }
    empty: Any = np.empty(0)
    numbers = np.arange(count)
    return IngestedHands(
        columns | changes, np.concatenate([low, high - low], 1), at, numbers, numbers,
        empty, empty, empty, empty, {},
    )  # fmt: skip


def no_hands(pictures: list[Any], boxes: list[Any]) -> list[float]:
    return [0.0] * len(boxes)


def measured(hands: IngestedHands, root: Path) -> Any:
    order = in_order(hands, len(hands))
    steps: list[int] = []
    found = measure_photos(hands, order, root, no_hands, lambda: steps.append(1))
    assert len(steps) == len(hands)
    return found


def test_dark_photos_have_a_high_number(tmp_path: Path) -> None:
    uv = hand_at(80, 90)
    bright = picture_of(uv)
    hands = views(tmp_path, [bright, (bright * 0.1).astype(np.uint8)], [uv, uv])
    found = measured(hands, tmp_path).dark_photo
    assert found[0] < 255 - 180
    assert found[1] > 255 - 25


def test_a_repeated_photo_is_one_whose_hand_should_have_moved(tmp_path: Path) -> None:
    first, moved = hand_at(60, 90), hand_at(75, 80)
    one = picture_of(first)
    grain = np.random.default_rng(0).integers(-2, 3, one.shape)
    again = np.clip(one.astype(int) + grain, 0, 255).astype(np.uint8)
    hands = views(tmp_path, [one, again, picture_of(moved), one], [first, moved, moved, first])
    found = measured(hands, tmp_path).repeated_photo
    assert found[1] > 0.3
    assert found[[0, 2, 3]].tolist() == [0, 0, 0]
    still = views(tmp_path, [one, again], [first, first])
    assert measured(still, tmp_path).repeated_photo.max() == 0, "a hand that is held"
    other = views(tmp_path, [one, again], [first, moved], camera=np.array(["400026", "400027"]))
    assert measured(other, tmp_path).repeated_photo.max() == 0, "two cameras"


def test_a_photo_that_cannot_be_opened_is_reported_and_not_judged(tmp_path: Path) -> None:
    uv = hand_at(80, 90)
    hands = views(tmp_path, [picture_of(uv)] * 2, [uv, uv])
    (tmp_path / "1.png").unlink()
    found = measured(hands, tmp_path)
    assert np.isnan(found.dark_photo[1])
    (fault,) = found.faults
    assert "1.png not found" in fault


def test_of_many_photos_whole_sequences_are_opened(tmp_path: Path) -> None:
    uv = hand_at(80, 90)
    hands = views(
        tmp_path, [picture_of(uv)] * 12, [uv] * 12,
        sequence=np.repeat(["a", "b", "c", "d"], 3),
    )  # fmt: skip
    chosen = in_order(hands, 6)
    assert set(hands.columns["sequence"][chosen]) == {"a", "d"}
    assert len(chosen) == 6
    assert len(in_order(hands, 100)) == 12


def test_the_annotated_hand_is_painted_over_and_another_is_asked_of() -> None:
    own, other = hand_at(50, 95), hand_at(85, 95)
    box = (36, 57, 28, 38)
    alone, both = (without_hand(picture_of(*hands), own, box) for hands in ((own,), (own, other)))
    assert alone is not None
    assert both is not None
    skin = np.array(SKIN)
    for one, there in ((alone, False), (both, True)):
        like_skin = (np.abs(one.picture.astype(int) - skin).max(-1) < 25).sum()
        assert (like_skin > 100) == there
    assert not alone.patches
    (patch,) = both.patches
    assert patch[0] + patch[2] / 2 > SIDE / 2 + 20, "to the right, where it is"


@pytest.mark.parametrize("elbow", [(50, 119), (20, 115), (85, 119)])
def test_the_hands_own_forearm_is_no_other_hand(elbow: tuple[int, int]) -> None:
    """Wherever it points, it is followed from the wrist; a hand beside it remains."""
    own, other = hand_at(50, 70), hand_at(85, 75)
    box = (36, 32, 28, 38)
    photos = picture_of(own), picture_of(own, other)
    for photo in photos:
        cv2.line(photo, (50, 70), elbow, SKIN, 14)
    alone, both = (without_hand(photo, own, box) for photo in photos)
    assert alone is not None and both is not None
    assert not alone.patches
    assert both.patches and both.patches[0][0] > SIDE / 2, "to the right, where it is"


def test_a_hand_with_its_forearm_is_looked_at_at_both_ends() -> None:
    own, other = hand_at(50, 60), hand_at(85, 50)
    photo = picture_of(own, other)
    cv2.line(photo, (85, 50), (85, 119), SKIN, 14)
    found = without_hand(photo, own, (36, 22, 28, 38))
    assert found is not None
    high = [y + h / 2 for _, y, _, h in found.patches]
    assert len(high) == 3 and max(high) - min(high) > 0.4 * SIDE / 2.6


def test_unknown_joints_of_the_palm_leave_it_unjudged() -> None:
    uv = hand_at(50, 95)
    uv[0] = np.nan
    assert without_hand(picture_of(hand_at(50, 95)), uv, (36, 57, 28, 38)) is None


@pytest.mark.parametrize(
    ("patch", "window", "expected"), [(1.0, 0.9, 0.95), (0.1, 0.9, 0.05), (0.8, 0.0, 0.4)]
)
def test_both_questions_must_be_answered_with_yes(
    patch: float, window: float, expected: float
) -> None:
    """The network is asked of windows only where it took a patch for a hand."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    around = Surroundings(picture, [(10, 10, 20, 20)], [(50, 50, 30, 30)])

    def answers(pictures: list[Any], boxes: list[Any]) -> list[float]:
        assert len(pictures) == len(boxes)
        return [window if box[0] == 50 else patch for box in boxes]

    found = second_hands([around, None], answers)
    np.testing.assert_allclose(found, [expected, np.nan])


def test_of_two_annotated_hands_neither_is_a_fault_of_the_other(tmp_path: Path) -> None:
    """The other hand is no second one, and a photo is compared by each hand with the next photo."""
    first, second = hand_at(50.0, 100.0), hand_at(110.0, 100.0)
    photo = picture_of(first, second)
    both: dict[str, Any] = {
        "kind": np.array(["interacting"] * 4),
        "is_left": np.array([False, True] * 2),
        "frame": np.array([1, 1, 2, 2]),
    }
    uv = [first, second, first, second]
    hands = views(tmp_path, [photo] * 4, uv, **both)
    order = in_order(hands, 4)
    assert order.tolist() == [0, 2, 1, 3]
    found = measure_photos(hands, order, tmp_path, lambda pictures, boxes: [1.0] * len(boxes),
                           lambda: None)  # fmt: skip
    assert np.isnan(found.second_hand).all()
    np.testing.assert_array_equal(found.repeated_photo, 0)
    moved = views(tmp_path, [photo] * 4, [first, second, first, second + 20], **both)
    found = measure_photos(moved, order, tmp_path, lambda pictures, boxes: [], lambda: None)
    assert found.repeated_photo[3] > 0.1 and found.repeated_photo[2] == 0
