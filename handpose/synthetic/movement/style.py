"""A person's style: their own way of performing a gesture.

Nobody reaches the pose of the table. A person bends and spreads the digits by some degrees more or
less, goes only part of the way to a gesture, rests the hand in their own way and has their own
speed. A style holds for all sequences of that person and gesture and for both hands.

An offset that would turn a joint out of its range is reflected at the end of that range, fingers
that touch move together, the gap between two closed fingers only opens, and a thumb that touches
something in the table is moved to where it touches it again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.hand.skeleton import MANO_JOINTS
from handpose.synthetic.articulation import FLEXION, THUMB, WIDEST, Articulation, GesturePose
from handpose.synthetic.movement.motion import DIP_COUPLING, LOOSE, RISE

Array = NDArray[np.floating[Any]]

FINGERS = ("index", "middle", "ring", "pinky")
BENDS = 16  # the first angles of a pose are those of the fingers, the others the thumb's

TOGETHER = 0.5
"""Fraction of the variance of a finger's offset that all fingers share."""
UNREACHED = 0.033
"""Largest fraction of the way from rest to a gesture that is left out, per degree of style."""
TEMPO = (-0.03, 0.06)
"""Range of the power of two by which the time to form a gesture differs, per degree of style."""
SLOWEST = 0.48

WIDEST_GAP = 26.0
"""Largest difference between the abductions of two neighbours, in degrees. This range, those of
`articulation.py` and that below are widened to a gesture's own angles."""
THUMB_REACH = np.array([[-18.0, -25.0, -30.0, -15.0, -30.0], [78.0, 32.0, 40.0, 75.0, 82.0]])
"""For a thumb that has to reach what it touches."""
THUMB_LOOSE = np.array([0.8, 0.7, 0.4, 1.0, 1.0])
"""Offsets of the thumb's angles, relative to those of MCP and PIP."""

NEAR_M = 0.002
"""A touching segment that is off by so much counts as much as an angle of the thumb by NEAR_DEG."""
NEAR_DEG = 25.0
STEPS = 5
PROBE_DEG = 0.5


class PersonalStyle(NamedTuple):
    """How a person performs a gesture."""

    rest: GesturePose  # the person's relaxed hand
    peak: GesturePose
    rise: float  # fraction of a sequence in which the gesture is formed, and again released


