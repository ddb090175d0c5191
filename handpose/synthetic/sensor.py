"""Sensor model: exposure, blur, noise, tone curve, and grey cameras."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.render import Rendering
from handpose.render.surface import FloatArray

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
) -> NDArray[np.uint8]:
    """Form the image: (H, W, 3) RGB, or (H, W) for a grey camera.

    Args:
        rendering: of the hand, linear.
        background: (H, W, 3) linear.
        sensor: of the camera.
        white: a long vector of normal noise to slice.
        rng: of the image.
    """
    gain = _exposure(rendering, sensor.brightness)
    open_share = 1 - rendering.coverage[..., None]
    light: FloatArray = rendering.radiance * (gain * sensor.balance) + background * open_share
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), sensor.blur_px))
    if sensor.is_grey:
        light = light @ GREY
    noise = _noise_slice(white, light.size, rng).reshape(light.shape)
    light = light + sensor.noise * noise * np.sqrt(0.05 + 1.8 * np.maximum(light, 0))
    return np.asarray(TONE_CURVE[(np.clip(light, 0, 1) * (LEVELS - 1)).astype(np.uint16)])


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
