"""The stand-in hand: our own hand model in MANO's file format, free of MANO's licence.

Only the format follows MANO (counts, keys, joint order, fingertip ids). Shape, skinning weights and
pose correctives are built here in seconds from the few numbers of `stand_in_shape.py`. The file is
marked as such in `model_name`. Right hand: fingers along -x, palm to -y, thumb to +z; metres.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from handpose.hand.skeleton import MANO_PARENTS
from handpose.synthetic.stand_in_mesh import Template, fit_template
from handpose.synthetic.stand_in_shape import Array, HandShape, Proportions
from handpose.synthetic.stand_in_weights import DIGIT_ORDER, pose_correctives, skinning_weights

MODEL_NAME = "stand-in hand, not MANO"

SHAPE_STEPS = {
    "size": 0.06,
    "finger_length": 0.05,
    "thickness": 0.08,
    "palm_width": 0.05,
    "palm_length": 0.05,
    "thumb_length": 0.06,
    "palm_thickness": 0.07,
    "tip_width": 0.12,
    "pinky_length": 0.06,
    "knuckles": 0.10,
}
"""The factor of `Proportions` that each beta scales, and its step per unit."""

MEAN_FLEXION_DEG = {
    "thumb": (8, 14, 20),
    "index": (22, 28, 20),
    "middle": (24, 30, 22),
    "ring": (26, 32, 22),
    "pinky": (28, 34, 24),
}
"""The relaxed hand, `hands_mean`: flexion of the three joints of each digit."""

ORIGIN_MM = np.array([92.0, 4.0, 2.0])
"""(d, r, h) of the model's origin: near the middle knuckle, away from the wrist joint as in MANO,
so that tests catch a formula that ignores the wrist's position."""


def build() -> dict[str, NDArray[Any]]:
    """Arrays of the right hand by MANO's keys."""
    template, hand = Template(), HandShape(Proportions())
    mesh = fit_template(template, hand)  # (778, 3) mm, design frame
    vertices, joints = _to_mano(mesh, hand), _joints(hand)  # (778, 3), (16, 3) m
    shaped = [HandShape(Proportions(**{key: 1 + step})) for key, step in SHAPE_STEPS.items()]
    shapes = np.stack([_to_mano(fit_template(template, one), one) for one in shaped])
    weights = skinning_weights(template, hand, mesh)
    regressor = joint_regressor(
        np.concatenate([vertices[None], shapes]),
        np.stack([joints, *map(_joints, shaped)]),
        weights,
    )
    return {
        "v_template": vertices,
        "f": template.faces.astype(np.uint32),
        "weights": weights,
        "shapedirs": np.moveaxis(shapes - vertices, 0, -1),  # (778, 3, 10)
        "posedirs": _posedirs(pose_correctives(template, hand, mesh)),
        "J_regressor": regressor,
        "J": joints,
        "kintree_table": np.array([[2**32 - 1, *MANO_PARENTS[1:]], range(16)], np.int64),
        "hands_mean": _hands_mean(hand),
        "hands_components": np.eye(45),
        "hands_coeffs": np.zeros((1, 45)),
        "bs_style": np.array("lbs"),
        "bs_type": np.array("lrotmin"),
        "model_name": np.array(MODEL_NAME),
    }


def write_stand_in(folder: Path | str) -> None:
    """Write MANO_RIGHT.npz and MANO_LEFT.npz into a folder, which is created if needed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    right = build()
    for side, arrays in (("RIGHT", right), ("LEFT", mirrored(right))):
        np.savez_compressed(folder / f"MANO_{side}.npz", allow_pickle=False, **arrays)


def mirrored(right: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of the left hand: all arrays of the right hand, mirrored in x."""
    point = np.array([-1.0, 1.0, 1.0])
    axis = np.tile([1.0, -1.0, -1.0], 15)  # an axis-angle (a, b, c) becomes (a, -b, -c)
    feature = np.tile(np.outer(point, point).ravel(), 15)  # an entry of R - I, of M R M - I
    return right | {
        "v_template": right["v_template"] * point,
        "J": right["J"] * point,
        "shapedirs": right["shapedirs"] * point[:, None],
        "posedirs": right["posedirs"] * point[:, None] * feature,
        "f": right["f"][:, ::-1],
        "hands_mean": right["hands_mean"] * axis,
        "hands_components": right["hands_components"] * axis,
    }