class Stylist:
    """Draws the styles of people."""

    def __init__(self, articulation: Articulation, rest: GesturePose, style_deg: float) -> None:
        """Styles about the table of poses.

        Args:
            articulation: of the hand model at rest.
            rest: the relaxed hand of the table.
            style_deg: standard deviation of the offsets of MCP and PIP angles; 0: everybody
                performs the poses of the table.
        """
        self._articulation = articulation
        self._rest = rest
        self._deg = style_deg

    def style(
        self, person: np.random.Generator, own: np.random.Generator, gesture: GesturePose
    ) -> PersonalStyle:
        """A person's style in a gesture, from generators of the person and of both."""
        if not self._deg:
            return PersonalStyle(self._rest, gesture, RISE)
        rise = min(RISE * 2 ** (self._deg * person.uniform(*TEMPO)), SLOWEST)
        rest = replace(self._rest, angles=self._varied(person, self._rest, self._rest.angles))
        reached = max(1 - UNREACHED * self._deg * own.uniform(), 0)
        angles: Array = rest.angles + reached * (gesture.angles - rest.angles)
        whole = _tip_to_thumb(gesture) | _finger_to_finger(gesture)  # half the way, none would meet
        fingers = np.repeat(whole, 4)  # (16,)
        angles[:BENDS][fingers] = gesture.angles[:BENDS][fingers]
        angles = self._in_touch(gesture, self._varied(own, gesture, angles))
        return PersonalStyle(rest, replace(gesture, angles=angles), rise)

    def _varied(self, rng: np.random.Generator, gesture: GesturePose, angles: Array) -> Array:
        """Angles with a person's offsets: (21,) -> (21,) deg."""
        groups = _groups(gesture)
        shared, own = _unit(rng, 1, 2), _unit(rng, 4, 2)[groups]
        bend = np.sqrt(TOGETHER) * shared + np.sqrt(1 - TOGETHER) * own  # (4, 2) MCP, PIP
        flat_or_round = _tip_to_thumb(gesture)  # what the knuckle bends, the next joint straightens
        bend[flat_or_round, 1] = -bend[flat_or_round, 0]
        fingers = angles[:BENDS].reshape(4, 4)  # MCP, PIP, DIP, abduction of each
        flexion = self._bent(fingers[:, :3], bend)
        parted = self._parted(fingers[:, 3], flexion[:, 0], groups, _unit(rng, 3))
        thumb = angles[BENDS:] + self._deg * THUMB_LOOSE * _unit(rng, 5)
        low, high = _widened(THUMB, angles[BENDS:])
        return np.concatenate(
            [np.column_stack([flexion, parted]).ravel(), _reflected(thumb, low, high)]
        )

    def _bent(self, flexion: Array, bend: Array) -> Array:
        """MCP, PIP and DIP (4, 3) with offsets of the first two: bend (4, 2) in units of style."""
        low, high = _widened(FLEXION, flexion)
        bent = _reflected(flexion + self._deg * bend[:, [0, 1, 1]], low, high)
        follows = flexion[:, 2] + DIP_COUPLING * (bent[:, 1] - flexion[:, 1])
        bent[:, 2] = follows.clip(low[:, 2], high[:, 2])
        return bent

    def _parted(
        self, abduction: Array, knuckles: Array, groups: NDArray[np.intp], units: Array
    ) -> Array:
        """Abduction (4,) with offsets of the three gaps; no finger is pushed into its neighbour.

        knuckles (4,) deg: bent ones cannot spread; groups (4,): fingers of one keep their gaps.
        """
        index, middle, ring, pinky = abduction
        gaps = np.array([index - middle, middle + ring, pinky - ring])
        free = np.cos(np.radians(knuckles)).clip(0)  # (4,)
        free = np.minimum(free[:3], free[1:]) * (groups[:3] != groups[1:])
        low, high = np.minimum(gaps, 0), np.maximum(gaps, WIDEST_GAP)
        more = _reflected(gaps + LOOSE["abduction"] * self._deg * free * units, low, high) - gaps
        parted = np.array([index + more[0], middle, ring + more[1], pinky + more[1] + more[2]])
        return parted.clip(None, np.maximum(abduction, WIDEST))

    def _in_touch(self, gesture: GesturePose, angles: Array) -> Array:
        """Angles (21,) deg with the thumb moved to what it touches in the table: Gauss-Newton."""
        touched = [
            MANO_JOINTS.index(b if a == "thumb_3" else a)
            for a, b in gesture.touches
            if "thumb_3" in (a, b)
        ]
        if not touched:
            return angles
        aim = self._thumb_seen_from(touched, gesture.angles[None])[0]  # (K,)
        fingers, start = np.split(angles, [BENDS])
        low, high = _widened(THUMB_REACH, gesture.angles[BENDS:])
        probes = np.concatenate([np.zeros((1, 5)), PROBE_DEG * np.eye(5)])
        thumb = start
        for _ in range(STEPS):
            tried = np.concatenate([np.tile(fingers, (6, 1)), thumb + probes], 1)
            seen = self._thumb_seen_from(touched, tried)  # (6, K)
            slope = (seen[1:] - seen[0]).T / PROBE_DEG  # (K, 5) m per degree
            A = np.concatenate([slope / NEAR_M, np.eye(5) / NEAR_DEG])
            b = np.concatenate([(aim - seen[0]) / NEAR_M, (start - thumb) / NEAR_DEG])
            thumb = (thumb + np.linalg.lstsq(A, b)[0]).clip(low, high)
        return np.concatenate([fingers, thumb])

    def _thumb_seen_from(self, segments: list[int], angles: Array) -> Array:
        """Both ends of the thumb's last segment in the frames of others: (N, 21) -> (N, K) m."""
        R, origin = self._articulation.segments(angles)
        last = MANO_JOINTS.index("thumb_3")
        # MANO has no tip; the last bone is nearly as long as the one before it
        tip = origin[:, last] + R[:, last] @ self._articulation.bone("thumb_2", "thumb_3")
        ends = np.stack([origin[:, last], tip], 1)  # (N, 2, 3)
        seen = [(ends - origin[:, [k]]) @ R[:, k] for k in segments]
        return np.concatenate(seen, 1).reshape(len(angles), -1)


def _pairs(gesture: GesturePose) -> list[dict[str, str]]:
    """Digit and number of the touching segments, by pair."""
    return [
        {digit: number for digit, _, number in (name.partition("_") for name in pair)}
        for pair in gesture.touches
    ]


def _tip_to_thumb(gesture: GesturePose) -> NDArray[np.bool_]:
    """Fingers whose last segment touches the thumb: (4,)."""
    pairs = [pair for pair in _pairs(gesture) if "thumb" in pair]
    return np.array([any(pair.get(finger) == "3" for pair in pairs) for finger in FINGERS])


def _finger_to_finger(gesture: GesturePose) -> NDArray[np.bool_]:
    """Fingers that touch another finger: (4,)."""
    pairs = [pair for pair in _pairs(gesture) if len(set(pair) & set(FINGERS)) == 2]
    return np.array([any(finger in pair for pair in pairs) for finger in FINGERS])


def _groups(gesture: GesturePose) -> NDArray[np.intp]:
    """A number per finger (4,), the same for fingers that touch each other or one thumb."""
    sets = [set(pair) for pair in _pairs(gesture)]
    sets.append({digit for digits in sets if "thumb" in digits for digit in digits})
    groups = np.arange(4)
    for digits in sets:
        own = [k for k, finger in enumerate(FINGERS) if finger in digits]
        if own:
            groups[np.isin(groups, groups[own])] = groups[own].min()
    return groups


def _unit(rng: np.random.Generator, *shape: int) -> Array:
    """Uniform with standard deviation 1: no offset is extreme."""
    return rng.uniform(-np.sqrt(3), np.sqrt(3), shape)


def _widened(limits: Array, angles: Array) -> tuple[Array, Array]:
    """Lowest and highest angles, beyond the limits where the gesture itself is."""
    return np.minimum(limits[0], angles), np.maximum(limits[1], angles)


def _reflected(angles: Array, low: Array, high: Array) -> Array:
    """Angles mirrored at the end of the range that they leave."""
    angles = np.where(angles < low, 2 * low - angles, angles)
    return np.where(angles > high, 2 * high - angles, angles).clip(low, high)
