"""Backgrounds, lighting and noise of the synthetic images. Colours are linear.

Every sample is a pure function of the given generator, drawn from continuous ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.render import Light
from handpose.render.surface import FloatArray

GRAIN_SIDE = 64
CLOUD_SIDE = 512
WHITE_SIZE = 1 << 20


@dataclass(frozen=True)
class Noise:
    """Noise textures, drawn once and cropped for every image: drawing them is the slowest step."""

    grain: NDArray[np.float32]  # (S, S, S) tileable, standard deviation 1
    clouds: NDArray[np.float32]  # (S, S, 3) tileable, coarse to fine, standard deviation 1
    white: NDArray[np.float32]  # (WHITE_SIZE,) normal


def sample_noise(rng: np.random.Generator) -> Noise:
    """Pink noise in space and in the plane, and white noise."""
    clouds = [_pink(rng, (CLOUD_SIDE, CLOUD_SIDE), 1.6) for _ in range(3)]
    return Noise(
        _pink(rng, (GRAIN_SIDE,) * 3, 1.3),
        np.stack(clouds, -1),
        rng.standard_normal(WHITE_SIZE, np.float32),
    )


def _pink(rng: np.random.Generator, shape: tuple[int, ...], power: float) -> NDArray[np.float32]:
    """Tileable noise whose amplitude falls with frequency to this power."""
    axes = [np.fft.fftfreq(n) * n for n in shape]
    frequency = np.sqrt(sum(np.square(k) for k in np.meshgrid(*axes, indexing="ij")))
    spectrum = np.fft.fftn(rng.standard_normal(shape)) / np.maximum(frequency, 1) ** power
    spectrum.flat[0] = 0
    noise = np.fft.ifftn(spectrum).real
    return np.asarray(noise / noise.std(), np.float32)


class Lighting(NamedTuple):
    """The lighting of a capture, in the frame of its rig (x right, y up, z to the front)."""

    azimuth: float  # rad, key light about y, 0 from the front
    elevation: float
    key: FloatArray  # (3,) linear RGB
    fill_azimuth: float
    fill: FloatArray  # (3,)
    ambient: FloatArray  # (3,)


def sample_lighting(rng: np.random.Generator) -> Lighting:
    """Sample the lighting of a capture."""
    azimuth = rng.uniform(-np.pi, np.pi)
    return Lighting(
        azimuth=azimuth,
        elevation=rng.uniform(0.3, 1.25),
        key=rng.uniform(0.6, 1.0) * _warmth(rng),
        fill_azimuth=azimuth + np.pi + rng.uniform(-1, 1),
        fill=rng.uniform(0.05, 0.30) * _warmth(rng),
        ambient=rng.uniform(0.22, 0.42) * _warmth(rng),
    )


def sample_light(lighting: Lighting, R: NDArray[np.floating], rng: np.random.Generator) -> Light:
    """Lights in a camera's frame, with a little jitter per image.

    Args:
        lighting: of the capture.
        R: (3, 3) rig to camera.
        rng: of the image.
    """
    azimuth = lighting.azimuth + rng.normal(0, 0.25)
    elevation = np.clip(lighting.elevation + rng.normal(0, 0.15), 0.1, 1.4)
    return Light(
        towards=(R @ _towards(azimuth, elevation)).astype(np.float32),
        key=(lighting.key * rng.uniform(0.85, 1.15)).astype(np.float32),
        fill_towards=(R @ _towards(lighting.fill_azimuth, 0.2)).astype(np.float32),
        fill=lighting.fill.astype(np.float32),
        up=(R @ np.array([0, 1, 0])).astype(np.float32),
        ambient=(lighting.ambient * rng.uniform(0.9, 1.1)).astype(np.float32),
    )


def sample_background(
    rng: np.random.Generator, size: tuple[int, int], noise: Noise
) -> NDArray[np.float32]:
    """A defocused room: a colour gradient, clouds and a few shapes with edges: (H, W, 3).

    Drawn at half size and enlarged, which is fast and adds blur.
    """
    width, height = (-(-side // 2) for side in size)
    clouds = _crop(rng, noise.clouds, (width, height))
    gradient = _gradient(rng, (width, height))  # (h, w, 1)
    one, other = sample_colour(rng), sample_colour(rng)
    room = one + (other - one) * gradient
    room *= np.exp(rng.uniform(0.05, 0.5) * clouds @ _channel_mix(rng))
    for _ in range(rng.integers(0, 8)):
        _add_shape(rng, room)
    soft = cv2.GaussianBlur(room, (0, 0), float(rng.uniform(0.4, 3.0)) * height / 80)
    room = cv2.resize(soft, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(room[: size[1], : size[0]])


def sample_colour(rng: np.random.Generator) -> NDArray[np.float32]:
    """A linear colour, from near black to light, mostly greyish."""
    value = np.exp(rng.uniform(np.log(0.01), np.log(0.7)))
    saturation = rng.beta(1.2, 2.5)
    hue = 1 + np.cos(rng.uniform(0, 2 * np.pi) + np.array([0, 2.1, 4.2]))  # (3,) 0..2
    return np.asarray(value * (1 - saturation + saturation * hue), np.float32)


def _warmth(rng: np.random.Generator) -> NDArray[np.float32]:
    """Tint of a light, between cool and warm."""
    warm = rng.uniform(-0.12, 0.22)
    return np.array([1 + 0.3 * warm, 1.0, 1 - warm], np.float32)


def _towards(azimuth: float, elevation: float) -> FloatArray:
    """Unit vector from the hand: x right, y up, z to the front."""
    return np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ]
    )


def _channel_mix(rng: np.random.Generator) -> NDArray[np.float32]:
    """(3, 3) weights of three clouds in the colour channels: mostly equal."""
    return (0.6 + rng.normal(0, 0.25, (3, 3))).astype(np.float32) / 1.7


def _gradient(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """A sigmoid ramp 0..1 across the picture in a random direction: (h, w, 1)."""
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-1, 1, size[0], dtype=np.float32)
    y = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None]
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    steep = np.float32(rng.uniform(0.5, 5))
    return np.asarray(1 / (1 + np.exp(-steep * along)), np.float32)[..., None]


def _crop(
    rng: np.random.Generator, clouds: NDArray[np.float32], size: tuple[int, int]
) -> NDArray[np.float32]:
    """A random square of the clouds, resized: (h, w, 3)."""
    side = int(rng.integers(48, CLOUD_SIDE // 2))
    x, y = rng.integers(0, CLOUD_SIDE - side, 2)
    return np.asarray(cv2.resize(clouds[y : y + side, x : x + side], size))


def _add_shape(rng: np.random.Generator, room: NDArray[np.float32]) -> None:
    """Draw a polygon, an ellipse or a bar over the room (h, w, 3), in place."""
    height, width = room.shape[:2]
    colour = tuple(float(c) for c in sample_colour(rng))
    middle = rng.uniform(-0.1, 1.1, 2) * (width, height)
    reach = np.exp(rng.uniform(np.log(0.04), np.log(0.5))) * height
    kind = rng.uniform()
    if kind < 0.5:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
        ring = reach * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(room, [(middle + ring).astype(np.int32)], colour)
    elif kind < 0.8:
        axes = (int(reach * rng.uniform(0.3, 1)) + 1, int(reach) + 1)
        centre = (int(middle[0]), int(middle[1]))
        cv2.ellipse(room, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    else:
        end = middle + rng.normal(0, 1, 2) * height
        first, last = ((int(p[0]), int(p[1])) for p in (middle, end))
        cv2.line(room, first, last, colour, int(rng.integers(1, 2 + height // 12)))
