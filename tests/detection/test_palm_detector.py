"""The detector's proposals become palms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.realism.crop import apply
from handpose.detection.palm_detector import (
    ENLARGED,
    LEAST_SCORE,
    RAISED,
    SIDE_PX,
    PalmDetector,
    anchors,
    letterbox,
    overlap,
    palms_of,
)
from tests.detection.made_up_palms import proposals

BOX = (50.0, 60.0, 110.0, 120.0)


def found(boxes: Any, logits: Any) -> list[tuple[Any, float]]:
    said, sure = proposals(boxes, logits)
    return [(one.box, one.score) for one in palms_of(said[0].astype(float), sure[0, :, 0])]


def test_anchors_are_two_and_six_to_a_place() -> None:
    places, count = np.unique(anchors().round(9), axis=0, return_counts=True)
    assert len(anchors()) == 2016
    assert len(places) == 24**2 + 12**2
    assert set(count.tolist()) == {2, 6}
    assert anchors().min() > 0 and anchors().max() < 1


def test_a_proposal_is_where_it_says() -> None:
    [(box, score)] = found([BOX], [2.0])
    np.testing.assert_allclose(box, BOX, atol=1e-4)
    assert score == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_none_is_sure_enough() -> None:
    assert LEAST_SCORE == 0.5
    assert found([BOX], [-0.01]) == []
    assert len(found([BOX], [0.01])) == 1


def test_proposals_of_one_palm_are_averaged_by_score() -> None:
    other = tuple(np.array(BOX) + 10)
    [(box, score)] = found([BOX, other], [2.0, 0.5])
    first, second = 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-0.5))
    np.testing.assert_allclose(box, np.array(BOX) + 10 * second / (first + second), atol=1e-4)
    assert score == pytest.approx(first)


def test_palms_apart_stay_apart_the_surest_first() -> None:
    apart = tuple(np.array(BOX) - 45)
    boxes = [box for box, _ in found([BOX, apart], [0.5, 2.0])]
    np.testing.assert_allclose(boxes, [apart, BOX], atol=1e-4)


def test_overlap_is_symmetric_and_whole_with_itself() -> None:
    a, b = np.array(BOX), np.array([80.0, 60.0, 140.0, 120.0])
    far = a + 100
    assert overlap(a, np.stack([a, b, far])).tolist() == pytest.approx([1, 1 / 3, 0])
    assert overlap(b, a[None])[0] == overlap(a, b[None])[0]
    assert overlap(np.zeros(4), np.zeros((1, 4)))[0] == 0


@pytest.mark.parametrize("size", [(200, 160), (334, 512)])
def test_the_photo_lies_in_the_middle_of_the_square(size: tuple[int, int]) -> None:
    width, height = size
    edges = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    low, high = apply(letterbox(width, height), edges)
    assert max(high - low) == pytest.approx(SIDE_PX)
    np.testing.assert_allclose(low + high, SIDE_PX - 1)


def test_a_palm_lies_in_the_photo_where_it_lies_in_the_square() -> None:
    """A photo of 384 x 288 px is shown at half its size, 24 px from the square's upper edge."""

    def network(picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        assert picture.shape == (1, SIDE_PX, SIDE_PX, 3)
        return proposals([BOX], [2.0], ahead=(0, -1))

    [palm] = PalmDetector(network).palms(np.zeros((288, 384, 3), np.uint8))
    np.testing.assert_allclose(palm.box + 0.5, [100, 72, 220, 192], atol=1e-3)
    x, y, w, h = palm.hand_box
    assert (w, h) == pytest.approx((ENLARGED * 120, ENLARGED * 120))
    assert (x + w / 2, y + h / 2) == pytest.approx((160, 132 - RAISED * 120), abs=1e-3)


@pytest.mark.parametrize("angle", [0.3, 1.5, 3.0, 4.5])
def test_the_hands_box_turns_with_the_fingers(angle: float) -> None:
    ahead = np.array([np.sin(angle), -np.cos(angle)])
    said, sure = proposals([BOX], [2.0], ahead=ahead)
    [palm] = palms_of(said[0].astype(float), sure[0, :, 0])
    x, y, w, h = palm.hand_box
    centre = np.array([80.5, 90.5]) + RAISED * 60 * ahead
    np.testing.assert_allclose([x + w / 2, y + h / 2], centre, atol=1e-3)


@pytest.mark.parametrize("box", [(50, 50, 50, 50), (-60, 60, -40, 80), (80, 250, 100, 270)])
def test_what_has_no_size_or_lies_outside_is_no_palm(box: Any) -> None:
    """The square shows the photo between grey margins, in which the network may see things."""
    both = proposals([BOX, box], [2.0, 3.0])
    [palm] = PalmDetector(lambda _: both).palms(np.zeros((192, 192, 3), np.uint8))
    np.testing.assert_allclose(palm.box + 0.5, BOX, atol=1e-3)
