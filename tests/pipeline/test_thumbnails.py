"""Thumbnails: the hand, at its place, and as small as asked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.thumbnails import AROUND, cut, evenly


@pytest.mark.parametrize("zoom", [1, 4])
def test_a_point_of_the_photo_is_where_the_map_says(zoom: int) -> None:
    photo = np.zeros((100 * zoom, 140 * zoom, 3), np.uint8)
    at = np.array([70, 40]) * zoom
    cv2.circle(photo, tuple(at.tolist()), 4 * zoom, (255, 255, 255), -1)
    box = tuple(zoom * x for x in (50, 20, 40, 30))
    picture, A = cut(photo, box, 60)
    assert picture.shape == (60, 60, 3)
    expected = (A @ np.append(at, 1))[:2]
    y, x = np.nonzero(picture[..., 0] > 127)
    np.testing.assert_allclose([x.mean(), y.mean()], expected, atol=0.6)
    np.testing.assert_allclose(A[0, 0], 60 / (AROUND * 40 * zoom))


def test_fine_stripes_are_averaged_and_not_sampled() -> None:
    photo = np.zeros((400, 400, 3), np.uint8)
    photo[:, ::2] = 200
    picture, _ = cut(photo, (100, 100, 180, 180), 45)
    assert np.abs(picture.astype(int) - 100).max() < 30


@pytest.mark.parametrize(
    ("count", "most", "taken"),
    [(3, 5, [0, 1, 2]), (9, 3, [1, 4, 7]), (4, 1, [2]), (0, 3, []), (10, 4, [1, 3, 6, 8])],
)
def test_evenly(count: int, most: int, taken: list[int]) -> None:
    assert list(evenly(range(count), most)) == taken
