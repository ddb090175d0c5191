"""Noise, lighting and backgrounds."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.synthetic.background import (
    Noise,
    sample_background,
    sample_light,
    sample_lighting,
    sample_noise,
)


@pytest.fixture(scope="module")
def noise() -> Noise:
    return sample_noise(np.random.default_rng(0))


def test_noise_has_no_seam_and_unit_strength(noise: Noise) -> None:
    for field in (noise.grain, noise.clouds[..., 0]):
        assert field.std() == pytest.approx(1, abs=0.01)
        across_seam = np.abs(field[0] - field[-1]).mean()
        inside = np.abs(field[1] - field[0]).mean()
        assert across_seam == pytest.approx(inside, rel=0.3)


@pytest.mark.parametrize("size", [(160, 200), (200, 160), (33, 51)])
def test_background_fills_the_frame_with_light(noise: Noise, size: tuple[int, int]) -> None:
    room = sample_background(np.random.default_rng(1), size, noise)
    assert room.shape == (size[1], size[0], 3)
    assert room.dtype == np.float32
    assert np.isfinite(room).all()
    assert room.min() >= 0


def test_backgrounds_depend_on_their_generator_only(noise: Noise) -> None:
    one, again, other = (
        sample_background(np.random.default_rng(seed), (40, 30), noise) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 0.01


def test_lights_have_unit_directions_and_are_never_all_dark() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        light = sample_light(sample_lighting(rng), np.eye(3), rng)
        for direction in (light.towards, light.fill_towards, light.up):
            assert np.linalg.norm(direction) == pytest.approx(1, abs=1e-5)
        assert light.towards[1] > 0  # from above
        assert light.ambient.min() > 0.15  # dark skin keeps its inner detail
        assert (light.key + light.fill + light.ambient).max() < 2


def test_lights_turn_with_the_camera() -> None:
    lighting = sample_lighting(np.random.default_rng(0))
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    here = sample_light(lighting, np.eye(3), np.random.default_rng(1))
    there = sample_light(lighting, turn, np.random.default_rng(1))
    np.testing.assert_allclose(there.towards, turn @ here.towards, atol=1e-6)
    np.testing.assert_array_equal(there.key, here.key)
