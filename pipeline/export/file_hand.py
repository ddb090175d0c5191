"""The hand model as it goes into a file: MANO's formula in our own words, or no hand at all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handpose.hand.mano import Mano, ManoOutput
from handpose.hand.skeleton import JOINTS
from handpose.hand.skinned_hand import SkinnedHand


class FileHand(nn.Module):
    """What `Mano` computes, without smplx, whose licence does not let its code be passed on."""

    joint_matrix: Tensor  # (21, V)
    faces: Tensor  # (F, 3)

    def __init__(self, mano: Mano) -> None:
        """Of this model's arrays."""
        super().__init__()
        self.skin = SkinnedHand(**dict(mano.layer.named_buffers()))
        self.register_buffer("joint_matrix", mano.joint_matrix, persistent=False)
        self.register_buffer("faces", mano.faces, persistent=False)

    def forward(self, global_orient: Tensor, rotations: Tensor, betas: Tensor) -> ManoOutput:
        """As of `Mano`."""
        vertices = self.skin(betas, global_orient[:, None], rotations).vertices
        return ManoOutput(vertices, torch.einsum("jv,bvd->bjd", self.joint_matrix, vertices))


class NoHand(nn.Module):
    """In place of a hand model that may not be passed on: every point at the origin."""

    def forward(self, global_orient: Tensor, rotations: Tensor, betas: Tensor) -> ManoOutput:
        """Points of B hands."""
        points = betas.new_zeros(betas.shape[0], len(JOINTS), 3)
        return ManoOutput(points, points)
