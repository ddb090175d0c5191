"""Procedural clutter: faces, clothes, skin-coloured shapes, furniture and writing behind the hand.

Drawn in 8 bits, where OpenCV draws fast and antialiased, and returned as linear light.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.surface import FloatArray
from handpose.synthetic.background import sample_colour
from handpose.synthetic.sensor import LEVELS, LINEAR, TONE_CURVE
from handpose.synthetic.skin import BARE, BLOOD, BROWN, MELANIN

Picture = NDArray[np.uint8]  # (H, W, 3) sRGB
Colour = tuple[int, int, int]
SUBPIXEL = 4
"""Bits after the point in the coordinates that OpenCV gets."""


def clutter_backdrop(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """A room full of things, perhaps with people, near focus or not: (H, W, 3) linear."""
    width, height = size
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = sample_albedo(rng)
    for _ in range(rng.integers(1, 5)):
        _add_furniture(rng, picture)
    things: list[Callable[[np.random.Generator, Picture], None]]
    things = [_add_person, _add_cloth, _add_limb, _add_writing]
    for kind in rng.choice(4, rng.integers(1, 4), p=[0.34, 0.22, 0.26, 0.18]):
        things[kind](rng, picture)
    if rng.uniform() < 0.7:
        picture[:] = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 3.0) * min(size) / 160)
    light = LINEAR[picture]
    light *= cv2.resize(_uneven(rng), size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.maximum(light, 0), np.float32)


def sample_skin_tone(rng: np.random.Generator) -> FloatArray:
    """Albedo of somebody's skin, by the pigments of `skin.py`: (3,) linear."""
    melanin, blood = rng.uniform(0.03, 2.0), rng.uniform(0.2, 0.7)
    return np.asarray(
        BARE * np.exp(-melanin * MELANIN - (1 - np.exp(-melanin)) * BROWN - blood * BLOOD)
    )


def sample_albedo(rng: np.random.Generator) -> Colour:
    """The 8-bit colour of a thing."""
    return _in_8_bits(sample_colour(rng))


def _in_8_bits(light: FloatArray) -> Colour:
    red, green, blue = TONE_CURVE[(np.clip(light, 0, 1) * (LEVELS - 1)).astype(np.intp)]
    return int(red), int(green), int(blue)


def _uneven(rng: np.random.Generator) -> NDArray[np.float32]:
    """Light that changes over the room: (3, 3, 3), warm or cool."""
    level = np.exp(rng.uniform(-0.7, 0.3) + rng.normal(0, 0.25, (3, 3, 1)))
    return np.asarray(level * (1 + rng.uniform(-0.12, 0.12, 3)), np.float32)


def _add_furniture(rng: np.random.Generator, picture: Picture) -> None:
    """A cupboard, shelf, window or screen: a slanted panel with parts, rims and shadow lines."""
    panel = _panel(rng, picture, (0.15, 0.9), 0.08)
    face = sample_albedo(rng)
    _fill(picture, panel, face)
    columns, rows = rng.integers(1, 5), rng.integers(1, 4)
    edge, dark = _shaded(face, rng.uniform(1.1, 1.6)), _shaded(face, rng.uniform(0.3, 0.8))
    books = rng.uniform() < 0.25
    for k in range(columns):
        for j in range(rows):
            cell = _cell(
                panel, (k + 0.07) / columns, (j + 0.07) / rows, 0.86 / columns, 0.86 / rows
            )
            if books:
                _fill(picture, cell, sample_albedo(rng))
            elif rng.uniform() < 0.7:
                _outline(picture, cell, dark, 1)
                _outline(picture, cell + 1, edge, 1)
    _outline(picture, panel, dark, int(rng.integers(1, 3)))


def _add_cloth(rng: np.random.Generator, picture: Picture) -> None:
    """A curtain or garment with folds, plain, striped or checked."""
    height, width = picture.shape[:2]
    centre = rng.uniform(0, 1, 2) * (width, height)
    shape = _blob(rng, centre, np.exp(rng.uniform(np.log(0.25), np.log(1.2))) * height)
    _fill_cloth(rng, picture, shape)


