"""The camera: exposure, tone, noise and grey."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.render.render import Rendering
from handpose.synthetic.scene.degradation import Degradation, sample_degradation
from handpose.synthetic.sensor import LINEAR, TONE_CURVE, Sensor, photograph, sample_sensor

WHITE = np.random.default_rng(0).standard_normal(1 << 16, np.float32)
BLACK = np.zeros((40, 50, 3), np.float32)


def patch(light: float | tuple[float, float, float]) -> Rendering:
    """A square of this light in the middle of the frame."""
    coverage = np.zeros((40, 50), np.float32)
    coverage[10:30, 15:35] = 1
    colour = np.broadcast_to(np.array(light, np.float32), 3)
    return Rendering(coverage[..., None] * colour, coverage, 1 / (coverage + 1e-9))


CLEAN = Degradation(90)


def photo(
    rendering: Rendering,
    sensor: Sensor,
    background: NDArray[np.float32] = BLACK,
    degradation: Degradation = CLEAN,
) -> NDArray[np.uint8]:
    return photograph(rendering, background, sensor, WHITE, np.random.default_rng(1), degradation)


def detail(image: NDArray[np.uint8]) -> float:
    """Energy of the highest frequencies, where a sharp picture and a blurred one differ."""
    return float(np.square(cv2.Laplacian(image.astype(np.float32), cv2.CV_32F)).mean())


@pytest.mark.parametrize("light", [0.01, 0.2, 1.0, 5.0, 40.0])
def test_no_hand_is_over_exposed_or_black(light: float) -> None:
    for seed in range(10):
        sensor = sample_sensor(np.random.default_rng(seed), is_grey=False)
        hand = photo(patch(light), sensor)[12:28, 17:33]
        assert np.mean(hand >= 254) < 0.01
        assert hand.mean() > 25


def test_brighter_stays_brighter() -> None:
    sensor = sample_sensor(np.random.default_rng(0), is_grey=False)
    dark, light = (photo(patch(value), sensor)[12:28, 17:33].mean() for value in (0.05, 0.5))
    assert dark < light


def test_grey_cameras_give_one_channel() -> None:
    sensor = sample_sensor(np.random.default_rng(0), is_grey=True)
    assert photo(patch((0.5, 0.2, 0.1)), sensor).shape == (40, 50)
    colour = photo(patch((0.5, 0.2, 0.1)), sensor._replace(is_grey=False))[12:28, 17:33]
    assert colour.shape[-1] == 3
    assert colour[..., 0].mean() > colour[..., 1].mean() > colour[..., 2].mean()


def test_background_is_visible_where_the_hand_is_not() -> None:
    sensor = sample_sensor(np.random.default_rng(0), is_grey=False)._replace(noise=0.0)
    room = np.full_like(BLACK, 0.2)
    image = photo(patch(0.4), sensor, room)
    assert abs(int(image[0, 0, 0]) - int(TONE_CURVE[round(0.2 * 4095)])) <= 1
    np.testing.assert_array_equal(image[20, 25], photo(patch(0.4), sensor, BLACK)[20, 25])


def test_noise_is_as_strong_as_the_sensor_says() -> None:
    sensor = sample_sensor(np.random.default_rng(0), is_grey=False)
    room = np.full_like(BLACK, 0.2)
    spread = [photo(patch(0.4), sensor._replace(noise=n), room)[:8].std() for n in (0, 0.01, 0.03)]
    assert spread[0] < 0.5 < spread[1] < spread[2]


def test_a_frame_larger_than_the_pool_of_noise_is_filled() -> None:
    room = np.full((300, 400, 3), 0.3, np.float32)
    nothing = Rendering(np.zeros_like(room), room[..., 0] * 0, room[..., 0] + np.inf)
    sensor = sample_sensor(np.random.default_rng(0), is_grey=False)
    assert photo(nothing, sensor, room).std(axis=(0, 1)).min() > 0.5


def test_tone_curve_is_srgb() -> None:
    assert TONE_CURVE[0] == 0
    assert TONE_CURVE[-1] == 255
    assert abs(int(TONE_CURVE[round(0.2140 * 4095)]) - 128) <= 1  # sRGB's middle grey
    assert (np.diff(TONE_CURVE.astype(int)) >= 0).all()


def test_linear_light_is_the_inverse_of_the_tone_curve() -> None:
    levels = np.rint(LINEAR * (len(TONE_CURVE) - 1)).astype(int)
    assert np.abs(TONE_CURVE[levels].astype(int) - np.arange(256)).max() <= 2  # 4096 steps
    assert LINEAR[0] == 0
    assert LINEAR[255] == pytest.approx(1)


@pytest.mark.parametrize("is_grey", [False, True])
def test_a_worse_camera_shows_less_detail(is_grey: bool) -> None:
    """With severity, but for the noise, which is detail of its own."""
    sensor = sample_sensor(np.random.default_rng(0), is_grey)._replace(noise=0.0)
    room = np.random.default_rng(2).uniform(0, 0.6, (160, 200, 3)).astype(np.float32)
    nothing = Rendering(np.zeros_like(room), room[..., 0] * 0, room[..., 0] + np.inf)
    found = []
    for severity in (0.0, 0.3, 0.6, 1.0):
        worse = [
            sample_degradation(np.random.default_rng(seed), severity, (200, 160), 90)
            for seed in range(40)
        ]
        found.append(np.mean([detail(photo(nothing, sensor, room, one)) for one in worse]))
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.8 * found[0]


@pytest.mark.parametrize(
    "worse",
    [
        Degradation(90, blur_px=1.5),
        Degradation(90, motion_px=np.array([6.0, 2.0]), whole_moves=True),
        Degradation(90, size=(17, 14)),
    ],
)
def test_blur_motion_and_coarse_pixels_each_take_detail_away(worse: Degradation) -> None:
    sensor = sample_sensor(np.random.default_rng(0), is_grey=False)._replace(noise=0.0)
    room = np.random.default_rng(2).uniform(0, 0.6, (40, 50, 3)).astype(np.float32)
    sharp, soft = photo(patch(0.4), sensor, room), photo(patch(0.4), sensor, room, worse)
    assert soft.shape == sharp.shape
    assert detail(soft) < 0.3 * detail(sharp)
    assert abs(float(soft.mean()) - float(sharp.mean())) < 12


def test_a_moving_hand_leaves_the_room_sharp() -> None:
    sensor = sample_sensor(np.random.default_rng(0), is_grey=False)._replace(noise=0.0)
    room = np.random.default_rng(2).uniform(0, 0.6, (40, 50, 3)).astype(np.float32)
    way = np.array([6.0, 0.0])
    still, moved = (
        photo(patch(0.4), sensor, room, one) for one in (CLEAN, Degradation(90, motion_px=way))
    )
    np.testing.assert_array_equal(still[:6], moved[:6])
    assert np.abs(still[20, 10:20].astype(int) - moved[20, 10:20]).max() > 5


def test_noise_and_colour_cast_are_as_stated() -> None:
    sensor = sample_sensor(np.random.default_rng(0), is_grey=False)
    room = np.full_like(BLACK, 0.2)
    calm, noisy = (
        photo(patch(0.4), sensor, room, Degradation(90, noise=factor))[:8].std()
        for factor in (1.0, 4.0)
    )
    assert noisy == pytest.approx(4 * calm, rel=0.2)
    cast = Degradation(90, gain=np.array([1.2, 1.0, 0.8], np.float32))
    red, green, blue = photo(patch(0.4), sensor, room, cast)[:8].mean((0, 1))
    assert red > green + 8 > blue + 16


def test_grey_stays_grey_in_a_worse_camera() -> None:
    sensor = sample_sensor(np.random.default_rng(0), is_grey=True)
    for seed in range(20):
        worse = sample_degradation(np.random.default_rng(seed), 1.0, (50, 40), 90)
        assert photo(patch((0.5, 0.2, 0.1)), sensor, degradation=worse).shape == (40, 50)
