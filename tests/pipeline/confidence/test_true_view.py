"""Views with their truth: points land where pixels do, and windows keep off the hand."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.data.crop import affine, square, warp
from handpose.hand.camera import project
from pipeline.confidence.true_view import (
    MARGIN,
    Array,
    empty_view,
    empty_window,
    hand_view,
    users_box,
)

PX = 64
K = np.array([[200.0, 0, 60], [0, 200.0, 50], [0, 0, 1]])


def a_hand(rng: np.random.Generator) -> tuple[Array, Array]:
    """Joints (21, 3) m half a metre away and their box in the photo."""
    joints = rng.uniform(-0.08, 0.08, (21, 3)) + np.array([0.05, 0, 0.5])
    uv = project(joints, K)
    return joints, np.concatenate([uv.min(0), np.ptp(uv, axis=0)])


@pytest.mark.parametrize("turn_camera", [True, False])
def test_the_truth_is_in_pixels_of_the_view_and_about_the_wrist(turn_camera: bool) -> None:
    rng = np.random.default_rng(0)
    joints, box = a_hand(rng)
    uv = project(joints, K)
    image = np.zeros((100, 120, 3), np.uint8)
    x, y = uv[9].round().astype(int)
    image[y - 1 : y + 2, x - 1 : x + 2] = 255
    valid = np.ones(21, bool)
    valid[4] = False
    view = hand_view(
        image, box, K=K, joints_cam=joints, valid=valid, is_left=True, person=3, px=PX,
        box_scale=1.3, turn_camera=turn_camera,
    )  # fmt: skip
    assert view.is_hand and view.is_left and view.person == 3
    seen = warp(view.photo, view.A, PX)
    brightest = np.argwhere(seen[..., 0] > 128).mean(0)[::-1]
    assert np.abs(view.uv[9] - brightest).max() < 1.5
    expected = project(joints, affine(square(box, 1.3), PX) @ K)
    np.testing.assert_allclose(view.uv[valid], expected[valid])
    assert not view.joints[0].any()
    lengths = np.linalg.norm(joints - joints[0], axis=1)
    np.testing.assert_allclose(np.linalg.norm(view.joints, axis=1)[valid], lengths[valid])
    assert np.allclose(view.joints[valid], (joints - joints[0])[valid]) is not turn_camera


def test_windows_keep_off_the_hand_and_stay_mostly_in_the_photo() -> None:
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(200):
        box = np.array([*rng.uniform(0, 90, 2), *rng.uniform(15, 60, 2)])
        window = empty_window(box, (160, 120), rng)
        if window is None:
            continue
        found += 1
        low = np.array([window.x, window.y]) - window.side / 2
        high = low + window.side
        margin = MARGIN * box[2:].max()
        apart = (high <= box[:2] - margin) | (low >= box[:2] + box[2:] + margin)
        assert apart.any()
        assert (low >= -0.26 * window.side).all()
        assert (high <= np.array([160, 120]) + 0.26 * window.side).all()
    assert found > 150


def test_a_hand_that_fills_the_photo_leaves_no_window() -> None:
    assert empty_window(np.array([5.0, 5, 90, 90]), (100, 100), np.random.default_rng(0)) is None


def test_a_window_has_no_truth() -> None:
    image = np.full((50, 50, 3), 7, np.uint8)
    view = empty_view(image, square((10, 10, 20, 20), 1.0), px=PX)
    assert not view.is_hand and not view.valid.any() and (view.photo == 7).all()


def test_a_users_box_is_near_the_joints_box() -> None:
    rng, true = np.random.default_rng(2), np.array([10.0, 20, 40, 30])
    for _ in range(50):
        given = users_box(true, rng)
        middle = given[:2] + given[2:] / 2 - (true[:2] + true[2:] / 2)
        assert np.abs(middle).max() <= 0.08 * 40 + 1e-9
        assert (np.abs(given[2:] / true[2:] - 1) <= 0.08 + 1e-9).all()
