"""The lines of the palm side: flexion creases of the digits, the palm's lines, wrist creases."""

from __future__ import annotations

import numpy as np

from handpose.render.surface import FloatArray
from handpose.synthetic.texture.landmarks import Landmarks, normal, unit
from handpose.synthetic.texture.strokes import MM, Stroke, stroke

FINGER_BASE = 0.47
"""Where a finger's base crease is, as a share of the way from knuckle to PIP."""


def palm_lines(rng: np.random.Generator, hand: Landmarks) -> list[Stroke]:
    """A person's creases of palm, digits and wrist; depth 1 is that of a deep one."""
    deep = rng.uniform(0.75, 1.2)  # of this person
    lines = [
        *_finger_creases(rng, hand),
        *_thumb_creases(rng, hand),
        *_main_lines(rng, hand),
        *_minor_lines(rng, hand),
        *_wrist_creases(rng, hand),
    ]
    return [line._replace(depth=deep * line.depth) for line in lines]


def _finger_creases(rng: np.random.Generator, hand: Landmarks) -> list[Stroke]:
    lines = []
    for finger in ("index", "middle", "ring", "pinky"):
        mcp, pip, dip, tip = (hand.at(f"{finger}_{part}") for part in (1, 2, 3, "tip"))
        base = mcp + (FINGER_BASE + rng.normal(0, 0.02)) * (pip - mcp)
        lines += _crease(rng, hand, finger, base, pip - mcp, 0.9, two=rng.uniform() < 0.6)
        lines += _crease(rng, hand, finger, pip, dip - mcp, 1.0, two=True)
        lines += _crease(rng, hand, finger, dip, tip - pip, 0.75, two=rng.uniform() < 0.3)
    return lines


def _thumb_creases(rng: np.random.Generator, hand: Landmarks) -> list[Stroke]:
    root, base, ip, tip = (hand.at(f"thumb_{part}") for part in (1, 2, 3, "tip"))
    lines = _crease(rng, hand, "thumb", ip, tip - base, 0.9, two=rng.uniform() < 0.7)
    at = base + 0.12 * (ip - base)
    return lines + _crease(rng, hand, "thumb", at, ip - root, 0.7, two=rng.uniform() < 0.6)


def _crease(
    rng: np.random.Generator,
    hand: Landmarks,
    digit: str,
    at: FloatArray,
    along: FloatArray,
    depth: float,
    two: bool,
) -> list[Stroke]:
    """A crease across a digit, one line or two, with short fine lines beside it."""
    along = unit(along)
    half = hand.half_width(digit, at, along)
    at = at + rng.normal(0, 0.7 * MM) * along
    apart = rng.uniform(1.8, 2.8) * MM if two else 0.0
    lines = [_across(rng, at, along, (-half, half), rng.uniform(0.5, 0.75) * MM, depth)]
    if two:
        ends = np.array([-half, half]) * rng.uniform(0.6, 0.95)
        beside = at + rng.choice([-1, 1]) * apart * along
        lines.append(_across(rng, beside, along, ends, 0.45 * MM, 0.65 * depth))
    for _ in range(rng.integers(1, 4)):
        middle = at + rng.uniform(-4.5, 4.5) * MM * along
        ends = np.sort(rng.uniform(-0.9, 0.9, 2)) * half
        if ends[1] - ends[0] > 3 * MM:
            lines.append(_across(rng, middle, along, ends, 0.3 * MM, 0.3 * depth))
    return lines


def _across(
    rng: np.random.Generator,
    at: FloatArray,
    along: FloatArray,
    ends: tuple[float, float] | FloatArray,
    width: float,
    depth: float,
) -> Stroke:
    """A line across a digit between two distances from its axis, slightly bowed and askew."""
    low, high = ends
    askew, bow = rng.normal(0, 0.06), rng.normal(0, 0.5 * MM)
    share = np.linspace(-1, 1, 5)
    side = low + (high - low) * (share + 1) / 2
    lift = askew * side + bow * (1 - share**2)
    through = at + side[:, None] * normal(along) + lift[:, None] * along
    return stroke(rng, list(through), width, depth, wander=0.2 * MM, ends=(0.1, 0.1))