def _fill_cloth(rng: np.random.Generator, picture: Picture, shape: FloatArray) -> None:
    """Fill this outline (M, 2) px with cloth, in place. The pattern is drawn at half size."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0 : height / 2, 0 : width / 2].astype(np.float32) * np.float32(4 / height)
    angle, bend = rng.uniform(0, np.pi), rng.uniform(0, 1.2)
    along = np.cos(angle) * x + np.sin(angle) * y
    across = np.cos(angle) * y - np.sin(angle) * x
    across = across + bend * 0.1 * np.sin(rng.uniform(2, 6) * along + rng.uniform(0, 6))
    folds = 1 + rng.uniform(0, 0.45) * np.sin(rng.uniform(4, 18) * across + 2 * np.sin(2 * along))
    one, other = sample_colour(rng), sample_colour(rng)
    pitch, kind = rng.uniform(12, 60), rng.uniform()
    pattern = np.zeros_like(x)
    if kind > 0.4:
        pattern = np.clip(0.5 + 3 * (np.sin(pitch * across) - rng.uniform(-0.6, 0.8)), 0, 1)
    if kind > 0.75:
        checks = np.clip(0.5 + 3 * (np.sin(pitch * along) - rng.uniform(-0.6, 0.8)), 0, 1)
        pattern = (pattern + checks) / 2
    cloth = (one + (other - one) * pattern[..., None]) * folds[..., None]
    eight = TONE_CURVE[(np.clip(cloth, 0, 1) * (LEVELS - 1)).astype(np.uint16)]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [shape.astype(np.int32)], 255)
    cv2.copyTo(cv2.resize(eight, (width, height)), mask, picture)


def _add_person(rng: np.random.Generator, picture: Picture) -> None:
    """Head, hair, eyes, mouth, neck and shoulders, upright or a little tilted."""
    height, width = picture.shape[:2]
    size = np.exp(rng.uniform(np.log(0.10), np.log(0.38))) * height  # half a head
    centre = rng.uniform((0.05, 0.05), (0.95, 0.75)) * (width, height)
    tilt, turn = rng.normal(0, 0.2), rng.uniform(-0.35, 0.35)
    skin = sample_skin_tone(rng) * rng.uniform(0.5, 1.0)
    face, shade = _in_8_bits(skin), _in_8_bits(0.6 * skin)
    hair = _in_8_bits(rng.choice([0.01, 0.03, 0.12, 0.4]) * np.array([1.2, 0.9, 0.6]))

    def at(x: float, y: float) -> FloatArray:
        """Pixels of a place in the head: x to the side, y down, 1 half a head."""
        cos, sin = np.cos(tilt), np.sin(tilt)
        return np.asarray(centre + size * np.array([cos * x - sin * y, sin * x + cos * y]))

    def oval(x: float, y: float, axes: tuple[float, float], colour: Colour) -> None:
        _ellipse(picture, at(x, y), size * np.array(axes), tilt, colour)

    long_hair = rng.uniform() < 0.4
    oval(0, 0.25 if long_hair else -0.2, (0.9, 1.25 if long_hair else 0.9), hair)
    body = [(-0.4, 0.9), (0.4, 0.9), (0.6, 1.3), (1.9, 1.8), (2.2, 5), (-2.2, 5), (-1.9, 1.8)]
    _fill_cloth(rng, picture, np.array([at(*place) for place in [*body, (-0.6, 1.3)]]))
    _fill(
        picture,
        np.array([at(x, y) for x, y in ((-0.4, 0.5), (0.4, 0.5), (0.3, 1.5), (-0.3, 1.5))]),
        shade,
    )
    oval(0, 0, (0.72, 1.0), face)
    oval(-0.3 * np.sign(turn), 0.1, (0.35, 0.7), _in_8_bits(0.85 * skin))
    oval(0.1 * turn, -0.82, (0.7, rng.uniform(0.2, 0.45)), hair)
    for side in (-1, 1):
        x = turn + 0.3 * side
        oval(x, -0.1, (0.12, 0.05), _in_8_bits(np.full(3, 0.35)))
        oval(x + 0.03, -0.1, (0.06, 0.06), (25, 20, 18))
        oval(x, -0.27, (0.17, 0.035), hair)
    oval(turn * 1.2, 0.2, (0.09, 0.2), shade)
    oval(turn, 0.55, (0.25, rng.uniform(0.03, 0.12)), _in_8_bits(skin * (0.7, 0.4, 0.4)))


def _add_limb(rng: np.random.Generator, picture: Picture) -> None:
    """A few skin-coloured tapered rods with a round shade: arms, legs or fingers of others."""
    height, width = picture.shape[:2]
    skin = sample_skin_tone(rng) * rng.uniform(0.5, 1.0)
    start = rng.uniform(-0.1, 1.1, 2) * (width, height)
    heading = rng.uniform(0, 2 * np.pi)
    thick = np.exp(rng.uniform(np.log(0.015), np.log(0.13))) * height
    for _ in range(rng.integers(1, 5)):
        angle = heading + rng.normal(0, 0.35)
        end = start + thick * rng.uniform(3, 9) * np.array([np.cos(angle), np.sin(angle)])
        side = thick * np.array([-np.sin(angle), np.cos(angle)])
        for share in (1.0, 0.75, 0.5, 0.25):  # lighter towards the middle, off to one side
            colour = _in_8_bits(skin * (1.0 - 0.45 * share))
            shift = 0.25 * (1 - share) * side
            _fill(
                picture,
                np.array(
                    [
                        start + share * side,
                        end + 0.7 * share * side,
                        end - 0.7 * share * side,
                        start - share * side,
                    ]
                )
                + shift,
                colour,
            )
            _ellipse(picture, end + shift, np.full(2, 0.7 * share * thick), 0, colour)
            _ellipse(picture, start + shift, np.full(2, share * thick), 0, colour)
        start = start + rng.normal(0, 0.8) * 2 * side


def _add_writing(rng: np.random.Generator, picture: Picture) -> None:
    """Lines of short strokes on a sheet, sign or screen."""
    sheet = _panel(rng, picture, (0.2, 0.7), 0.1)
    paper, ink = sample_albedo(rng), sample_albedo(rng)
    if rng.uniform() < 0.8:
        _fill(picture, sheet, paper)
    rows = int(rng.integers(2, 9))
    for row in range(rows):
        letters = int(rng.integers(3, 14))
        for letter in range(letters):
            if rng.uniform() < 0.15:
                continue
            cell = _cell(sheet, 0.05 + 0.9 * letter / 14, (row + 0.2) / rows, 0.05, 0.55 / rows)
            strokes = cell[0] + (cell[1] - cell[0]) * rng.uniform(0, 1, (4, 1))
            strokes = strokes + (cell[3] - cell[0]) * rng.uniform(0, 1, (4, 1))
            cv2.polylines(picture, [_fixed(strokes)], False, ink, 1, cv2.LINE_AA, SUBPIXEL)


def _panel(
    rng: np.random.Generator, picture: Picture, sides: tuple[float, float], slant: float
) -> FloatArray:
    """Corners (4, 2) px of a slanted rectangle; its sides are fractions of the height."""
    height, width = picture.shape[:2]
    corner = rng.uniform(-0.3, 0.8, 2) * (width, height)
    across, down = (rng.uniform(*sides, (2, 1)) * np.eye(2) + rng.normal(0, slant, (2, 2))) * height
    return np.stack([corner, corner + across, corner + across + down, corner + down])


def _cell(panel: FloatArray, x: float, y: float, width: float, height: float) -> FloatArray:
    """Corners (4, 2) of a part of a panel (4, 2), in fractions of its sides."""
    places = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
    across, down = panel[1] - panel[0], panel[3] - panel[0]
    return np.asarray(panel[0] + places[:, :1] * across + places[:, 1:] * down)


def _blob(rng: np.random.Generator, centre: FloatArray, reach: float) -> FloatArray:
    """A smooth closed outline: (24, 2) px."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    waves = sum(rng.normal(0, 0.25 / k) * np.cos(k * angle + rng.uniform(0, 6)) for k in (1, 2, 3))
    radius = reach * np.maximum(1 + waves, 0.2)
    return np.asarray(centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1))


def _fixed(points: FloatArray) -> NDArray[np.int32]:
    return np.asarray(np.rint(points * (1 << SUBPIXEL)), np.int32)


def _fill(picture: Picture, outline: FloatArray, colour: Colour) -> None:
    cv2.fillPoly(picture, [_fixed(outline)], colour, cv2.LINE_AA, SUBPIXEL)


def _outline(picture: Picture, outline: FloatArray, colour: Colour, thick: int) -> None:
    cv2.polylines(picture, [_fixed(outline)], True, colour, thick, cv2.LINE_AA, SUBPIXEL)


def _ellipse(
    picture: Picture, centre: FloatArray, axes: FloatArray, tilt: float, colour: Colour
) -> None:
    (x, y), (a, b) = _fixed(centre), _fixed(np.maximum(axes, 0.3))
    angle = float(np.rad2deg(tilt))
    cv2.ellipse(
        picture,
        (int(x), int(y)),
        (int(a), int(b)),
        angle,
        0,
        360,
        colour,
        -1,
        cv2.LINE_AA,
        SUBPIXEL,
    )


def _shaded(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(factor * value)) for value in colour)
    return red, green, blue
