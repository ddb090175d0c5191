"""Draws objects of simple shape with simple shading: pens, balls, boxes, cups, cloth.

Lit from above by a key light and evenly by the room. Colours are linear. Coordinates of a sheet: x
right, y down, z towards the camera.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.surface import FloatArray
from handpose.synthetic.background import sample_colour

AMBIENT, KEY = 0.35, 0.75
CLOTH_PX = 3
"""Pixels of the picture for one of a cloth's, which are many."""


class Sheet(NamedTuple):
    """An object on an empty sheet."""

    picture: NDArray[np.float32]  # (h, w, 4) linear RGB premultiplied by coverage, and coverage
    anchor: FloatArray  # (2,) px, the place that is put on the hand


class _Grid(NamedTuple):
    """Coordinates of a sheet's pixels along and across an object, in units of the hand."""

    u: FloatArray  # (h, w)
    v: FloatArray
    light: FloatArray  # (3,) unit, towards the key light, in the frame of u, v and z


def draw_object(rng: np.random.Generator, size_px: float) -> Sheet:
    """A pen or bar, ball, box, or cup, for a hand of this size."""
    kinds = (_bar, _bar, _ball, _box, _cup)
    return kinds[rng.integers(len(kinds))](rng, size_px)


def cloth_edge(
    rng: np.random.Generator, size_px: float, frame_px: int, outwards: FloatArray
) -> Sheet:
    """Cloth that hangs into the picture (of this longer side) from outside, with a wavy edge."""
    half = frame_px / size_px
    grid = _grid(rng, size_px / CLOTH_PX, half, half, float(np.arctan2(outwards[1], outwards[0])))
    wave = 0.12 * np.sin(rng.uniform(1, 4) * grid.v + rng.uniform(0, 6))
    steep, bend = rng.uniform(3, 9), rng.uniform(-0.6, 0.6)
    phase = steep * (grid.v + bend * grid.u) + rng.uniform(0, 6)
    slope = rng.uniform(0.2, 0.9) * np.cos(phase)  # of the folds
    shade = _shade(grid, np.zeros_like(slope), slope)
    pattern: FloatArray = np.zeros_like(slope)
    if rng.uniform() < 0.5:
        pattern = _edge(np.sin(rng.uniform(8, 25) * (grid.u if rng.uniform() < 0.5 else grid.v)))
    hem = _edge(0.06 - (grid.u - wave))
    colour = _mix(rng, pattern) * (1 - 0.4 * hem[..., None])
    small = _sheet(rng, size_px / CLOTH_PX, colour * shade[..., None], grid.u > wave).picture
    large = np.asarray(cv2.resize(small, None, fx=CLOTH_PX, fy=CLOTH_PX), np.float32)
    return Sheet(large, np.array(large.shape[1::-1]) / 2)


def _bar(rng: np.random.Generator, size_px: float) -> Sheet:
    """A pen, stick or pipe, with a pointed end or bands."""
    radius = np.exp(rng.uniform(np.log(0.04), np.log(0.16)))
    length = rng.uniform(0.5, 2.2)  # half of it
    grid = _grid(rng, size_px, length, radius, rng.uniform(0, 2 * np.pi))
    point = radius * rng.uniform(1, 4) * (rng.uniform() < 0.6)
    own = radius * np.clip((length - grid.u) / max(point, 1e-3), 0.15, 1)  # radius at each place
    across = np.clip(grid.v / own, -1, 1)
    shade = _shade(grid, np.zeros_like(across), across, shine=rng.uniform(0, 0.5))
    pattern = _edge(grid.u - length + point)
    if rng.uniform() < 0.5:
        pattern = np.maximum(pattern, _edge(0.06 - np.abs(grid.u - rng.uniform(-1, 1) * length)))
    colour = _mix(rng, pattern) * shade[..., None]
    return _sheet(rng, size_px, colour, (np.abs(grid.u) < length) & (np.abs(grid.v) < own))


def _ball(rng: np.random.Generator, size_px: float) -> Sheet:
    """A ball of one colour or with a band."""
    radius = rng.uniform(0.18, 0.6)
    grid = _grid(rng, size_px, radius, radius, rng.uniform(0, 2 * np.pi))
    x, y = grid.u / radius, grid.v / radius
    inside = x * x + y * y < 1
    shade = _shade(grid, x, y, shine=rng.uniform(0, 0.6))
    seam = x - rng.uniform(-0.8, 0.8) + rng.uniform(-0.5, 0.5) * y * y
    pattern = _edge(rng.uniform(0.05, 0.5) - np.abs(seam)) * (rng.uniform() < 0.5)
    return _sheet(rng, size_px, _mix(rng, pattern) * shade[..., None], inside)


