"""Poses beyond the gestures: grasps, pinches of every width, free fingers, gestures in between.

Angles are those of `synthetic/articulation.py`, in degrees, within the ranges of its joints. A pose
in which two digits, or a digit and the palm, share the same space is drawn again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.hand.skeleton import MANO_JOINTS
from handpose.synthetic.articulation import (
    ANGLES,
    DIGITS,
    FLEXION,
    THUMB,
    WIDEST,
    Articulation,
    GesturePose,
)

Array = NDArray[np.floating[Any]]

FINGERS = ("index", "middle", "ring", "pinky")
ANGLE = {name: column for column, name in enumerate(ANGLES)}
COLUMNS = {
    digit: [ANGLE[f"{digit}.{angle}"] for angle in angles] for digit, angles in DIGITS.items()
}

GRASP = np.array([[8.0, 10.0, 6.0], [74.0, 84.0, 46.0]])
"""MCP, PIP and DIP of a finger about a very large and about a very small object."""
GRASP_THUMB = np.array([[35.0, 22.0, 5.0, 0.0, 0.0], [62.0, 2.0, 12.0, 30.0, 35.0]])
"""The thumb's angles about the same two."""
PINCH = np.array([[39.0, 50.0, 31.0], [20.0, 14.0, 8.0]])
"""A finger's MCP, PIP and DIP in a closed and in a wide pinch; the closed one is `aokay`'s."""
PINCH_THUMB = np.array([[47.0, -4.0, -16.0, 15.0, -15.0], [40.0, 20.0, -8.0, 2.0, -5.0]])
"""The thumb's angles in the same two, with the index finger."""
PINCH_ACROSS_DEG = 8.0
"""By how much more the thumb opposes each finger further from the index."""

RADIUS_M = {"thumb": 0.0085, "index": 0.0075, "middle": 0.0075, "ring": 0.007, "pinky": 0.0062}
PALM_RADIUS_M = 0.008
SOFT = 0.78
"""Axes of two segments keep this share of the sum of their radii: flesh yields."""
TIP = 0.75
"""Length of a fingertip's segment beyond its last joint, relative to the bone before it."""
TRIES = 24


