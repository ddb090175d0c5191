"""What HaMeR and WiLoR say of a hand in their crop, and where that hand is in the photo.

They see right hands alone: the crop of a left hand is mirrored before, and what they say of it is
mirrored back here. Their camera is one of weak perspective: s, tx and ty with
u = (5000 / 256) (X + tx) / (Z + tz) and tz = 2 * 5000 / (256 s), where u is a share of the crop's
side from its middle. Read in geopavlakos/hamer 3a01849, hamer/models/hamer.py, mano_wrapper.py and
utils/renderer.py.

Letters: B batch, V = 778 vertices, P points.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from handpose.hand.joint_definition import TIP_VERTICES
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points, sign
from handpose.hand.rotation import rot6d_to_matrix
from handpose.hand.skeleton import FROM_MANO_AND_TIPS
from handpose.other_models.vit import CROP_PX

ROTATIONS, ROT6D, BETAS, CAMERA = 16, 96, 10, 3

FOCAL_PX = 5000.0
"""Of the networks' camera, in pixels of a crop of `CROP_PX`."""

NEVER_ZERO = 1e-9
"""Is added to what divides, as in the published code."""

TIPS = "smplx"
"""Whose fingertips the networks' own joints have."""


class CropHand(NamedTuple):
    """A right hand in a crop, as a network gives it."""

    rot6d: Tensor  # (B, 96) the root and MANO's 15 joints: two columns of each rotation
    betas: Tensor  # (B, 10)
    camera: Tensor  # (B, 3) s, tx (m), ty (m)

    @property
    def rotations(self) -> Tensor:
        """Full rotations of the root and of MANO's 15 joints, no mean pose: (B, 16, 3, 3)."""
        return rot6d_to_matrix(self.rot6d.float().reshape(-1, ROTATIONS, ROT6D // ROTATIONS))


class RightHand(NamedTuple):
    """A right hand about MANO's own origin, in metres."""

    vertices: Tensor  # (B, 778, 3)
    joints: Tensor  # (B, 21, 3) by `Mano.joint_definition`, of the mesh
    own_joints: Tensor  # (B, 21, 3) the skeleton's joints and smplx's fingertips


def posed(hand: CropHand, mano: Mano) -> RightHand:
    """The mesh and both kinds of joints.

    The networks' own joints (their `pred_keypoints_3d`) are where the bones turn; joints averaged
    from the posed mesh lie millimetres beside them in a bent finger.
    """
    rotations = hand.rotations
    found = mano.layer(
        betas=hand.betas.float(), global_orient=rotations[:, :1], hand_pose=rotations[:, 1:]
    )
    tips = found.vertices[:, list(TIP_VERTICES[TIPS])]
    own = torch.cat([found.joints[:, :ROTATIONS], tips], 1)[:, FROM_MANO_AND_TIPS.tolist()]
    return RightHand(found.vertices, mano.joints_from(found.vertices), own)


def shares(points: Tensor, camera: Tensor, side: float = CROP_PX) -> Tensor:
    """Where points are in the crop: shares of its side from its middle, right and down.

    Args:
        points: (B, P, 3) m, of the right hand about MANO's origin.
        camera: (B, 3).
        side: pixels of the crop; the focal length is the same in them, whatever they are.

    Returns:
        (B, P, 2), in -0.5..0.5 inside the crop.
    """
    s, tx, ty = camera.unbind(-1)
    depth = 2 * FOCAL_PX / (side * s + NEVER_ZERO)
    seen = points + torch.stack([tx, ty, depth], -1)[:, None]
    return FOCAL_PX / side * seen[..., :2] / seen[..., 2:]


class CropPlace(NamedTuple):
    """Where crops are in their photos, and whose hands they show."""

    middle: Tensor  # (B, 2) px of the photo
    side: Tensor  # (B,) px of the photo
    is_left: Tensor  # (B,) bool: the crop was mirrored
    K: Tensor  # (B, 3, 3) px, of the photo


class PhotoHand(NamedTuple):
    """A hand as it is in the photo, left or right: axes x right, y down, z forward, in metres."""

    vertices: Tensor  # (B, 778, 3) about MANO's origin
    joints: Tensor  # (B, 21, 3) likewise, of the mesh
    own_joints: Tensor  # (B, 21, 3) likewise, the network's own
    translation: Tensor  # (B, 3) from the camera's centre to MANO's origin
    joints_px: Tensor  # (B, 21, 2) px of the photo, by the network's camera of the crop
    own_joints_px: Tensor  # (B, 21, 2) likewise


def in_photo(hand: CropHand, mano: Mano, place: CropPlace) -> PhotoHand:
    """The hands of crops as they are in their photos; rotations stay as seen in the crop."""
    right = posed(hand, mano)

    def pixels(points: Tensor) -> Tensor:
        x, y = (shares(points, hand.camera) * place.side[:, None, None]).unbind(-1)
        seen = torch.stack([sign(place.is_left)[:, None] * x, y], -1)
        return place.middle[:, None] + seen

    return PhotoHand(
        vertices=mirror_points(right.vertices, place.is_left),
        joints=mirror_points(right.joints, place.is_left),
        own_joints=mirror_points(right.own_joints, place.is_left),
        translation=translation(hand.camera, place),
        joints_px=pixels(right.joints),
        own_joints_px=pixels(right.own_joints),
    )


def translation(camera: Tensor, place: CropPlace) -> Tensor:
    """From the camera's centre to MANO's origin, in the whole photo: (B, 3) m.

    The depth makes a hand as large as it is in the crop; the crop's place moves it sideways. For a
    left hand tx is of the mirrored crop, so its sign changes. The published demo assumes a focal
    length; here it is the photo's own.

    Args:
        camera: (B, 3) of the crops.
        place: of the crops.
    """
    s, tx, ty = camera.unbind(-1)
    focal = place.K[:, [0, 1], [0, 1]]  # (B, 2) px
    depth = 2 * focal.mean(-1) / (place.side * s + NEVER_ZERO)
    ray = (place.middle - place.K[:, :2, 2]) / focal  # (B, 2)
    own = torch.stack([sign(place.is_left) * tx, ty], -1)
    return torch.cat([own + ray * depth[:, None], depth[:, None]], -1)
