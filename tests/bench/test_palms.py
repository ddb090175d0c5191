"""What the benchmark of palm boxes measures, of a detector and a hand that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from bench.palms import error_percent, shape
from bench.realism.frames import Frame
from handpose.detection.palm_detector import ENLARGED, RAISED, Palm
from tests.bench.realism.conftest import frames, rendered, tiny
from tests.pipeline.predict.conftest import a_hand

__all__ = ["frames", "rendered", "tiny"]


def test_a_hand_in_the_box_of_its_palm_has_the_constants(frames: list[Frame]) -> None:
    """The palm is made so that the box which it gives is that of the hand."""
    for frame in frames[:5]:
        low, high = frame.uv.min(0), frame.uv.max(0)
        side = (high - low).max() / ENLARGED
        ahead = np.array([0.6, -0.8])
        middle = (low + high) / 2 - RAISED * side * ahead
        points = np.tile(middle, (7, 1))
        points[2] += ahead
        palm = Palm(np.array([*(middle - side / 2), *(middle + side / 2)]), points, 0.9)
        assert shape(frame, palm) == pytest.approx((RAISED, ENLARGED))
        x, y, w, h = palm.hand_box
        np.testing.assert_allclose([x + w / 2 - 0.5, y + h / 2 - 0.5], (low + high) / 2)


def test_the_error_is_by_the_size_of_the_hand(frames: list[Frame]) -> None:
    frame = frames[0]
    side = np.ptp(frame.uv, axis=0).max()
    assert error_percent(frame, a_hand(frame.uv)) == 0
    assert error_percent(frame, a_hand(frame.uv + np.array([0.1 * side, 0]))) == pytest.approx(10)
