"""The stand-in hand as an implicit surface: a signed distance from a few parameters.

The numbers are our own, close to anthropometric means; nothing was measured on MANO. Design frame,
in millimetres: (d, r, h) = distal from the wrist, radial (to the thumb), dorsal (to the back).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Proportions:
    """Scale factors of a hand, one per shape direction; all 1 for the mean hand."""

    size: float = 1.0
    finger_length: float = 1.0
    thickness: float = 1.0
    palm_width: float = 1.0
    palm_length: float = 1.0
    thumb_length: float = 1.0
    palm_thickness: float = 1.0
    tip_width: float = 1.0
    pinky_length: float = 1.0
    knuckles: float = 1.0


@dataclass(frozen=True)
class HandShape:
    """The whole surface of one hand."""

    proportions: Proportions

    @cached_property
    def digits(self) -> dict[str, Digit]:
        """Thumb to pinky."""
        return {name: _digit(name, self.proportions) for name in DIGITS}

    def finger(self, name: str, points: Array) -> Array:
        """Distance to one digit and the palm only: (N, 3) -> (N,)."""
        return _union(self.palm(points), self.digits[name].distance(points), WEB)

    def distance(self, points: Array) -> Array:
        """Distance to the whole hand: (N, 3) mm -> (N,) mm."""
        fingers = [digit.distance(points) for name, digit in self.digits.items() if name != "thumb"]
        hand = fingers[0]
        for finger in fingers[1:]:
            hand = _union(hand, finger, 4.0)
        hand = _union(self.palm(points), hand, WEB)
        return _union(hand, self.digits["thumb"].distance(points), THUMB_WEB)

    def palm(self, points: Array) -> Array:
        """Distance to the palm and wrist without digits: (N, 3) mm -> (N,) mm."""
        p = self.proportions
        scale = np.array([p.palm_length, p.palm_width, p.palm_thickness])
        q = points / scale
        body = _slab(q)
        for start, end, r0, r1, blend in CONES:
            body = _union(body, _cone(q, np.array(start), np.array(end), r0, r1), blend)
        for digit in list(self.digits.values())[1:]:
            knuckle = digit.base / scale + np.array([-2.0, 0.0, 1.5])
            radius = 0.97 * digit.radii[0] / p.thickness * p.knuckles
            body = _union(body, np.linalg.norm(q - knuckle, axis=1) - radius, 6.0)
        return body


@dataclass(frozen=True)
class Digit:
    """A straight finger, or the thumb with its metacarpal: a tube of varying elliptical section."""

    base: Array  # (3,) mm, the first joint
    lengths: Array  # (3,) mm of the bones; the last ends at the tip of the skin
    radii: Array  # (7,) mm at joint, mid-bone, joint, mid-bone, joint, mid-bone, end of the tube
    along: Array  # (3,) unit, to the tip
    dorsal: Array  # (3,) unit, to the nail
    flatness: float  # height over width at the tip
    pad: float  # additional thickness of the palmar side, relative to the back

    @property
    def lateral(self) -> Array:
        """Unit vector to the radial side, (3,)."""
        return np.cross(self.dorsal, self.along)

    @property
    def length(self) -> float:
        """Length of all three bones."""
        return float(self.lengths.sum())

    @cached_property
    def joints(self) -> Array:
        """The three joints and the tip, (4, 3) mm."""
        steps = np.concatenate([[0.0], np.cumsum(self.lengths)])
        return self.base + steps[:, None] * self.along

    @cached_property
    def _tube_end(self) -> float:
        return self.length - CAP * float(self.radii[-1])

    @cached_property
    def _radius(self) -> PchipInterpolator:
        ends = np.concatenate([[0.0], np.cumsum(self.lengths)])
        ends[-1] = self._tube_end
        knots = np.sort(np.concatenate([ends, (ends[:-1] + ends[1:]) / 2]))
        return PchipInterpolator(knots, self.radii)

    def distance(self, points: Array) -> Array:
        """Signed distance to the skin: points (N, 3) mm -> (N,) mm."""
        local = points - self.base
        s, a, b = local @ self.along, local @ self.lateral, local @ self.dorsal
        inside = np.clip(s, 0.0, self._tube_end)
        beyond = s - inside
        beyond = np.where(beyond > 0, beyond / CAP, beyond)
        t = inside / self._tube_end
        height = 1 - (1 - self.flatness) * t**2
        b = b / height + 0.12 * self.radii[-1] * t**4  # the nail slopes down to the tip
        ring = np.hypot(a, b)
        palmar = np.clip(-b / (ring + 1e-6), 0, 1)
        radius = self._radius(inside) * (1 + self.pad * palmar)
        distance: Array = np.hypot(ring, beyond) - radius
        return distance


CAP = 1.2
"""Length of the rounded fingertip, relative to its radius."""

WEB = 8.0
"""Softness of the union of fingers and palm, mm."""

THUMB_WEB = 14.0
"""The same for the thumb."""

# base (d, r, h) mm, splay deg (to the radial side), droop deg (to the palm), roll deg of the nail,
# bones mm, radii mm at the seven positions of `Digit.radii`
DIGITS: dict[
    str, tuple[tuple[float, ...], float, float, float, tuple[float, ...], tuple[float, ...]]
] = {
    "thumb": ((20, 22, -10), 40, 14, 55, (45, 34, 29), (14.0, 13.5, 12.0, 10.5, 10.8, 10.6, 8.0)),
    "index": ((88, 26, 3), 6, 0, 6, (43, 25, 24), (10.8, 9.9, 9.8, 8.9, 8.7, 8.4, 7.0)),
    "middle": ((91, 4, 5), 1, 0, 0, (47, 29, 25), (11.0, 10.1, 10.0, 9.1, 8.9, 8.6, 7.2)),
    "ring": ((84, -16.5, 3), -5, 0, -4, (43, 27, 25), (10.4, 9.5, 9.4, 8.5, 8.3, 8.0, 6.7)),
    "pinky": ((74, -35, -1), -13, 0, -10, (34, 20, 22), (9.2, 8.3, 8.2, 7.4, 7.2, 7.0, 5.8)),
}

# start, end (d, r, h) mm, radii mm, softness mm of the union
CONES: tuple[tuple[tuple[float, ...], tuple[float, ...], float, float, float], ...] = (
    ((18, 20, -11), (50, 42, -17), 15.0, 12.0, 10.0),  # thenar along the thumb's metacarpal
    ((28, 12, -12), (46, 24, -17), 11.0, 10.0, 10.0),  # thenar towards the palm
    ((48, 24, -3), (74, 32, -3), 9.0, 9.0, 8.0),  # first interosseus: the web's muscle
    ((64, 32, -4), (48, 42, -16), 8.0, 8.0, 10.0),  # the web's skin
    ((18, -22, -8), (62, -31, -8), 12.0, 11.0, 9.0),  # hypothenar
)


def _digit(name: str, p: Proportions) -> Digit:
    base, splay, droop, roll, lengths, radii = DIGITS[name]
    length = p.thumb_length if name == "thumb" else p.finger_length
    length *= p.pinky_length if name == "pinky" else 1.0
    a, b, c = np.radians([splay, droop, roll])
    along = np.array([np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), -np.sin(b)])
    side = np.array([-np.sin(a), np.cos(a), 0.0])
    dorsal = np.cos(c) * np.cross(along, side) + np.sin(c) * side
    taper = np.array([1, 1, 1, 1, 1, p.tip_width, p.tip_width])
    joint = np.array([1, 1, p.knuckles**0.5, 1, p.knuckles**0.5, 1, 1])
    return Digit(
        base=np.array(base) * [p.palm_length, p.palm_width, p.palm_thickness],
        lengths=np.array(lengths, float) * length,
        radii=np.array(radii) * taper * joint * p.thickness,
        along=along,
        dorsal=dorsal,
        flatness=0.86,
        pad=0.06,
    )


SLAB: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # over d: half width, half height and centre of the section; sag of its edges
    "half_width": ((-30, 0, 20, 50, 80, 115), (28, 29, 33, 39, 41.5, 41)),
    "half_height": ((-30, 0, 25, 60, 90, 115), (19.5, 18.5, 16, 13.5, 12, 10.5)),
    "centre_r": ((-30, 0, 50, 115), (0, 0, -3, -3.5)),
    "centre_h": ((-30, 0, 40, 90, 115), (0, 0, 1, 1.5, 0)),
    "arch": ((-30, 0, 40, 90, 115), (0, 0, 3, 5, 5)),
    # over r: d of the palm's distal end between the fingers
    "web": ((-60, -44, -29, -8, 16, 37, 60), (70, 86, 98, 106, 107, 98, 80)),
}
"""Body of palm and wrist: knots and values of smooth curves, mm."""

HOLLOW_MM = 4.0
"""Depth of the palm's hollow."""


