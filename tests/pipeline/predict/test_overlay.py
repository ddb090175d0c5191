"""Hands drawn on photos."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.hand.skeleton import FINGERS, TIPS
from pipeline.predict.hand_box import BoxedHand, box_around
from pipeline.predict.overlay import FINGER_COLOURS, overlay
from tests.pipeline.predict.conftest import a_hand

UV = np.random.default_rng(1).uniform((80, 60), (300, 200), (21, 2))


@pytest.mark.parametrize("size", [(240, 320), (40, 30), (31, 500)])
def test_it_has_the_photos_size_and_leaves_the_photo_alone(size: tuple[int, int]) -> None:
    photo = np.full((*size, 3), 90, np.uint8)
    for hand in (a_hand(UV), None):
        drawn = overlay(photo, BoxedHand(hand, box_around(UV), "given"))
        assert drawn.shape == photo.shape and drawn.dtype == np.uint8
        assert (drawn != 90).any() and (photo == 90).all()


def test_the_box_of_a_slip_does_not_thicken_lines_without_end() -> None:
    photo = np.full((60, 80, 3), 90, np.uint8)
    one, other = (
        overlay(photo, BoxedHand(a_hand(UV / 4), (-side / 2, -side / 2, side, side), "given"))
        for side in (800.0, 8000.0)
    )
    assert np.array_equal(one, other) and (one == 90).any()


def test_every_fingertip_has_its_colour() -> None:
    drawn = overlay(
        np.zeros((260, 360, 3), np.uint8), BoxedHand(a_hand(UV), box_around(UV), "given")
    )
    for finger, tip in zip(FINGERS, TIPS, strict=True):
        u, v = np.rint(UV[tip]).astype(int)
        around = drawn[v - 1 : v + 2, u - 1 : u + 2].reshape(-1, 3)
        assert (around == FINGER_COLOURS[finger]).all(1).any(), finger
