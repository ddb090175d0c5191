"""The choice of a backdrop: shares, and rooms as they always were."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.synthetic.background import Noise, sample_background, sample_noise
from handpose.synthetic.scene.backdrop import Backdrops
from handpose.synthetic.scene.studio import sample_studio

SIZE = (50, 40)
STUDIO = sample_studio(np.random.default_rng(0), share=1.0)


@pytest.fixture(scope="module")
def noise() -> Noise:
    return sample_noise(np.random.default_rng(0))


def picture(backdrops: Backdrops, seed: int, dark: bool = False) -> NDArray[np.float32]:
    own = partial(np.random.default_rng, [seed, 1])
    return backdrops.sample(np.random.default_rng(seed), own, SIZE, STUDIO if dark else None)


def test_without_shares_it_is_the_room_and_nothing_else_is_drawn(noise: Noise) -> None:
    def own() -> np.random.Generator:
        raise AssertionError("drew from the scene's generator")

    rng, twin = np.random.default_rng(3), np.random.default_rng(3)
    room = Backdrops(noise, 0.0).sample(rng, own, SIZE, None)
    np.testing.assert_array_equal(room, sample_background(twin, SIZE, noise))
    assert rng.bit_generator.state == twin.bit_generator.state


def test_a_share_of_images_has_no_room_and_the_others_keep_theirs(noise: Noise) -> None:
    backdrops = Backdrops(noise, 0.4)
    rooms = [
        np.array_equal(
            picture(backdrops, seed), sample_background(np.random.default_rng(seed), SIZE, noise)
        )
        for seed in range(500)
    ]
    assert np.mean(rooms) == pytest.approx(0.6, abs=0.06)


def test_photos_come_before_the_dark_studio_of_the_capture(noise: Noise) -> None:
    backdrops = Backdrops(noise, 0.4)
    dark = [np.median(picture(backdrops, seed, dark=True)) < 0.015 for seed in range(400)]
    assert np.mean(dark) == pytest.approx(0.6, abs=0.1)
    always = Backdrops(noise, 0.0)
    assert all(np.median(picture(always, seed, dark=True)) < 0.03 for seed in range(50))


def test_a_backdrop_depends_on_its_generators_alone(noise: Noise) -> None:
    backdrops = Backdrops(noise, 1.0)
    late = [picture(backdrops, seed) for seed in range(10)][-1]
    np.testing.assert_array_equal(late, picture(Backdrops(noise, 1.0), 9))
