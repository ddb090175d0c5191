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
AZIMUTH_RAD = np.deg2rad(60)
ELEVATION_RAD = np.deg2rad(30)
ROLL_RAD = np.deg2rad(8)
DISTANCE_M = (0.65, 1.05)
HAND_M = 0.20
"""Length of an open hand, wrist to fingertips."""
FILLED = (0.60, 0.78)
"""Fraction of the frame's short side that an open hand facing the camera fills."""
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


def sample_rig(rng: np.random.Generator, image_px: tuple[int, int], back_cameras: float) -> Rig:
    """Sample a rig whose frames have these long and short sides, portrait or landscape.

    `back_cameras` is the fraction of cameras that face the back of an upright hand.
    """
    to_world, origin = _any_rotation(rng), rng.normal(0, 0.4, 3)
    count = int(rng.integers(CAMERAS[0], CAMERAS[1] + 1))
    numbers = rng.choice(np.arange(2, 73), count, replace=False)
    cameras, sensors = [], []
    for number, azimuth, zoom in zip(
        numbers, _azimuths(rng, count, back_cameras), [CLOSE_UP] + [1] * (count - 1), strict=True
    ):
        R, centre = _look_at_origin(rng, azimuth)
        size = image_px if rng.uniform() > PORTRAIT_SHARE else image_px[::-1]
        K = _intrinsics(rng, size, zoom * float(np.linalg.norm(centre)))
        is_grey = bool(rng.uniform() < GREY_SHARE)
        name = f"{410 if is_grey else 400}{number:03d}"
        cameras.append(WorldCamera(name, R @ to_world.T, origin + to_world @ centre, K, size))
        sensors.append(sample_sensor(rng, is_grey))
    return Rig(tuple(cameras), tuple(sensors), to_world, origin)


def _azimuths(rng: np.random.Generator, count: int, back_cameras: float) -> NDArray[np.float64]:
    """Jittered azimuths, spread over both sectors: (count,) rad about y, 0 from the front."""
    backs = round(count * back_cameras)
    sectors = []
    for size, middle in ((count - backs, 0), (backs, np.pi)):
        fraction = (np.arange(size) + rng.uniform(0, 1, size)) / size  # 0..1
        sectors.append(middle + AZIMUTH_RAD * (2 * rng.permutation(fraction) - 1))
    return np.concatenate(sectors)


def _look_at_origin(
    rng: np.random.Generator, azimuth: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A camera that looks at the hand: R (3, 3) rig -> camera and its centre (3,) m."""
    elevation = rng.uniform(-ELEVATION_RAD, ELEVATION_RAD)
    level = np.cos(elevation)
    away = np.array([np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level])
    forward = -away
    right = np.cross(forward, (0, 1, 0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    roll = rng.normal(0, ROLL_RAD)
    right, down = (
        np.cos(roll) * right + np.sin(roll) * down,
        np.cos(roll) * down - np.sin(roll) * right,
    )
    return np.stack([right, down, forward]), away * rng.uniform(*DISTANCE_M)


def _intrinsics(
    rng: np.random.Generator, size: tuple[int, int], distance: float
) -> NDArray[np.float64]:
    """(3, 3) px, such that an open hand at this distance fills a fraction FILLED of the frame."""
    focal = rng.uniform(*FILLED) * min(size) * distance / HAND_M * rng.normal(1, 0.002, 2)
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