class FreePoses:
    """Draws poses for one skeleton."""

    def __init__(self, articulation: Articulation, gestures: Sequence[GesturePose]) -> None:
        """`gestures` are what some of the poses lie between, and what pinches end at."""
        self._articulation = articulation
        self._gestures = np.stack([gesture.angles for gesture in gestures])  # (G, 21)
        self._kinds: tuple[Callable[[np.random.Generator], Array], ...] = (
            self._between,
            self._grasp,
            self._pinch,
            self._free,
        )

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Angles of so many poses, (count, 21) degrees, a quarter of each kind."""
        found = np.empty((count, len(ANGLES)))
        wanted = np.arange(count)
        kinds = rng.integers(0, len(self._kinds), count)
        for _ in range(TRIES):
            drawn = np.stack([self._kinds[kinds[k]](rng) for k in wanted])
            found[wanted] = drawn
            wanted = wanted[self.overlap_m(drawn) > 0]
            if not len(wanted):
                return found
        found[wanted] = self._gestures[rng.integers(0, len(self._gestures), len(wanted))]
        return found

    def overlap_m(self, angles: Array) -> Array:
        """How deep the two segments that overlap most do, 0 if none does: (N, 21) -> (N,) m."""
        starts, ends, radii, owner = self._capsules(angles)
        deepest = np.zeros(len(angles))
        for one in range(len(radii)):
            for other in range(one + 1, len(radii)):
                if owner[one] == owner[other] or {owner[one], owner[other]} == {"palm", "base"}:
                    continue
                gap = _segment_distance(
                    starts[:, one], ends[:, one], starts[:, other], ends[:, other]
                )
                deepest = np.maximum(deepest, SOFT * (radii[one] + radii[other]) - gap)
        return deepest

    def _capsules(self, angles: Array) -> tuple[Array, Array, list[float], list[str]]:
        """Start and end (N, C, 3) m of the segments, their radii and what they belong to.

        The first bone of each digit is left out: it touches its neighbours and the palm.
        """
        R, origin = self._articulation.segments(angles)
        starts, ends, radii, owner = [], [], [], []
        wrist = origin[:, 0]
        for digit, radius in RADIUS_M.items():
            first, second, third = (MANO_JOINTS.index(f"{digit}_{k}") for k in (1, 2, 3))
            bone = self._articulation.bone(f"{digit}_2", f"{digit}_3")
            tip = origin[:, third] + R[:, third] @ (TIP * bone)
            pairs = [(origin[:, second], origin[:, third]), (origin[:, third], tip)]
            for start, end in pairs:
                starts.append(start)
                ends.append(end)
                radii.append(radius)
                owner.append(digit)
            if digit != "thumb":  # the palm, as four bars from near the wrist to the knuckles
                starts.append(wrist + 0.3 * (origin[:, first] - wrist))
                ends.append(wrist + 0.92 * (origin[:, first] - wrist))
                radii.append(PALM_RADIUS_M)
                owner.append("palm")
        return np.stack(starts, 1), np.stack(ends, 1), radii, owner

    def _between(self, rng: np.random.Generator) -> Array:
        """Between two gestures, each digit at its own share of the way."""
        one, other = self._gestures[rng.choice(len(self._gestures), 2)]
        share = np.clip(rng.uniform() + rng.normal(0, 0.12, len(DIGITS)), 0, 1)
        digit = [list(DIGITS).index(name.split(".")[0]) for name in ANGLES]
        between: Array = one + share[digit] * (other - one)
        return between

    def _grasp(self, rng: np.random.Generator) -> Array:
        """Fingers about an object of any size; those of a ball spread, those of a bar do not."""
        angles = np.zeros(len(ANGLES))
        closed, spread = rng.uniform(), rng.uniform(0, 10) * rng.integers(0, 2)
        for k, finger in enumerate(FINGERS):
            own = np.clip(closed + 0.06 * (k - 1.5) * rng.normal() + rng.normal(0, 0.08), 0, 1.1)
            bend = GRASP[0] + own * (GRASP[1] - GRASP[0]) + rng.normal(0, 5, 3)
            angles[COLUMNS[finger]] = [*np.clip(bend, *FLEXION), spread * (0.3, 0, 0.4, 0.9)[k]]
        thumb = GRASP_THUMB[0] + closed * (GRASP_THUMB[1] - GRASP_THUMB[0]) + rng.normal(0, 6, 5)
        angles[COLUMNS["thumb"]] = np.clip(thumb, *THUMB)
        return angles

    def _pinch(self, rng: np.random.Generator) -> Array:
        """The thumb and one to three fingers at any distance; the other fingers as they like."""
        angles = self._free(rng)
        width = rng.uniform()
        first = int(rng.choice(4, p=[0.55, 0.25, 0.12, 0.08]))
        fingers = FINGERS[first : first + int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))]
        for finger in fingers:
            bend = PINCH[0] + width * (PINCH[1] - PINCH[0]) + rng.normal(0, 5, 3)
            angles[COLUMNS[finger]] = [*np.clip(bend, *FLEXION), rng.normal(0, 3)]
        thumb = PINCH_THUMB[0] + width * (PINCH_THUMB[1] - PINCH_THUMB[0]) + rng.normal(0, 4, 5)
        thumb[0] += PINCH_ACROSS_DEG * first
        angles[COLUMNS["thumb"]] = np.clip(thumb, *THUMB)
        return angles

    def _free(self, rng: np.random.Generator) -> Array:
        """Every digit on its own within its range; a bent finger spreads less."""
        angles = np.zeros(len(ANGLES))
        common = rng.beta(0.7, 0.9)
        for finger in FINGERS:
            own = np.clip(0.5 * common + 0.5 * rng.beta(0.7, 0.9) + rng.normal(0, 0.1, 2), 0, 1)
            low, high = FLEXION[:, :2]
            mcp, pip = low + own * (high - low)
            dip = np.clip(0.6 * pip + rng.normal(0, 8), *FLEXION[:, 2])
            abduction = rng.normal(0, 0.35) * WIDEST * (1 - 0.8 * max(mcp, 0) / 90)
            angles[COLUMNS[finger]] = [mcp, pip, dip, np.clip(abduction, -WIDEST, WIDEST)]
        low, high = THUMB
        angles[COLUMNS["thumb"]] = low + rng.beta(1.3, 1.3, 5) * (high - low)
        return angles


def _segment_distance(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Least distance of the segments a-b and c-d, each (N, 3): (N,).

    Source: Ericson, Real-Time Collision Detection (2005), section 5.1.9.
    """
    u, v, w = b - a, d - c, a - c
    uu, vv, uv = (np.einsum("nk,nk->n", *pair) for pair in ((u, u), (v, v), (u, v)))
    uw, vw = (np.einsum("nk,nk->n", *pair) for pair in ((u, w), (v, w)))
    denominator = np.maximum(uu * vv - uv**2, 1e-18)
    s = np.clip((uv * vw - vv * uw) / denominator, 0, 1)
    t = (uv * s + vw) / np.maximum(vv, 1e-18)
    clipped = np.clip(t, 0, 1)
    again = np.clip((uv * clipped - uw) / np.maximum(uu, 1e-18), 0, 1)
    s = np.where(clipped == t, s, again)
    gap: Array = np.linalg.norm(w + s[:, None] * u - clipped[:, None] * v, axis=1)
    return gap
