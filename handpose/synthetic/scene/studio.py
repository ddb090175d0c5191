"""A dark studio: a near-black dome with rows of small bright lamps, struts and cameras, defocused.

What InterHand2.6M's cameras see behind the hand. Colours are linear.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.surface import FloatArray

GLOW = 0.04
"""Share of a lamp's light that the lens spreads around it."""


class Studio(NamedTuple):
    """The studio of a capture; lengths are fractions of the picture's height."""

    wall: FloatArray  # (3,) linear RGB
    strut: FloatArray  # (3,)
    lamp: FloatArray  # (3,)
    rows: int  # of lamps that a camera may see
    spacing: float  # between the lamps of a row
    radius: float  # of a lamp, defocus included
    blur: float  # standard deviation


def sample_studio(rng: np.random.Generator, share: float) -> Studio | None:
    """Sample the dark studio of a capture; None for all but this share of captures."""
    if rng.uniform() >= share:
        return None
    tint = 1 + rng.uniform(-0.3, 0.3, 3)
    return Studio(
        wall=rng.uniform(0.001, 0.008) * tint,
        strut=rng.uniform(0.008, 0.04) * tint,
        lamp=np.exp(rng.uniform(np.log(0.25), np.log(4))) * (1 + rng.uniform(-0.15, 0.15, 3)),
        rows=int(rng.integers(2, 8)),
        spacing=rng.uniform(0.05, 0.2),
        radius=rng.uniform(0.006, 0.02),
        blur=rng.uniform(0.008, 0.02),
    )


def studio_backdrop(
    rng: np.random.Generator, size: tuple[int, int], studio: Studio
) -> NDArray[np.float32]:
    """What one camera sees of the studio: (H, W, 3). Drawn at half size and enlarged."""
    width, height = (-(-side // 2) for side in size)
    room = _wall(rng, (width, height), studio.wall)
    for _ in range(rng.integers(0, 3)):
        _add_body(rng, room, studio)
    hub = rng.uniform(-0.6, 1.6, 2) * (width, height)  # where the struts of the dome meet
    for _ in range(rng.integers(2, 7)):
        _add_line(rng, room, hub, studio.strut * rng.uniform(0.3, 1.5))
    lamps = np.zeros_like(room)
    for _ in range(rng.integers(1, studio.rows + 1)):
        _add_row(rng, lamps, hub, studio)
    soft = cv2.GaussianBlur(room, (0, 0), 2 * studio.blur * height)  # farther than the lamps
    soft = soft + cv2.GaussianBlur(lamps, (0, 0), studio.blur * height)
    soft = soft + GLOW * cv2.GaussianBlur(lamps, (0, 0), 0.06 * height)
    enlarged = cv2.resize(soft, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged[: size[1], : size[0]], np.float32)


def _wall(
    rng: np.random.Generator, size: tuple[int, int], colour: FloatArray
) -> NDArray[np.float32]:
    """Darkness that changes slowly over the picture: (h, w, 3)."""
    uneven = cv2.resize(rng.uniform(0.3, 1.7, (3, 3, 1)), size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.maximum(uneven, 0.2)[..., None] * colour, np.float32)


def _add_body(rng: np.random.Generator, room: NDArray[np.float32], studio: Studio) -> None:
    """Something large and dim, a dark garment or a chair, in place."""
    height, width = room.shape[:2]
    centre = rng.uniform(0, 1, 2) * (width, height)
    axes = np.exp(rng.uniform(np.log(0.15), np.log(0.6), 2)) * height
    colour = studio.wall + rng.uniform(0.0, 0.02) * rng.uniform(0.3, 1, 3)
    cv2.ellipse(room, _point(centre), _point(axes), rng.uniform(0, 180), 0, 360, _bgr(colour), -1)


def _add_line(
    rng: np.random.Generator, room: NDArray[np.float32], hub: FloatArray, colour: FloatArray
) -> None:
    """A strut through or around the hub of the dome, in place."""
    height = room.shape[0]
    thick = max(1, round(rng.uniform(0.005, 0.03) * height))
    if rng.uniform() < 0.6:
        angle = rng.uniform(0, 2 * np.pi)
        end = hub + 4 * height * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(room, _point(hub), _point(end), _bgr(colour), thick)
    else:
        radius = rng.uniform(0.3, 2.0) * height
        axes = (int(radius), int(radius * rng.uniform(0.4, 1)) + 1)
        cv2.ellipse(room, _point(hub), axes, 0, 0, 360, _bgr(colour), thick)


def _add_row(
    rng: np.random.Generator, lamps: NDArray[np.float32], hub: FloatArray, studio: Studio
) -> None:
    """Lamps at equal distances on a line or an arc around the hub, in place."""
    height, width = lamps.shape[:2]
    start = rng.uniform(0, 1, 2) * (width, height)
    away = start - hub
    far = float(np.hypot(*away)) + 1e-6
    spacing = studio.spacing * height * rng.uniform(0.8, 1.25)
    steps = np.arange(-12, 13) + rng.uniform()  # (M,)
    if rng.uniform() < 0.6:
        places = start + steps[:, None] * spacing * away / far
    else:
        angle = np.arctan2(away[1], away[0]) + steps * spacing / far
        places = hub + far * np.stack([np.cos(angle), np.sin(angle)], 1)
    radius = studio.radius * rng.uniform(0.7, 1.3)
    colour = studio.lamp * np.exp(rng.normal(0, 0.5))
    shown = (places > -4).all(1) & (places < np.array([width, height]) + 4).all(1)
    for place in places[shown]:
        centre = tuple(int(16 * value) for value in place)
        reach = round(16 * max(radius * height, 0.6))
        cv2.circle(lamps, centre, reach, _bgr(colour), -1, shift=4)


def _point(xy: FloatArray) -> tuple[int, int]:
    """Whole pixels for cv2."""
    return int(xy[0]), int(xy[1])


def _bgr(colour: FloatArray) -> tuple[float, float, float]:
    """A colour for cv2, which keeps the order of its channels."""
    return float(colour[0]), float(colour[1]), float(colour[2])
