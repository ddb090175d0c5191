"""The back of the hand: knuckle wrinkles, and the relief of tendons and veins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from handpose.render.surface import FloatArray
from handpose.synthetic.texture.landmarks import Landmarks, normal, unit
from handpose.synthetic.texture.strokes import MM, Stroke, stroke

ARM_V = -0.095
"""How far up the forearm veins run, m."""


def wrinkles(rng: np.random.Generator, hand: Landmarks) -> list[Stroke]:
    """A person's wrinkles over the joints of the digits; depth 1 is that of a deep one."""
    deep = rng.uniform(0.6, 1.2)
    lines = []
    for finger in ("index", "middle", "ring", "pinky"):
        mcp, pip, dip, tip = (hand.at(f"{finger}_{part}") for part in (1, 2, 3, "tip"))
        lines += _wrinkled(rng, hand, finger, pip, dip - mcp, int(rng.integers(5, 8)), 1.3)
        lines += _wrinkled(rng, hand, finger, dip, tip - pip, int(rng.integers(2, 5)), 0.9)
        for _ in range(rng.integers(1, 4)):  # faint, on the knuckle itself
            at = mcp + rng.normal(0, 3.5 * MM, 2)
            side = rng.uniform(4, 8) * MM * normal(unit(pip - mcp))
            ends = [at - side, at + rng.normal(0, 0.6 * MM, 2), at + side]
            lines.append(stroke(rng, ends, 0.5 * MM, 0.35, ends=(0.4, 0.4)))
    base, ip, end = (hand.at(f"thumb_{part}") for part in (2, 3, "tip"))
    lines += _wrinkled(rng, hand, "thumb", ip, end - base, int(rng.integers(3, 6)), 1.2)
    return [line._replace(depth=deep * line.depth) for line in lines]


def _wrinkled(
    rng: np.random.Generator,
    hand: Landmarks,
    digit: str,
    joint: FloatArray,
    along: FloatArray,
    count: int,
    depth: float,
) -> list[Stroke]:
    """Arcs around a joint: straight over it, bent around it before and behind."""
    along = unit(along)
    half = hand.half_width(digit, joint, along)
    spacing = rng.uniform(1.4, 2.0) * MM
    lines = []
    for k in range(count):
        away = (k - (count - 1) / 2 + rng.normal(0, 0.15)) * spacing
        outer = abs(away) / (spacing * count / 2)  # 0 at the joint, 1 at the outermost arc
        reach = half * (0.85 - 0.3 * outer) * rng.uniform(0.75, 1.1)
        shift = rng.normal(0, 0.08) * half
        share = np.linspace(-1, 1, 5)
        lift = away * (1 - 0.45 * share**2)
        through = joint + (shift + reach * share)[:, None] * normal(along) + lift[:, None] * along
        own = depth * (1 - 0.5 * outer) * rng.uniform(0.6, 1.1)
        width = rng.uniform(0.35, 0.6) * MM
        lines.append(stroke(rng, list(through), width, own, wander=0.2 * MM, ends=(0.3, 0.3)))
    return lines


def tendons(rng: np.random.Generator, hand: Landmarks) -> list[Stroke]:
    """Ridges from the wrist to the knuckles of the fingers; depth 1 is that of a lean hand."""
    lean = rng.uniform(0.15, 1.0)
    lines = []
    for finger in ("index", "middle", "ring", "pinky"):
        knuckle = hand.at(f"{finger}_1")
        wrist = np.array([0.22 * knuckle[0] + rng.normal(0, 1 * MM), 4 * MM])
        middle = wrist + 0.5 * (knuckle - wrist) + rng.normal(0, 0.8 * MM, 2)
        depth = lean * rng.uniform(0.6, 1.1)
        lines.append(
            stroke(
                rng,
                [wrist, middle, knuckle],
                rng.uniform(1.5, 2.0) * MM,
                depth,
                wander=0.1 * MM,
                ends=(0.5, 0.12),
            )
        )
    return lines


def veins(rng: np.random.Generator, hand: Landmarks) -> list[Stroke]:
    """A net that drains the webs of the fingers towards the forearm; depth 1 is a full vein."""
    full = rng.uniform(0.1, 1.0)
    fingers = ("index", "middle", "ring", "pinky")
    webs = [hand.between(f"{a}_1", f"{b}_1", rng.uniform(0.35, 0.65)) for a, b in pairwise(fingers)]
    webs = [web - np.array([0, rng.uniform(2, 8) * MM]) for web in webs]
    length = hand.at("middle_1")[1]
    arch = [
        np.array([web[0] * rng.uniform(0.75, 0.95), rng.uniform(0.45, 0.68) * length])
        for web in webs
    ]
    low, high = hand.outline(0.0)
    trunks = [
        np.array([rng.uniform(0.3, 0.75) * edge, rng.uniform(-0.02, 0.14) * length])
        for edge in (high, low)
    ]
    thumb = hand.between("thumb_1", "thumb_2", 0.7) + rng.normal(0, 3 * MM, 2)
    paths = [(web, node) for web, node in zip(webs, arch, strict=True)]
    paths += [(arch[0], trunks[0]), (arch[2], trunks[1]), (thumb, trunks[0])]
    paths.append((arch[1], trunks[int(rng.integers(2))]))
    links = [(a, b) for a, b in pairwise(arch) if rng.uniform() < 0.7]
    for trunk in trunks:
        paths.append((trunk, np.array([trunk[0] * rng.uniform(0.6, 1.2), ARM_V])))
    lines = [_vein(rng, start, end, full) for start, end in paths]
    return lines + [_vein(rng, start, end, 0.5 * full) for start, end in links]


def _vein(rng: np.random.Generator, start: FloatArray, end: FloatArray, full: float) -> Stroke:
    """A winding vein between two nodes."""
    way = end - start
    length = float(np.linalg.norm(way))
    count = max(3, round(length / (8 * MM)))
    share = np.linspace(0, 1, count + 1)[:, None]
    through = start + share * way
    through[1:-1] += rng.normal(0, 1.0 * MM, (count - 1, 2))
    depth = full * rng.uniform(0.5, 1.1)
    width = rng.uniform(0.9, 1.5) * MM
    return stroke(rng, list(through), width, depth, wander=0.15 * MM, ends=(0.2, 0))
