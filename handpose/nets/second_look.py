"""Test-time augmentation: a second pass, on the crop turned upright by the joints of the first.

A network that has seen hands turned every way knows roughly where the fingers point; upright hands
are all alike, so a network reads them better. Turning an image about its centre is turning the
camera about its axis, exactly so where the axis goes through the centre (`turn_camera`). The turned
image is the network's own, sampled a second time and black in the corners; upright images of
training are cut from the stored crop, which has a border.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.hand.camera import turn, turn_back, warp_intrinsics
from handpose.hand.facing import image_rotation
from handpose.hand.mirror import mirror_points
from handpose.sample import PoseOutput


def upright_rotation(uv: Tensor) -> Tensor:
    """R (B, 3, 3), about the optical axis: x_upright = R x, in the camera's frame and in pixels.

    Args:
        uv: (B, 21, 2) px, v down.
    """
    angle = -image_rotation(uv)
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [c, -s, zero, s, c, zero, zero, zero, one]
    return torch.stack(rows, -1).view(-1, 3, 3)


def turn_image(image: Tensor, R: Tensor) -> Tensor:
    """Images (B, 3, S, S) uint8 turned about their centres by R (B, 3, 3); black from outside."""
    to_source = F.pad(R[:, :2, :2].mT, (0, 1))  # (B, 2, 3); centred coordinates turn like pixels
    grid = F.affine_grid(to_source, list(image.shape), align_corners=True)
    turned = F.grid_sample(image.to(R.dtype), grid, align_corners=True)
    return turned.round().to(image.dtype)


def turn_intrinsics(K: Tensor, R: Tensor, side: int) -> Tensor:
    """K (B, 3, 3) px of images `side` px wide -> of these turned by R (B, 3, 3), in R's frame."""
    centre = (side - 1) / 2
    pixels = R.to(K).clone()  # about the centre, where (0, 0, 1) stands for itself
    pixels[:, :2, 2] = centre - centre * pixels[:, :2, :2].sum(-1)
    return turn(warp_intrinsics(K, pixels), R.to(K))  # the rows, each turned: K R^T


def turn_hands_back(hands: PoseOutput, R: Tensor, is_left: Tensor, side: int) -> PoseOutput:
    """Hands seen in turned images, as they are in the images themselves.

    Args:
        hands: seen in images turned by R.
        R: (B, 3, 3), about the optical axis.
        is_left: (B,) bool, the side that `hands` were posed with.
        side: of the images, px.
    """
    centre = (side - 1) / 2
    turned = rotate_camera_back(hands, R, is_left)
    return dataclasses.replace(turned, uv=turn_back(hands.uv - centre, R[:, :2, :2]) + centre)


def rotate_camera_back(hands: PoseOutput, R: Tensor, is_left: Tensor) -> PoseOutput:
    """Hands in the frame of a camera turned by R (B, 3, 3), in that of the camera itself.

    Their root stays in the right-hand frame, `depth_rel` along the axis of the turned camera, and
    `uv` in its pixels.
    """
    R = R.to(hands.joints)

    def root(columns: Tensor) -> Tensor:
        """Columns (B, n, 3) of the root: M R^T M of a left hand's, for its mirror image M."""
        return mirror_points(turn_back(mirror_points(columns, is_left), R), is_left)

    rot6d, rotmat = hands.rot6d.clone(), hands.rotmat.clone()
    rot6d[:, 0] = root(rot6d[:, 0].view(-1, 2, 3)).flatten(1)
    rotmat[:, 0] = root(rotmat[:, 0].transpose(1, 2)).transpose(1, 2)
    return dataclasses.replace(
        hands,
        rot6d=rot6d,
        rotmat=rotmat,
        joints=turn_back(hands.joints, R),
        vertices=turn_back(hands.vertices, R),
    )