def _main_lines(rng: np.random.Generator, hand: Landmarks) -> list[Stroke]:
    """Heart, head and thenar line."""

    def near(first: str, second: str, share: float, u: float = 0, v: float = 0) -> FloatArray:
        return hand.between(first, second, share) + rng.normal((u, v), (1.2, 1.2)) * MM

    # the radial start that head and thenar line share in many people
    high = float(hand.between("wrist", "index_1", 0.85)[1]) + rng.normal(0, 2 * MM)
    start = np.array([min(hand.outline(high)[1], hand.at("index_1")[0] + 14 * MM), high])
    apart = max(0.0, rng.normal(1.5, 2.0)) * MM
    low = float(hand.between("wrist", "pinky_1", 0.86)[1]) + rng.normal(0, 2 * MM)
    heart = [
        np.array([hand.outline(low)[0] + 1 * MM, low]),
        near("wrist", "pinky_1", 0.94, u=2),
        near("wrist", "ring_1", 0.96),
        near("wrist", "middle_1", 0.98),
        near("middle_1", "index_1", 0.45, v=rng.uniform(4, 12)),
    ]
    reach = rng.uniform(0.4, 1.1)  # of the way from the ring to the little finger
    head = [
        start + np.array([0, apart]),
        near("wrist", "index_1", 0.81, u=-7),
        near("wrist", "middle_1", 0.75, u=-1),
        near("wrist", "ring_1", 0.69),
        near("wrist", "pinky_1", 0.60, u=3),
    ]
    head[-1] = head[-2] + (head[-1] - head[-2]) * reach
    thenar = [
        start - np.array([0, apart]),
        near("wrist", "index_1", 0.72, u=-5),
        near("wrist", "middle_1", 0.52, u=4),
        near("wrist", "middle_1", 0.33, u=1),
        near("wrist", "middle_1", 0.13, u=rng.uniform(1, 6)),
    ]
    lines = []
    for course, depth, ends in (
        (heart, rng.uniform(0.8, 1.1), (0.1, 0.2)),
        (head, rng.uniform(0.7, 1.1), (0.05, 0.35)),
        (thenar, rng.uniform(0.85, 1.15), (0.05, 0.3)),
    ):
        width = rng.uniform(0.6, 0.9) * MM
        lines.append(stroke(rng, course, width, depth, wander=0.2 * MM, ends=ends))
    return lines


def _minor_lines(rng: np.random.Generator, hand: Landmarks) -> list[Stroke]:
    """Fine lines: up the middle of the palm in some people, and short ones anywhere."""
    lines = []
    if rng.uniform() < 0.5:
        ends = [hand.between("wrist", "middle_1", share) for share in rng.uniform(0.2, 0.9, 2)]
        middle = sum(ends) / 2 + rng.normal(0, 2 * MM, 2)
        lines.append(stroke(rng, [ends[0], middle, ends[1]], 0.45 * MM, 0.45, ends=(0.3, 0.3)))
    for _ in range(rng.integers(6, 14)):
        v = rng.uniform(0.15, 0.95) * hand.at("middle_1")[1]
        low, high = hand.outline(float(v))
        middle = np.array([rng.uniform(0.85 * low, 0.6 * high), v])
        angle, half = rng.uniform(0, np.pi), rng.uniform(4, 11) * MM
        reach = half * np.array([0.6 * np.cos(angle), np.sin(angle)])  # more of them lengthwise
        bend = middle + rng.normal(0, 0.8 * MM, 2)
        depth = rng.uniform(0.12, 0.4)
        lines.append(
            stroke(rng, [middle - reach, bend, middle + reach], 0.35 * MM, depth, ends=(0.4, 0.4))
        )
    return lines


def _wrist_creases(rng: np.random.Generator, hand: Landmarks) -> list[Stroke]:
    lines = []
    v = rng.uniform(-5, 0) * MM
    for depth in (0.7, 0.4)[: 1 + int(rng.uniform() < 0.75)]:
        low, high = hand.outline(float(v))
        u = np.linspace(low, high, 5)
        bow = rng.uniform(-0.5, 2.5) * MM * (1 - np.linspace(-1, 1, 5) ** 2)
        through = np.stack([u, v + bow], 1)
        lines.append(stroke(rng, list(through), 0.7 * MM, depth, wander=0.2 * MM, ends=(0.2, 0.2)))
        v -= rng.uniform(7, 12) * MM
    return lines
