"""What is drawn lies where the pixels say, whatever part of the photo is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from handpose.evaluation.draw import MODEL, TRUTH
from pipeline.data.contradiction import SMALLEST_PX, draw_contradiction

SIDE = 240
GREY = np.full((334, 512, 3), 90, np.uint8)


def hand(x: float, y: float, size: float = 60.0) -> list[float]:
    points = np.random.default_rng(0).uniform(0, size, (21, 2)) + np.array([x, y])
    return [float(value) for value in points.ravel()]


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(-1).any())


@pytest.mark.parametrize("x", [-200.0, 0.0, 200.0, 490.0, 900.0, 5000.0])
def test_joints_inside_and_beside_the_photo_can_be_drawn(x: float) -> None:
    row: dict[str, Any] = {"joints": hand(x, 100), "fit": None, "box": [200, 100, 60, 60]}
    picture = draw_contradiction(GREY, row, SIDE)
    assert has(picture, TRUTH), "the box is always shown"
    assert has(picture, MODEL) == (x < 1000), "beside the photo too"
    assert min(picture.shape[:2]) >= SMALLEST_PX


def test_the_photo_stays_where_it_is() -> None:
    photo = GREY.copy()
    photo[120:140, 210:230] = (200, 10, 10)
    row: dict[str, Any] = {"joints": hand(-100, 100), "fit": None, "box": [210, 120, 19, 19]}
    picture = draw_contradiction(photo, row, SIDE)
    red, box = (np.argwhere((picture == c).all(-1)) for c in ((200, 10, 10), TRUTH))
    for edge in (np.min, np.max):
        assert np.abs(edge(red, axis=0) - edge(box, axis=0)).max() <= 3


def test_a_small_hand_is_enlarged_and_the_rest_left_out() -> None:
    row: dict[str, Any] = {"joints": hand(300, 50, 20), "fit": hand(305, 50, 20), "box": None}
    picture = draw_contradiction(GREY, row, SIDE)
    assert SIDE <= max(picture.shape[:2]) <= 4 * SIDE
    for colour in (TRUTH, MODEL):
        there = np.argwhere((picture == colour).all(-1))
        assert np.ptp(there, axis=0).min() > 0.3 * min(picture.shape[:2])


def test_without_a_finite_point_the_whole_photo_is_shown() -> None:
    row: dict[str, Any] = {"joints": [float("nan")] * 42, "fit": None, "box": None}
    height, width = draw_contradiction(GREY, row, SIDE).shape[:2]
    assert height * 512 == width * 334