def _to_mano(points: Array, hand: HandShape) -> Array:
    """Design (d, r, h) in mm about the wrist -> MANO's (x, y, z) in m about its origin."""
    mapped: Array = hand.proportions.size * (points - ORIGIN_MM) @ AXES.T / 1000
    return mapped


AXES = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
"""(x, y, z) = AXES @ (d, r, h): fingers along -x, back of the hand to +y, thumb to +z."""


def _posedirs(correctives: Array) -> Array:
    """Design frame (778, 3, 15, 3, 3) in mm -> MANO's (778, 3, 135) in m."""
    rotated = np.einsum("ai,vijkl,mk,nl->vajmn", AXES, correctives, AXES, AXES, optimize=True)
    posedirs: Array = rotated.reshape(-1, 3, 135) / 1000
    return posedirs


def _joints(hand: HandShape) -> Array:
    """MANO's 16 joints of this hand, (16, 3) m."""
    wrist = np.zeros((1, 3))
    of_digits = [hand.digits[name].joints[:3] for name in DIGIT_ORDER]
    return _to_mano(np.concatenate([wrist, *of_digits]), hand)


def joint_regressor(vertices: Array, joints: Array, weights: Array) -> Array:
    """Non-negative rows of sum 1, consistent over shapes and over poses: (16, V).

    When joint k rotates by R, skinning moves the regressed joint j by
    (R - I) sum_v row_v moved_vk (v - J_k), where moved_vk is the total weight of v on k and its
    descendants. This is right for all R if the sum is J_j - J_k where j descends from k, and 0
    elsewhere, j = k included.

    Args:
        vertices: (P, 778, 3) m, the mean hand first.
        joints: (P, 16, 3) m.
        weights: (778, 16) skinning weights.
    """
    mesh, centres = 1000 * vertices[0], 1000 * joints[0]  # mm
    descends = _descends()  # (16, 16)
    moved = weights @ descends  # (778, 16)
    levers = moved[:, 1:, None] * (mesh[:, None] - centres[1:])  # (778, 15, 3)
    rows = np.zeros((16, len(mesh)))
    for j in range(16):
        distance = np.linalg.norm(mesh - centres[j], axis=1)
        near = np.argsort(distance, kind="stable")[:NEAREST]
        wanted = np.exp(-0.5 * ((distance[near] - distance[near[0]]) / 6.0) ** 2)
        carried = descends[j, 1:] * (np.arange(1, 16) != j)  # (15,)
        equations = [
            (1000.0, np.ones((1, NEAREST)), np.ones(1)),
            (10.0, mesh[near].T, centres[j]),
            (2.0, 1000 * _columns(vertices[1:, near].swapaxes(0, 1)), 1000 * joints[1:, j].ravel()),
            (
                1.0,
                _columns(levers[near]),
                (carried[:, None] * (centres[j] - centres[1:])).ravel(),
            ),
            (
                3.0,
                np.eye(NEAREST),
                wanted / wanted.sum(),
            ),  # spread the weight over many
        ]
        system = np.concatenate([weight * left for weight, left, _ in equations])
        target = np.concatenate([weight * right for weight, _, right in equations])
        solution, _ = nnls(system, target, maxiter=20 * NEAREST)
        rows[j, near] = solution / solution.sum()
    return rows


def _columns(points: Array) -> Array:
    """One column per vertex: (N, P, 3) -> (3P, N)."""
    return points.reshape(len(points), -1).T


def _descends() -> Array:
    """1 where joint (row) equals or descends from joint (column): (16, 16)."""
    descends = np.eye(16)
    for joint, parent in enumerate(MANO_PARENTS[1:], start=1):
        descends[joint] += descends[parent]
    return descends


NEAREST = 140
"""Maximum number of vertices per joint; the wrist and the thumb's root need many."""


def _hands_mean(hand: HandShape) -> Array:
    """Axis-angle of the relaxed hand, (45,) rad."""
    mean = []
    for name in DIGIT_ORDER:
        axis = AXES @ hand.digits[name].lateral  # flexion rotates about the lateral axis
        mean += [np.radians(angle) * axis for angle in MEAN_FLEXION_DEG[name]]
    return np.concatenate(mean)
