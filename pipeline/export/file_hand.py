"""The hand model as it goes into a file: MANO's formula in our own words, or no hand at all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handpose.hand.mano import Mano, ManoOutput
from handpose.hand.skeleton import JOINTS

ROTATIONS = 16


class FileHand(nn.Module):
    """What `Mano` computes, without smplx, whose licence does not let its code be passed on.

    Linear blend skinning with corrections for shape and pose; source: Romero, Tzionas, Black,
    Embodied Hands (2017), equations 2 to 4 and 8.
    """

    template: Tensor  # (V, 3) m
    shapes: Tensor  # (V, 3, 10)
    bends: Tensor  # (135, V 3) by the entries of 15 rotations less the identity
    weights: Tensor  # (V, 16)
    regressor: Tensor  # (16, V) of the rotations' centres
    joint_matrix: Tensor  # (21, V)
    faces: Tensor  # (F, 3)

    def __init__(self, mano: Mano) -> None:
        """Of this model's arrays."""
        super().__init__()
        layer = mano.layer
        for name, array in (
            ("template", layer.v_template),
            ("shapes", layer.shapedirs),
            ("bends", layer.posedirs),
            ("weights", layer.lbs_weights),
            ("regressor", layer.J_regressor),
            ("joint_matrix", mano.joint_matrix),
            ("faces", mano.faces),
        ):
            self.register_buffer(name, array, persistent=False)
        self.parents = [int(layer.parents[k]) for k in range(1, ROTATIONS)]

    def forward(self, global_orient: Tensor, rotations: Tensor, betas: Tensor) -> ManoOutput:
        """As of `Mano`."""
        shaped = self.template + torch.einsum("bk,vdk->bvd", betas, self.shapes)  # (B, V, 3)
        rest = torch.einsum("kv,bvd->bkd", self.regressor, shaped)  # (B, 16, 3)
        identity = torch.eye(3, dtype=betas.dtype, device=betas.device)
        bent = (rotations - identity).flatten(1) @ self.bends  # (B, V 3)
        posed = shaped + bent.view(-1, *self.template.shape)

        turned, centres = [global_orient], [rest[:, 0]]
        for k, parent in enumerate(self.parents, 1):
            bone = (rest[:, k] - rest[:, parent])[..., None]  # (B, 3, 1)
            centres.append(centres[parent] + (turned[parent] @ bone)[..., 0])
            turned.append(turned[parent] @ rotations[:, k - 1])
        R = torch.stack(turned, 1)  # (B, 16, 3, 3)
        offset = torch.stack(centres, 1) - (R @ rest[..., None])[..., 0]  # (B, 16, 3)
        blended = torch.einsum("vk,bkij->bvij", self.weights, R)  # (B, V, 3, 3)
        vertices = (blended * posed[:, :, None]).sum(-1)
        vertices = vertices + torch.einsum("vk,bki->bvi", self.weights, offset)
        return ManoOutput(vertices, torch.einsum("jv,bvd->bjd", self.joint_matrix, vertices))


class NoHand(nn.Module):
    """In place of a hand model that may not be passed on: every point at the origin."""

    def forward(self, global_orient: Tensor, rotations: Tensor, betas: Tensor) -> ManoOutput:
        """Points of B hands."""
        points = betas.new_zeros(betas.shape[0], len(JOINTS), 3)
        return ManoOutput(points, points)
