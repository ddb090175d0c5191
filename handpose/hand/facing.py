"""Which face of a hand a camera sees, and how it is turned in the image: known from its joints."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.hand.skeleton import JOINTS, WRIST

FACINGS = ("palm", "back", "edge")
"""Names of the classes by id."""

UNKNOWN = -1
"""Class of a hand whose palm is not annotated."""

EDGE_DEG = 15.0
"""A palm whose plane is closer than this to the line of sight is seen from its edge."""

INDEX, MIDDLE, PINKY = (JOINTS.index(name) for name in ("index_1", "middle_1", "pinky_1"))


def facing(joints_cam: Tensor, joint_valid: Tensor, is_left: Tensor) -> Tensor:
    """Class ids of `FACINGS`, (B,) int64; `UNKNOWN` where a joint of the palm is not annotated.

    The palm is the triangle of the wrist and the knuckles of index and little finger. The line of
    sight is that from the camera to the palm, so the class is the same in any frame that shares
    the camera's centre.

    Args:
        joints_cam: (B, 21, 3) m, camera.
        joint_valid: (B, 21) bool.
        is_left: (B,) bool.
    """
    # single columns: an index of several would be copied to the GPU in every step
    corners = [joints_cam[:, joint] for joint in (WRIST, INDEX, PINKY)]
    sight = F.normalize(torch.stack(corners).sum(0), dim=-1)  # (B, 3)
    towards_camera = -(palm_normal(joints_cam, is_left) * sight).sum(
        -1
    )  # (B,) 1: the palm faces the camera
    least = math.sin(math.radians(EDGE_DEG))
    palm, back, edge = (FACINGS.index(name) for name in ("palm", "back", "edge"))
    classes = torch.full_like(is_left, edge, dtype=torch.int64)
    classes = torch.where(towards_camera > least, palm, classes)
    classes = torch.where(towards_camera < -least, back, classes)
    known = joint_valid[:, WRIST] & joint_valid[:, INDEX] & joint_valid[:, PINKY]
    return torch.where(known, classes, UNKNOWN)


def palm_normal(joints: Tensor, is_left: Tensor) -> Tensor:
    """Unit vectors out of the palm, (B, 3): joints (B, 21, 3) in any right-handed frame."""
    wrist = joints[:, WRIST]
    normal = torch.cross(joints[:, INDEX] - wrist, joints[:, PINKY] - wrist, dim=-1)
    sign = 1 - 2 * is_left.to(joints.dtype)
    return F.normalize(sign[:, None] * normal, dim=-1)


def image_rotation(uv: Tensor) -> Tensor:
    """In-plane rotation of hands in [-pi, pi), (B,): 0 fingers up, positive clockwise.

    Args:
        uv: (B, 21, 2) px, v down; the direction is that from the wrist to the middle knuckle.
    """
    along = uv[:, MIDDLE] - uv[:, WRIST]
    return torch.atan2(along[:, 0], -along[:, 1])