@cache
def _curve(name: str) -> tuple[Array, Array]:
    """A curve of SLAB, densely sampled for `np.interp`."""
    knots, values = SLAB[name]
    x = np.linspace(knots[0], knots[-1], 200)
    return x, PchipInterpolator(knots, values)(x)


def _slab(q: Array) -> Array:
    """Body of palm and wrist, bounded by the oblique webs: (N, 3) -> (N,)."""
    d, r, h = q.T
    half_width = np.interp(d, *_curve("half_width"))
    half_height = np.interp(d, *_curve("half_height"))
    u = (r - np.interp(d, *_curve("centre_r"))) / half_width
    level = np.interp(d, *_curve("centre_h")) - np.interp(d, *_curve("arch")) * u**2
    above = h - level
    hollow = HOLLOW_MM * np.exp(-(((d - 55) / 26) ** 2) - ((r + 3) / 15) ** 2)
    half_height = half_height - hollow / (1 + np.exp(above / 3))
    v = above / half_height
    section = ((np.abs(u) ** 2.6 + np.abs(v) ** 2.6) ** (1 / 2.6) - 1) * half_height
    web = np.interp(r, *_curve("web")) - 0.55 * h
    return -_union(-section, web - d, 6.0)


def _cone(points: Array, start: Array, end: Array, r0: float, r1: float) -> Array:
    """Distance to a cone with round ends: (N, 3) -> (N,)."""
    axis = end - start
    t = np.clip((points - start) @ axis / (axis @ axis), 0, 1)
    from_axis = np.linalg.norm(points - start - t[:, None] * axis, axis=1)
    distance: Array = from_axis - (r0 + t * (r1 - r0))
    return distance


def _union(a: Array, b: Array, softness: float) -> Array:
    """Smooth minimum."""
    merged: Array = np.minimum(a, b) - np.maximum(softness - np.abs(a - b), 0) ** 2 / (4 * softness)
    return merged
