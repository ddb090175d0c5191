"""Camera rig of a synthetic capture: cameras around the hand that face its palm or its back.

The rig's frame has its origin at the hand, x right, y up, z to the front. Its pose in the world is
arbitrary, as in a calibrated studio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handpose.synthetic.sensor import Sensor, sample_sensor
from handpose.synthetic.writer import WorldCamera

CAMERAS = (12, 24)
"""Minimum and maximum number of cameras of a rig."""
HAND_M = 0.20
"""Length of an open hand, wrist to fingertips."""
CLOSE_UP = 1.45
"""Zoom of one camera per rig, whose frame truncates the hand."""
GREY_SHARE = 0.25
PORTRAIT_SHARE = 0.6


@dataclass(frozen=True)
class Rig:
    """The cameras of one capture."""

    cameras: tuple[WorldCamera, ...]
    sensors: tuple[Sensor, ...]
    to_world: NDArray[np.float64]  # (3, 3) rig -> world
    origin: NDArray[np.float64]  # (3,) m, the rig's origin in the world

    def from_rig(self, index: int) -> NDArray[np.float64]:
        """(3, 3) rig -> camera, for directions."""
        return self.cameras[index].R @ self.to_world


def sample_rig(
    rng: np.random.Generator,
    image_px: tuple[int, int],
    *,
    back_cameras: float,
    spread_deg: tuple[float, float],
    roll_deg: float,
    distance_m: tuple[float, float],
    filled: tuple[float, float],
) -> Rig:
    """Sample a rig whose frames have these long and short sides, portrait or landscape.

    Args:
        rng: of the capture.
        image_px: long and short side of the frames.
        back_cameras: fraction of cameras that face the back of an upright hand.
        spread_deg: greatest azimuth from the middle of the front or the back, and greatest
            elevation.
        roll_deg: standard deviation of a camera's rotation about its optical axis.
        distance_m: least and greatest distance of a camera from the hand.
        filled: least and greatest fraction of the frame's short side that an open hand fills which
            faces the camera.
    """
    azimuth_rad, elevation_rad = np.deg2rad(spread_deg)
    to_world, origin = _any_rotation(rng), rng.normal(0, 0.4, 3)
    count = int(rng.integers(CAMERAS[0], CAMERAS[1] + 1))
    numbers = rng.choice(np.arange(2, 73), count, replace=False)
    cameras, sensors = [], []
    for number, azimuth, zoom in zip(
        numbers,
        _azimuths(rng, count, back_cameras, azimuth_rad),
        [CLOSE_UP] + [1] * (count - 1),
        strict=True,
    ):
        elevation = rng.uniform(-elevation_rad, elevation_rad)
        R, away = _look_at_origin(azimuth, elevation, rng.normal(0, np.deg2rad(roll_deg)))
        centre = away * rng.uniform(*distance_m)
        size = image_px if rng.uniform() > PORTRAIT_SHARE else image_px[::-1]
        K = _intrinsics(rng, size, filled, zoom * float(np.linalg.norm(centre)))
        is_grey = bool(rng.uniform() < GREY_SHARE)
        name = f"{410 if is_grey else 400}{number:03d}"
        cameras.append(WorldCamera(name, R @ to_world.T, origin + to_world @ centre, K, size))
        sensors.append(sample_sensor(rng, is_grey))
    return Rig(tuple(cameras), tuple(sensors), to_world, origin)


def _azimuths(
    rng: np.random.Generator, count: int, back_cameras: float, greatest: float
) -> NDArray[np.float64]:
    """Jittered azimuths, spread over both sectors: (count,) rad about y, 0 from the front."""
    backs = round(count * back_cameras)
    sectors = []
    for size, middle in ((count - backs, 0), (backs, np.pi)):
        fraction = (np.arange(size) + rng.uniform(0, 1, size)) / size  # 0..1
        sectors.append(middle + greatest * (2 * rng.permutation(fraction) - 1))
    return np.concatenate(sectors)


def _look_at_origin(
    azimuth: float, elevation: float, roll: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A camera that looks at the hand: R (3, 3) rig -> camera and the unit vector towards it."""
    level = np.cos(elevation)
    away = np.array([np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level])
    forward = -away
    right = np.cross(forward, (0, 1, 0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    right, down = (
        np.cos(roll) * right + np.sin(roll) * down,
        np.cos(roll) * down - np.sin(roll) * right,
    )
    return np.stack([right, down, forward]), away


def _intrinsics(
    rng: np.random.Generator, size: tuple[int, int], filled: tuple[float, float], distance: float
) -> NDArray[np.float64]:
    """(3, 3) px, such that an open hand at this distance fills such a fraction of the frame."""
    focal = rng.uniform(*filled) * min(size) * distance / HAND_M * rng.normal(1, 0.002, 2)
    middle = (np.array(size) - 1) / 2 + rng.normal(0, 0.015, 2) * min(size)
    return np.array([[focal[0], 0, middle[0]], [0, focal[1], middle[1]], [0, 0, 1]])


def _any_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """(3, 3) uniform over all rotations, from a random quaternion."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
