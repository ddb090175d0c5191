"""Writes a made-up HO-3D in the data set's own layout."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from handpose.fitting.joint_order import ORDERS
from handpose.hand.mano import Mano
from handpose.hand.skeleton import inverse
from handpose.ho3d.reader import SIZE, SUFFIX, Version
from tests.freihand.made_up_hands import MadeUpHands, made_up_hands, write_photo

K = np.array([[614.0, 0, 320.5], [0, 614, 240.5], [0, 0, 1]])
OPENGL = np.array([1.0, -1.0, -1.0])
SEQUENCES = ("SM1", "MPM10", "MPM11")


def write_ho3d(
    root: Path,
    mano: Mano,
    version: Version,
    *,
    evaluation: int = 24,
    train: int = 0,
    photos: bool = True,
) -> dict[str, MadeUpHands]:
    """HO-3D with so many frames; returns the hands by part, in our axes, in the lists' order."""
    written = {}
    for part, count in (("evaluation", evaluation), ("train", train)):
        hands = made_up_hands(mano, count or 1, "ho3d", seed=len(part))
        lines = []
        for k in range(count):
            name = SEQUENCES[k % len(SEQUENCES)]
            lines.append(f"{name}/{k:04d}")
            meta = root / part / name / "meta" / f"{k:04d}.pkl"
            meta.parent.mkdir(parents=True, exist_ok=True)
            frame = _frame(hands, k, part, mano)
            meta.write_bytes(pickle.dumps(frame, protocol=2))
            if photos:
                photo = root / part / name / "rgb" / f"{k:04d}.{SUFFIX[version]}"
                write_photo(photo, SIZE, k)
        (root / f"{part}.txt").write_text("".join(f"{line}\n" for line in lines))
        written[part] = hands
    joints = written["evaluation"].joints[:, inverse(ORDERS["mano"])]
    truth = {"xyz": joints, "verts": written["evaluation"].vertices}
    for name, points in truth.items():
        path = root / f"evaluation_{name}.json"
        path.write_text(json.dumps((points * OPENGL).tolist()))
    return written


def _frame(hands: MadeUpHands, k: int, part: str, mano: Mano) -> dict[str, Any]:
    """The dictionary of a frame; its hand in OpenGL's axes, its pose not relative to the mean."""
    joints = hands.joints[k][inverse(ORDERS["mano"])] * OPENGL
    uvw = hands.joints[k] @ K.T
    uv = uvw[:, :2] / uvw[:, 2:]
    frame: dict[str, Any] = {"camMat": K, "objName": "010_potted_meat_can", "objRot": np.zeros(3)}
    if part == "evaluation":
        box = np.concatenate([uv.min(0) - 5, uv.max(0) + 5])
        return frame | {"handJoints3D": joints[0], "handBoundingBox": box.tolist()}
    # the hand turns about its wrist, which is not MANO's origin
    from scipy.spatial.transform import Rotation

    half_turn = Rotation.from_matrix(np.diag(OPENGL))
    root = (half_turn * Rotation.from_rotvec(hands.global_orient[k])).as_rotvec()
    import torch

    wrist = mano.rest_wrist(torch.from_numpy(hands.betas[[k]]).float())[0].double().numpy()
    transl = OPENGL * (wrist + hands.transl[k]) - wrist
    pose = hands.hand_pose[k] + mano.hands_mean.double().numpy()
    return frame | {
        "handJoints3D": joints,
        "handPose": np.concatenate([root, pose]),
        "handTrans": transl,
        "handBeta": hands.betas[k],
        "handVertContact": np.zeros(778, np.bool_),
    }
