"""Clutter: fills the frame, differs, shows skin and edges."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.synthetic.scene.clutter import clutter_backdrop, sample_skin_tone

SIZE = (200, 160)


@pytest.mark.parametrize("size", [(160, 200), SIZE, (33, 51), (48, 64), (512, 334)])
def test_clutter_fills_the_frame_with_light(size: tuple[int, int]) -> None:
    for seed in range(6):
        picture = clutter_backdrop(np.random.default_rng(seed), size)
        assert picture.shape == (size[1], size[0], 3)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all()
        assert picture.min() >= 0
        assert picture.max() < 4


def test_clutter_depends_on_its_generator_alone() -> None:
    one, again, other = (clutter_backdrop(np.random.default_rng(s), SIZE) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 0.01


def test_clutter_has_more_edges_than_an_empty_wall_in_nearly_every_picture() -> None:
    edges = [
        np.abs(np.diff(np.log(clutter_backdrop(np.random.default_rng(seed), SIZE) + 0.01), axis=1))
        for seed in range(40)
    ]
    assert np.mean([edge.max() > 0.1 for edge in edges]) > 0.9


def test_skin_is_reddish_and_reaches_from_dark_to_light() -> None:
    tones = np.stack([sample_skin_tone(np.random.default_rng(seed)) for seed in range(300)])
    assert (tones[:, 0] > tones[:, 1]).all()
    assert (tones[:, 1] > tones[:, 2]).all()
    assert tones[:, 0].min() < 0.15
    assert tones[:, 0].max() > 0.6