def _box(rng: np.random.Generator, size_px: float) -> Sheet:
    """A box of any proportions, such as a phone or a book, with one to three faces in view."""
    sides = np.exp(rng.uniform(np.log(0.08), np.log(0.55), 3))
    reach = float(np.linalg.norm(sides))
    grid = _grid(rng, size_px, reach, reach, 0.0)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]  # (3, 3) rows: the box's directions
    axes *= np.where(axes[:, 2:] < 0, -1, 1)  # the faces towards the camera
    colours = np.stack([sample_colour(rng)] * 3) * rng.uniform(0.7, 1.3, (3, 1))
    painted = rng.uniform() < 0.5
    label = sample_colour(rng)
    colour, inside = np.zeros((*grid.u.shape, 3)), np.zeros(grid.u.shape, bool)
    places = np.stack([grid.u, grid.v], -1)  # (h, w, 2)
    for k in range(3):
        one, other = (k + 1) % 3, (k + 2) % 3
        spans = np.stack([axes[one, :2] * sides[one], axes[other, :2] * sides[other]], 1)
        if abs(np.linalg.det(spans)) < 1e-4:
            continue
        within = (places - axes[k, :2] * sides[k]) @ np.linalg.inv(spans).T  # (h, w, 2) -1..1
        face = (np.abs(within) < 1).all(-1)
        shade = AMBIENT + KEY * max(float(axes[k] @ grid.light), 0)
        middle = face & (np.abs(within) < 0.8).all(-1) & painted
        colour[face] = colours[k] * shade
        colour[middle] = label * shade
        inside |= face
    return _sheet(rng, size_px, colour, inside)


def _cup(rng: np.random.Generator, size_px: float) -> Sheet:
    """A cup, bottle or can: a tapered cylinder with an open top, perhaps a handle and a label."""
    radius, height = rng.uniform(0.18, 0.45), rng.uniform(0.3, 0.8)
    tilt = rng.uniform(0.1, 0.4)  # height of the rim's ellipse by its width
    angle = np.pi / 2 + rng.normal(0, 0.5)
    grid = _grid(rng, size_px, height + tilt * radius, 1.7 * radius, angle)
    own = radius * (1 - rng.uniform(0, 0.25) * (grid.u + height) / (2 * height))
    across = np.clip(grid.v / own, -1, 1)
    round_off = tilt * own * np.sqrt(1 - across**2)
    body = (np.abs(grid.v) < own) & (grid.u > -height) & (grid.u < height + round_off)
    rim = np.hypot((grid.u + height) / (tilt * radius), grid.v / radius)
    away = np.hypot((grid.v - radius) / (0.6 * radius), grid.u / (0.6 * height))
    handle = (np.abs(away - 0.8) < 0.2) & (grid.v > 0) & (rng.uniform() < 0.6) & ~body
    shade = _shade(grid, np.zeros_like(across), across, shine=rng.uniform(0, 0.4))
    shade = np.where(rim < 1, 0.3 + 0.25 * across, np.where(handle, 0.6, shade))
    shade = np.where((rim < 1) & (rim > 0.88), 0.9, shade)
    low, high = np.sort(rng.uniform(-0.8, 0.8, 2)) * height
    label = _edge(grid.u - round_off - low) * _edge(high + round_off - grid.u)
    pattern = label * body * (rim > 1) * (rng.uniform() < 0.6)
    return _sheet(rng, size_px, _mix(rng, pattern) * shade[..., None], body | (rim < 1) | handle)


def _grid(
    rng: np.random.Generator, size_px: float, along: float, across: float, angle: float
) -> _Grid:
    """The sheet that holds an object of these half lengths, u turned by `angle` from x to y."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    half_x = abs(cos) * along + abs(sin) * across
    half_y = abs(sin) * along + abs(cos) * across
    columns, rows = (int(np.ceil(half * size_px)) + 4 for half in (half_x, half_y))
    y, x = np.mgrid[-rows : rows + 1, -columns : columns + 1].astype(np.float32) / size_px
    side, height = rng.normal(0, 0.7), rng.uniform(0.2, 1.0)
    light = np.array([side, -1.0, height]) / np.sqrt(side * side + 1 + height * height)
    turned = np.array([cos * light[0] + sin * light[1], cos * light[1] - sin * light[0], light[2]])
    return _Grid(cos * x + sin * y, cos * y - sin * x, turned)


def _shade(
    grid: _Grid, normal_u: FloatArray, normal_v: FloatArray, shine: float = 0.0
) -> FloatArray:
    """Light reflected by a white surface of these slopes: (h, w)."""
    normal_z = np.sqrt(np.maximum(1 - normal_u**2 - normal_v**2, 0))
    facing = normal_u * grid.light[0] + normal_v * grid.light[1] + normal_z * grid.light[2]
    shade = AMBIENT * (0.5 + 0.5 * normal_z) + KEY * np.maximum(facing, 0)
    return np.asarray(shade + shine * np.maximum(facing, 0) ** 24)


def _edge(signed: FloatArray) -> FloatArray:
    """0 below zero, 1 above, soft over a little more than a pixel."""
    return np.asarray(np.clip(0.5 + 30.0 * signed, 0, 1))


def _mix(rng: np.random.Generator, pattern: FloatArray) -> FloatArray:
    """Two colours of a material, mixed by the pattern: (h, w, 3)."""
    one, other = sample_colour(rng), sample_colour(rng)
    return np.asarray(one + (other - one) * pattern[..., None])


def _sheet(
    rng: np.random.Generator, size_px: float, colour: FloatArray, inside: NDArray[np.bool_]
) -> Sheet:
    """The object in its outline, a little out of focus, held at its middle."""
    layers = np.dstack([colour * inside[..., None], inside]).astype(np.float32)
    blurred = cv2.GaussianBlur(layers, (0, 0), rng.uniform(0.5, 1.3) * max(1.0, size_px / 70))
    return Sheet(np.asarray(blurred), np.array(inside.shape[::-1]) / 2)
