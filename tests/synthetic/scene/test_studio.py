"""Dark studios: dark, with bright lamps."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.synthetic.scene.studio import Studio, sample_studio, studio_backdrop

DARK = 0.03
"""Linear light, 48 of 255 in a photo."""


def studio_of(seed: int) -> Studio:
    studio = sample_studio(np.random.default_rng(seed), share=1.0)
    assert studio is not None
    return studio


@pytest.mark.parametrize("size", [(160, 200), (200, 160), (33, 51), (512, 334)])
def test_a_studio_fills_the_frame(size: tuple[int, int]) -> None:
    picture = studio_backdrop(np.random.default_rng(1), size, studio_of(0))
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.float32
    assert np.isfinite(picture).all()
    assert picture.min() >= 0


def test_studios_are_dark_and_most_show_bright_lamps() -> None:
    lit = 0
    for seed in range(80):
        picture = studio_backdrop(np.random.default_rng(seed), (200, 160), studio_of(seed))
        assert np.median(picture) < DARK
        assert np.mean(picture.max(-1) < 3 * DARK) > 0.5
        lit += picture.max() > 5 * max(float(np.median(picture)), 0.02)
    assert lit > 0.8 * 80


def test_a_share_of_captures_has_a_dark_studio() -> None:
    for share in (0.0, 0.3, 1.0):
        drawn = [sample_studio(np.random.default_rng(seed), share) for seed in range(600)]
        found = np.mean([studio is not None for studio in drawn])
        assert found == pytest.approx(share, abs=0.06)
        assert share not in (0, 1) or found == share


def test_the_cameras_of_a_studio_see_different_parts_of_the_same_walls() -> None:
    studio = studio_of(3)
    views = [studio_backdrop(np.random.default_rng(seed), (100, 80), studio) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(views[0], views[1])
    assert np.abs(views[0] - views[2]).max() > 0.01
    hues = [np.median(view, axis=(0, 1)) / np.median(view) for view in views]
    np.testing.assert_allclose(hues[0], hues[2], atol=0.5)
