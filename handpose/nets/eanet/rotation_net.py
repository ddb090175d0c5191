"""RotationNet: features and joints in, MANO's parameters and a weak-perspective camera out.

Letters: B batch, J joints, C token width, G side of the features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.nets.eanet.attention_blocks import SelfBlock
from handpose.nets.eanet.extract_adapt import conv_norm

BETA_COUNT = 10
FINGER_ROTATIONS = 15


class Regressed(NamedTuple):
    """What `RotationNet` reads off an image's features."""

    rot6d: Tensor  # (B, 16, 6) raw 6D, root first: column 1, then column 2
    betas: Tensor  # (B, 10)
    camera: Tensor  # (B, 3) s, tx, ty: a point X, Y in metres is at s X + tx, s Y + ty voxels


class RotationNet(nn.Module):
    """Tokens sampled at the joints, a Transformer over them, and linear heads."""

    def __init__(self, *, dim: int, heads: int, layers: int, joints: int, side_input: bool) -> None:
        """The network on features of 2 `dim` channels.

        Args:
            dim: C, the width of the tokens.
            heads: attention heads.
            layers: Transformer blocks over the joints.
            joints: number of joints.
            side_input: add an embedding of the hand's side to the tokens. EANet has none: it has
                one network per side.
        """
        super().__init__()
        self.shape = nn.Linear(2 * dim, BETA_COUNT)
        self.camera = nn.Linear(2 * dim, 3)
        self.reduce = conv_norm(2 * dim, dim)
        self.position = nn.Parameter(torch.randn(joints, dim))
        self.side = nn.Embedding(2, dim) if side_input else None
        self.blocks = nn.ModuleList(SelfBlock(dim=dim, heads=heads) for _ in range(layers))
        inputs = joints * (dim + 3)
        self.root = nn.Linear(inputs, 6)
        self.pose = nn.Linear(inputs, FINGER_ROTATIONS * 6)

    def forward(
        self, features: Tensor, voxels: Tensor, places: Tensor, is_left: Tensor
    ) -> Regressed:
        """The parameters of the hand.

        Args:
            features: (B, 2 C, G, G).
            voxels: (B, J, 3) where the tokens are sampled: x, y in cells of the features.
            places: (B, J, 3) the joints that the heads read: `voxels`, as a right hand's.
            is_left: (B,) bool, read with `side_input`.
        """
        pooled = features.mean((2, 3))  # (B, 2 C)
        tokens = sample_cells(self.reduce(features), voxels[..., :2]) + self.position  # (B, J, C)
        if self.side is not None:
            tokens = tokens + self.side(is_left.long())[:, None]
        for block in self.blocks:
            tokens = block(tokens)
        with torch.autocast(tokens.device.type, enabled=False):  # bf16 costs tenths of millimetres
            read = torch.cat([tokens.float(), places], dim=-1).flatten(1)  # (B, J (C + 3))
            raw = torch.cat([self.root(read), self.pose(read)], dim=-1)
            betas, camera = self.shape(pooled.float()), self.camera(pooled.float())
        # a rotation's six numbers are the rows of its first two columns: they alternate
        rot6d = raw.view(-1, FINGER_ROTATIONS + 1, 3, 2).transpose(2, 3).flatten(2)
        return Regressed(rot6d, betas, camera)


def sample_cells(features: Tensor, xy: Tensor) -> Tensor:
    """Bilinear between cells: features (B, C, G, G), xy (B, J, 2) in cells -> (B, J, C)."""
    unit = 2 * xy / (features.shape[-1] - 1) - 1  # -1: first cell, +1: last cell
    sampled = F.grid_sample(features.float(), unit[:, :, None], align_corners=True)
    return sampled.squeeze(-1).transpose(1, 2)  # (B, C, J, 1) -> (B, J, C)
