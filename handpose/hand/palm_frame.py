"""Joints in the frame of their own palm, so that only the bending of the fingers is left.

Two hands that hold one gesture have the same joints here, whichever hand they are, wherever they
are, however they are turned, and whatever their size. What is lost is the turn of the hand as a
whole: *rocker* seen from the front and from the back are one articulation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.hand.mirror import mirror_points
from handpose.hand.skeleton import JOINTS, MIDDLE_MCP, WRIST

KNUCKLES = tuple(JOINTS.index(f"{finger}_1") for finger in ("index", "middle", "ring", "pinky"))
"""The joints at which the fingers leave the palm; the thumb's moves."""

LEAST_WIDTH = 1e-3
"""Of a palm, as a share of the distance between its outer knuckles; below it is rounding alone."""


def in_palm_frame(joints: Tensor, is_left: Tensor) -> Tensor:
    """Joints of right hands, the wrist at 0, in lengths of the palm: (B, 21, 3) twice.

    y points from the wrist to the middle of the four knuckles, x in their plane from the little
    finger's side to the index finger's, z out of the palm. 1 is the distance from the
    wrist to the knuckle of the middle finger. Left hands are mirrored.

    Args:
        joints: (B, 21, 3) in any right-handed frame and any unit, in the order of `skeleton`.
        is_left: (B,) bool.

    Returns:
        (B, 21, 3); NaN where the palm has no length, or no width.
    """
    right = mirror_points(joints - joints[:, [WRIST]], is_left)
    basis = palm_axes(right)  # (B, 3, 3)
    length = torch.linalg.vector_norm(right[:, MIDDLE_MCP], dim=-1)[:, None, None]
    return torch.where(length > 0, right @ basis.mT / length, torch.nan)


def palm_axes(right: Tensor) -> Tensor:
    """The axes x, y and z as rows, orthonormal: right hands (B, 21, 3), wrist at 0 -> (B, 3, 3).

    NaN where the knuckles and the wrist are on one line.
    """
    y = F.normalize(right[:, list(KNUCKLES)].mean(1), dim=-1)  # (B, 3)
    across = right[:, KNUCKLES[0]] - right[:, KNUCKLES[-1]]  # little finger to index
    aside = across - (across * y).sum(-1, keepdim=True) * y
    width = torch.linalg.vector_norm(aside, dim=-1, keepdim=True)
    least = LEAST_WIDTH * torch.linalg.vector_norm(across, dim=-1, keepdim=True)
    x = torch.where(width > least, aside / width, torch.nan)
    return torch.stack([x, y, torch.cross(x, y, dim=-1)], 1)


def palm_length(joints: Tensor) -> Tensor:
    """From the wrist to the knuckle of the middle finger: (B, 21, 3) -> (B,), in their unit."""
    length: Tensor = torch.linalg.vector_norm(joints[:, MIDDLE_MCP] - joints[:, WRIST], dim=-1)
    return length
