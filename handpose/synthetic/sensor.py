"""Sensor model: exposure, blur, noise, tone curve, and grey cameras."""

from __future__ import annotations

from math import hypot
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.render import Rendering
from handpose.render.surface import FloatArray
from handpose.synthetic.scene.degradation import Degradation, smear

BRIGHTEST = 0.85
"""Maximum linear brightness of the hand, so that it is never overexposed."""
GREY = np.array([0.2126, 0.7152, 0.0722], np.float32)
LEVELS = 4096


def _srgb(light: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Linear light 0..1 to 8 bits (IEC 61966-2-1)."""
    curved: FloatArray = np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )
    return np.asarray(np.round(255 * curved), np.uint8)


TONE_CURVE = _srgb(np.linspace(0, 1, LEVELS))
"""8-bit value of each of LEVELS linear ones: (LEVELS,)."""


def _linear(value: FloatArray) -> NDArray[np.float32]:
    """Values 0..1 of sRGB to linear light (IEC 61966-2-1)."""
    curved: FloatArray = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.asarray(curved, np.float32)


LINEAR = _linear(np.arange(256) / 255)
"""Linear light of each 8-bit value: (256,)."""


class Sensor(NamedTuple):
    """Properties of one camera's sensor and lens."""

    is_grey: bool
    balance: FloatArray  # (3,) gain per channel
    blur_px: float  # of the lens, standard deviation
    noise: float  # standard deviation at mid grey, linear
    brightness: float  # target mean brightness of the hand


def sample_sensor(rng: np.random.Generator, is_grey: bool) -> Sensor:
    """Sample the sensor of one camera."""
    return Sensor(
        is_grey=is_grey,
        balance=rng.uniform(0.94, 1.06, 3).astype(np.float32),
        blur_px=rng.uniform(0.35, 0.65),
        noise=rng.uniform(0.003, 0.014),
        brightness=rng.uniform(0.17, 0.36),
    )


def photograph(
    rendering: Rendering,
    background: NDArray[np.float32],
    sensor: Sensor,
    white: NDArray[np.float32],
    rng: np.random.Generator,
    degradation: Degradation,
) -> NDArray[np.uint8]:
    """Form the image: (H, W, 3) RGB, or (H, W) for a grey camera.

    Args:
        rendering: of the hand, linear.
        background: (H, W, 3) linear.
        sensor: of the camera.
        white: a long vector of normal noise to slice.
        rng: of the image.
        degradation: how much worse the image is than the sensor.
    """
    gain = _exposure(rendering, sensor.brightness)
    radiance, coverage = rendering.radiance, rendering.coverage
    if degradation.motion_px is not None and not degradation.whole_moves:
        radiance, coverage = (smear(x, degradation.motion_px) for x in (radiance, coverage))
    light: FloatArray = radiance * (gain * sensor.balance) + background * (1 - coverage[..., None])
    if degradation.motion_px is not None and degradation.whole_moves:
        light = smear(light, degradation.motion_px)
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), hypot(sensor.blur_px, degradation.blur_px)))
    if degradation.gain is not None:
        light = light * degradation.gain
    if degradation.size is not None:
        light = np.asarray(cv2.resize(light, degradation.size, interpolation=cv2.INTER_AREA))
    if sensor.is_grey:
        light = light @ GREY
    noise = _noise_slice(white, light.size, rng).reshape(light.shape)
    strength = sensor.noise * degradation.noise
    light = light + strength * noise * np.sqrt(0.05 + 1.8 * np.maximum(light, 0))
    levels = (np.clip(light, 0, 1) * (LEVELS - 1)).astype(np.uint16)
    picture = np.asarray(TONE_CURVE[levels])
    if degradation.size is not None:
        size = background.shape[1::-1]
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return picture


def _noise_slice(
    white: NDArray[np.float32], size: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A random slice of the noise, which is repeated if too short."""
    if len(white) <= size:
        white = np.resize(white, 2 * size)
    start = int(rng.integers(0, len(white) - size))
    return white[start : start + size]


def _exposure(rendering: Rendering, brightness: float) -> float:
    """Gain that brings the hand closer to `brightness`, limited by BRIGHTEST."""
    light = rendering.radiance[rendering.coverage > 0.5]  # (P, 3)
    if len(light) == 0:
        return 1.0
    wanted = float((brightness / max(float((light @ GREY).mean()), 1e-3)) ** 0.4)
    peak = np.partition(light.max(1), -len(light) // 200 - 1)[-len(light) // 200 - 1]
    return min(wanted, BRIGHTEST / max(float(peak), 1e-3))
