"""Hands from the world to their camera's frame: joints, boxes and MANO parameters, exactly.

Reasons for a reject: nan_in_joints, too_few_joints, behind_camera, empty_box. A valid joint behind
the camera is masked; its hand is rejected if too few are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.data.annotation_table import (
    BoolArray,
    Camera,
    FloatArray,
    HandJoints,
    HandsInWorld,
    Unusable,
)
from handpose.hand.camera import project, root_to_camera, world_to_camera
from handpose.hand.mirror import mirror_axis_angle, mirror_points
from handpose.hand.rotation import axis_angle_to_matrix, matrix_to_axis_angle

NEAR_M = 0.01
"""Joints with a smaller depth than this count as behind the camera."""


class HandsInCamera(NamedTuple):
    """N hands in their camera's frame; MANO parameters in the right-hand frame (`sample.py`)."""

    bbox: FloatArray  # (N, 4) x, y, w, h px: tight box of the valid joints, inside the photo
    K: FloatArray  # (N, 3, 3) px of the photo
    joints_cam: FloatArray  # (N, 21, 3) m; 0 where not valid
    joint_valid: BoolArray  # (N, 21): known in 3D, and valid in this view
    has_mano: BoolArray  # (N,); without a fit the following are 0
    global_orient: FloatArray  # (N, 3) axis-angle
    hand_pose: FloatArray  # (N, 45) axis-angle relative to hands_mean
    betas: FloatArray  # (N, 10)
    transl: FloatArray  # (N, 3) m: mesh in the camera = mirror(mano(parameters)) + transl


class OtherHands(NamedTuple):
    """What the other annotated hand of each of N photos takes of the picture.

    Nobody annotated which joints are hidden, so this is where they may be.
    """

    is_known: BoolArray  # (N,) there is one, and its joints span an area inside the photo
    in_other_box: BoolArray  # (N, 21) valid joints inside the box of its known joints


class RestWrist:
    """The wrist of the rest pose for any shape: linear in betas, so eleven shapes determine it."""

    def __init__(self, rest_wrist: Callable[[Tensor], Tensor]) -> None:
        """`rest_wrist` is the method of `Mano`: betas (B, 10) -> (B, 3) m."""
        wrists = rest_wrist(torch.cat([torch.zeros(1, 10), torch.eye(10)])).double()  # (11, 3)
        # as numpy, which is pickled ten times faster
        self._mean, self._slope = wrists[0].numpy(), (wrists[1:] - wrists[0]).numpy()

    def __call__(self, betas: Tensor) -> Tensor:
        """Right-hand wrists: betas (N, 10) float64 -> (N, 3) m."""
        return torch.from_numpy(self._mean) + betas @ torch.from_numpy(self._slope)


def to_camera_frame(
    hands: HandsInWorld, rest_wrist: RestWrist, *, min_valid_joints: int
) -> tuple[HandsInCamera, list[Unusable]]:
    """Hands in the frame of their camera, and which of them cannot be used, in their order."""
    joints, annotated = _joints(hands)  # (N, 21, 3) m, camera; (N, 21)
    finite, ahead = np.isfinite(joints).all(-1), joints[..., 2] >= NEAR_M
    behind = annotated & finite & ~ahead
    valid = annotated & ~behind
    # joints without an image are replaced by a harmless point, and masked
    in_front = (valid & finite)[..., None]
    bbox = _box(
        project(np.where(in_front, joints, [0.0, 0.0, 1.0]), hands.camera.K), valid, hands.size
    )

    few = min_valid_joints
    unusable: dict[int, Unusable] = {}
    for reason, bad, detail in (
        ("nan_in_joints", (valid & ~finite).any(1), "a valid joint is not a number"),
        ("too_few_joints", annotated.sum(1) < min_valid_joints, f"fewer than {few} valid"),
        (
            "behind_camera",
            valid.sum(1) < min_valid_joints,
            f"fewer than {few} valid in front of the camera",
        ),
        ("empty_box", (bbox[:, 2:] <= 0).any(1), "the valid joints span no area inside the photo"),
    ):
        for i in np.flatnonzero(bad).tolist():
            unusable.setdefault(i, Unusable(i, reason, detail))
    in_camera = HandsInCamera(
        bbox,
        hands.camera.K,
        np.where(valid[..., None], joints, 0.0),
        valid,
        hands.has_mano,
        *(np.where(hands.has_mano[:, None], part, 0.0) for part in _mano(hands, rest_wrist)),
    )
    return in_camera, [unusable[i] for i in sorted(unusable)]


