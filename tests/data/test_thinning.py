from __future__ import annotations

import numpy as np
import pytest

from handpose.data.thinning import IntArray, fewer_cameras, without_ends


def photos(moments: int, cameras: int, capture: int = 0) -> tuple[IntArray, IntArray]:
    """(N, 2) capture and frame, (N,) camera: every camera sees every moment."""
    frame, camera = np.mgrid[:moments, :cameras].reshape(2, -1)
    return np.stack([np.full_like(frame, capture), 3 * frame + 100], 1), camera + 400_000


@pytest.mark.parametrize(("share", "left"), [(0.0, 10), (0.09, 10), (0.1, 8), (0.25, 6), (0.49, 2)])
def test_both_ends_lose_the_same_whole_moments(share: float, left: int) -> None:
    instant, _ = photos(10, 4)
    kept = without_ends(np.zeros(40, np.int64), instant[:, 1], share)
    frames = np.unique(instant[kept, 1])
    assert kept.sum() == 4 * left, "all cameras of a moment, or none"
    assert frames.tolist() == np.unique(instant[:, 1])[(10 - left) // 2 : (10 + left) // 2].tolist()


def test_each_sequence_has_its_own_ends_in_any_order() -> None:
    sequence, frame = np.repeat([7, 3], [10, 20]), np.r_[np.arange(10), np.arange(20)]
    shuffled = np.random.default_rng(0).permutation(30)
    kept = np.empty(30, np.bool_)
    kept[shuffled] = without_ends(sequence[shuffled], frame[shuffled], 0.2)
    assert frame[kept].tolist() == [*range(2, 8), *range(4, 16)]


def test_every_moment_keeps_as_many_cameras_as_it_may() -> None:
    instant, camera = photos(50, 12)
    for most in (1, 5, 12, 99):
        kept = fewer_cameras(instant, camera, most)
        assert (np.unique(instant[kept, 1], return_counts=True)[1] == min(most, 12)).all()


def test_both_hands_of_a_photo_are_one_view() -> None:
    instant, camera = photos(40, 8)
    kept = fewer_cameras(instant, camera, 3)
    twice = fewer_cameras(np.repeat(instant, 2, 0), np.repeat(camera, 2), 3)
    assert (twice == np.repeat(kept, 2)).all()


def test_cameras_take_turns() -> None:
    instant, camera = photos(3000, 12)
    kept = fewer_cameras(instant, camera, 3)
    times = np.unique(camera[kept], return_counts=True)[1]
    assert len(times) == 12
    spread = np.sqrt(3000 * 0.25 * 0.75)  # of a fair draw
    assert np.abs(times - 750).max() < 4 * spread


def test_the_choice_depends_on_moment_and_camera_alone() -> None:
    instant, camera = photos(40, 8)
    kept = fewer_cameras(instant, camera, 3)
    shuffled = np.random.default_rng(0).permutation(320)
    assert (fewer_cameras(instant[shuffled], camera[shuffled], 3) == kept[shuffled]).all()
    again = fewer_cameras(instant[kept], camera[kept], 3)
    assert again.all(), "what was kept is kept"
    other = fewer_cameras(*photos(40, 8, capture=1), 3)
    assert (other != kept).any(), "another capture chooses for itself"


def test_more_cameras_keep_those_of_fewer() -> None:
    instant, camera = photos(40, 8)
    few, many = (fewer_cameras(instant, camera, most) for most in (2, 5))
    assert (many | ~few).all()


def test_nothing_is_selected_from_nothing() -> None:
    none = np.empty(0, np.int64)
    assert fewer_cameras(np.empty((0, 2), np.int64), none, 1).shape == (0,)
    assert without_ends(none, none, 0.1).shape == (0,)
