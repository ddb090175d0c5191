"""Skinning weights and pose correctives of the stand-in hand."""

from __future__ import annotations

import numpy as np

from handpose.hand.skeleton import MANO_JOINTS
from handpose.render.smoothstep import smoothstep
from handpose.synthetic.stand_in_mesh import Template
from handpose.synthetic.stand_in_shape import Array, Digit, HandShape

DIGIT_ORDER = tuple(name.split("_")[0] for name in MANO_JOINTS[1::3])
"""index, middle, pinky, ring, thumb: the order of MANO's joints."""

BLEND_MM: dict[str, tuple[float, float, float]] = {
    "index": (13.0, 10.0, 8.0),
    "middle": (13.0, 10.0, 8.0),
    "pinky": (12.0, 9.0, 7.0),
    "ring": (13.0, 10.0, 8.0),
    "thumb": (18.0, 11.0, 9.0),
}
"""Half-width of the blend between bones at the three joints."""

KNUCKLE = 0.25
"""Dorsal corrective per height and 1 - cos(angle): linear skinning shrinks a joint bent by 90 deg
to cos 45 degrees of its height; 1 / cos 45 - 1 = 0.41 would restore a sharp corner."""

WIDENING = 0.06
"""Lateral corrective per half-width and 1 - cos(angle)."""

PAD_BULGE = 0.10
"""Palmar corrective of the pads on both sides of a crease, per depth and sin(angle)."""


def skinning_weights(template: Template, hand: HandShape, vertices: Array) -> Array:
    """Weights of MANO's 16 joints, rows of sum 1: vertices (N, 3) mm -> (N, 16)."""
    members = _membership(template, hand, vertices)  # (N, 5)
    weights = np.zeros((len(vertices), 16))
    for k, name in enumerate(DIGIT_ORDER):
        passed = np.cumprod(_passed(hand.digits[name], name, vertices), axis=1)  # (N, 3)
        shares = passed - np.pad(passed[:, 1:], ((0, 0), (0, 1)))
        weights[:, 3 * k + 1 : 3 * k + 4] = members[:, k, None] * shares
    weights[:, 0] = np.maximum(1 - weights.sum(axis=1), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def pose_correctives(template: Template, hand: HandShape, vertices: Array) -> Array:
    """Volume that linear skinning loses at bent joints: vertices (N, 3) mm -> (N, 3, 15, 3, 3) mm.

    MANO multiplies them by the entries of R - I of each joint. Its trace is 2 cos(angle) - 2 for
    any axis, and its antisymmetric part is sin(angle) times the axis.
    """
    members = _membership(template, hand, vertices)  # (N, 5)
    correctives = np.zeros((len(vertices), 3, 15, 3, 3))
    for k, name in enumerate(DIGIT_ORDER):
        digit = hand.digits[name]
        off = _off_axis(digit, vertices)
        height, side = off @ digit.dorsal, off @ digit.lateral  # (N,)
        passed = _passed(digit, name, vertices)
        for j, joint in enumerate(digit.joints[:3]):
            at_joint = members[:, k] * 4 * passed[:, j] * (1 - passed[:, j])
            up = KNUCKLE * np.maximum(height, 0)[:, None] * digit.dorsal
            push = at_joint[:, None] * (up + WIDENING * side[:, None] * digit.lateral)  # (N, 3)
            correctives[:, :, 3 * k + j] -= push[:, :, None, None] * np.eye(3) / 2
            beside = np.abs((vertices - joint) @ digit.along) - 1.1 * digit.radii[2]
            at_pads = members[:, k] * np.exp(-((beside / 4.0) ** 2)) * np.maximum(-height, 0)
            bulge = -PAD_BULGE * at_pads[:, None] * digit.dorsal
            turn = _turn_entries(digit.lateral)  # flexion rotates about the lateral axis
            correctives[:, :, 3 * k + j] += bulge[:, :, None, None] * turn
    return correctives


def _turn_entries(axis: Array) -> Array:
    """(3, 3) whose product with R - I sums to sin(angle) for a rotation about the axis."""
    x, y, z = axis
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) / 2


def _passed(digit: Digit, name: str, vertices: Array) -> Array:
    """Smooth step from 0 to 1 at each of the digit's joints: (N, 3)."""
    along = (vertices[:, None] - digit.joints[:3]) @ digit.along  # (N, 3)
    return smoothstep(along / np.array(BLEND_MM[name]), -1, 1)


def _membership(template: Template, hand: HandShape, vertices: Array) -> Array:
    """Total weight of each vertex on each digit of DIGIT_ORDER: (N, 5) in [0, 1]."""
    off = np.stack(
        [np.linalg.norm(_off_axis(hand.digits[n], vertices), axis=1) for n in DIGIT_ORDER], axis=1
    )
    nearness = np.exp(-((off[:, :4] / 9.0) ** 2)) + 1e-12
    thumb = 1 - smoothstep((off[:, 4:] - 23.0) / 11.0, -1, 1)  # (N, 1)
    fingers = (1 - thumb) * nearness / nearness.sum(axis=1, keepdims=True)
    members = np.concatenate([fingers, thumb], axis=1)
    for k, name in enumerate(DIGIT_ORDER):
        own = np.concatenate([*template.rings[name][1:], [template.tips[name]]])
        members[own] = np.eye(5)[k]
    return members


def _off_axis(digit: Digit, vertices: Array) -> Array:
    """From the digit's line to the vertices, (N, 3) mm."""
    relative = vertices - digit.base
    return relative - (relative @ digit.along)[:, None] * digit.along
