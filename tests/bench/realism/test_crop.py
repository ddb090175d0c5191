"""The crop follows the hand: turned, larger or elsewhere, it shows the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.realism.crop import (
    BOXED,
    EDGE_PX,
    SIDE_PX,
    apply,
    palm_crop,
    to_photo,
    tracking_crop,
)
from handpose.data.crop import warp
from handpose.hand.skeleton import JOINTS

Floats = NDArray[np.float64]


def hand(seed: int = 0) -> Floats:
    """A hand of about 60 px, pointing somewhere: (21, 2) px."""
    rng = np.random.default_rng(seed)
    spread = np.array([(0.0, 0.0)] + [(f - 2, 1.5 + 0.5 * k) for f in range(5) for k in range(4)])
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    uv: Floats = 15 * (spread + rng.normal(0, 0.15, (21, 2))) @ turn + [80, 70]
    return uv


def similarity(angle: float, scale: float, shift: tuple[float, float]) -> Floats:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1]])


def test_the_box_follows_the_palm_side() -> None:
    assert len(BOXED) == 12
    left_out = {name for k, name in enumerate(JOINTS) if k not in BOXED}
    tips = {f"{finger}_tip" for finger in ("thumb", "index", "middle", "ring", "pinky")}
    assert left_out == tips | {f"{finger}_3" for finger in ("index", "middle", "ring", "pinky")}


@pytest.mark.parametrize("angle", [0.3, 1.9, np.pi, -2.5])
@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_a_turned_and_scaled_photo_gives_the_same_crop(angle: float, scale: float) -> None:
    uv, T = hand(), similarity(angle, scale, (12.0, -40.0))
    np.testing.assert_allclose(tracking_crop(apply(T, uv)) @ T, tracking_crop(uv), atol=1e-9)


def test_a_mirrored_photo_gives_the_mirrored_crop() -> None:
    uv = hand()
    photo, own = np.diag([-1.0, 1, 1]), np.diag([-1.0, 1, 1])
    photo[0, 2], own[0, 2] = 199, SIDE_PX - 1
    np.testing.assert_allclose(
        tracking_crop(apply(photo, uv)) @ photo, own @ tracking_crop(uv), atol=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_hand_points_up_and_its_palm_is_inside(seed: int) -> None:
    uv = hand(seed)
    shown = apply(tracking_crop(uv), uv)
    index, middle, ring = (shown[JOINTS.index(f"{name}_1")] for name in ("index", "middle", "ring"))
    ahead = ((index + ring) / 2 + middle) / 2 - shown[0]
    assert abs(ahead[0]) < 1e-9 and ahead[1] < 0
    width, height = np.ptp(shown[BOXED], axis=0)
    assert max(width, height) == pytest.approx(SIDE_PX / 2)
    middle_of_box = (shown[BOXED].min(0) + shown[BOXED].max(0)) / 2
    half = (SIDE_PX - 1) / 2
    np.testing.assert_allclose(middle_of_box, [half, half + 0.1 * height])


def test_landmarks_map_back_to_the_photo_exactly() -> None:
    uv = hand()
    A = tracking_crop(uv)
    np.testing.assert_allclose(to_photo(apply(A, uv) + EDGE_PX, A), uv, atol=1e-9)


def test_a_photo_turned_by_a_right_angle_gives_the_same_pixels() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    photo = np.ascontiguousarray(coarse.repeat(10, 0).repeat(10, 1))
    uv = hand()
    turned = np.ascontiguousarray(np.rot90(photo))  # (x, y) -> (y, width - 1 - x)
    elsewhere = np.stack([uv[:, 1], photo.shape[1] - 1 - uv[:, 0]], 1)
    first = warp(photo, tracking_crop(uv), SIDE_PX).astype(int)
    second = warp(turned, tracking_crop(elsewhere), SIDE_PX).astype(int)
    assert np.abs(first - second).mean() < 1
    assert np.ptp(first) > 100


@pytest.mark.parametrize("angle", [0.0, np.pi / 2, np.pi, -np.pi / 2])
def test_the_crop_of_a_palm_turns_with_it_and_lies_towards_the_fingers(angle: float) -> None:
    ahead = np.array([np.sin(angle), -np.cos(angle)])
    centre, side = np.array([70.0, 50.0]), 20.0
    A = palm_crop(np.array([*(centre - side / 2), *(centre + side / 2)]), ahead)
    middle = np.full(2, (SIDE_PX - 1) / 2)
    np.testing.assert_allclose(apply(A, centre + 0.5 * side * ahead), middle, atol=1e-9)
    top = apply(A, centre + (0.5 + 1.3) * side * ahead)  # half of 2.6 sides further
    np.testing.assert_allclose(top, middle - [0, SIDE_PX / 2], atol=1e-9)