def other_hands(
    hands: HandsInCamera, others: HandJoints, camera: Camera, size: NDArray[np.int64]
) -> OtherHands:
    """Which joints of N hands lie where the other hand of their photo is.

    Args:
        hands: whose joints.
        others: the other hand of each photo, in the world.
        camera: of each photo.
        size: (N, 2) width and height of each photo, px.
    """
    joints = world_to_camera(others.joints, camera.R, camera.C)
    seen = others.joint_valid & np.isfinite(joints).all(-1) & (joints[..., 2] >= NEAR_M)
    box = _box(project(np.where(seen[..., None], joints, [0.0, 0.0, 1.0]), camera.K), seen, size)
    is_known = np.asarray((box[:, 2:] > 0).all(1))
    own = np.where(hands.joint_valid[..., None], hands.joints_cam, [0.0, 0.0, 1.0])
    uv = project(own, camera.K)  # (N, 21, 2)
    low, high = box[:, None, :2], box[:, None, :2] + box[:, None, 2:]
    inside = ((uv >= low) & (uv <= high)).all(-1)
    return OtherHands(is_known, hands.joint_valid & inside & is_known[:, None])


def take(hands: HandsInCamera, rows: Sequence[int] | NDArray[Any]) -> HandsInCamera:
    """Some of the hands."""
    return HandsInCamera(**{name: field[rows] for name, field in hands._asdict().items()})


def _joints(hands: HandsInWorld) -> tuple[FloatArray, BoolArray]:
    """Joints in the camera's frame (N, 21, 3) m, and a mask of the valid ones (N, 21)."""
    joints = world_to_camera(hands.joints, hands.camera.R, hands.camera.C)
    return joints, hands.joint_valid & hands.visible


def _box(uv: FloatArray, valid: BoolArray, size: NDArray[np.int64]) -> FloatArray:
    """Tight box x, y, w, h (N, 4) px of valid pixels uv (N, 21, 2), cut to photos of `size`."""
    last = size - 1  # pixel centres lie at whole numbers
    low = np.where(valid[..., None], uv, np.inf).min(1).clip(0, last)  # (N, 2)
    high = np.where(valid[..., None], uv, -np.inf).max(1).clip(0, last)
    return np.concatenate([low, high - low], 1)


def _mano(hands: HandsInWorld, rest_wrist: RestWrist) -> list[FloatArray]:
    """The last four fields of `HandsInCamera`; arbitrary where there is no fit."""
    root, pose, betas, transl = (torch.from_numpy(part) for part in hands.fit)
    is_left = torch.from_numpy(hands.is_left)
    R, C = torch.from_numpy(hands.camera.R), torch.from_numpy(hands.camera.C)

    wrist = mirror_points(rest_wrist(betas)[:, None], is_left)[:, 0]  # (N, 3) of the annotated hand
    rotation, transl = root_to_camera(axis_angle_to_matrix(root), transl, wrist, R, C)
    root = mirror_axis_angle(matrix_to_axis_angle(rotation), is_left)  # (N, 3)
    pose = mirror_axis_angle(pose.view(-1, 15, 3), is_left).flatten(1)  # (N, 45)
    return [part.numpy() for part in (root, pose, betas, transl)]
