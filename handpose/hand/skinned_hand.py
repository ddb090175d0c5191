"""MANO's formula in our own words: a mesh from shape and rotations, without smplx."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handpose.hand.skeleton import MANO_PARENTS


class SkinnedOutput(NamedTuple):
    """A posed right hand about MANO's own origin, in metres."""

    vertices: Tensor  # (B, V, 3)
    joints: Tensor  # (B, 16, 3) where the bones turn


class SkinnedHand(nn.Module):
    """Linear blend skinning with corrections for shape and pose.

    Names of buffers and arguments are those of `smplx.MANOLayer`, in whose place it stands where
    smplx may not be used or passed on. Source: Romero, Tzionas, Black, Embodied Hands (2017),
    equations 2 to 4 and 8.
    """

    v_template: Tensor  # (V, 3) m
    shapedirs: Tensor  # (V, 3, 10)
    posedirs: Tensor  # (135, 3 V) by the entries of 15 rotations less the identity
    lbs_weights: Tensor  # (V, 16)
    J_regressor: Tensor  # (16, V) of the rotations' centres

    def __init__(self, **buffers: Tensor) -> None:
        """Of tensors with the names and shapes above."""
        super().__init__()
        for name in ("v_template", "shapedirs", "posedirs", "lbs_weights", "J_regressor"):
            self.register_buffer(name, buffers[name], persistent=False)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SkinnedHand:
        """The hand of a MANO file's arrays (`mano.SHAPES`)."""
        posedirs = arrays["posedirs"]  # (V, 3, 135)
        found = {
            "v_template": arrays["v_template"],
            "shapedirs": arrays["shapedirs"],
            "posedirs": posedirs.reshape(-1, posedirs.shape[-1]).T,
            "lbs_weights": arrays["weights"],
            "J_regressor": arrays["J_regressor"],
        }
        return cls(**{name: torch.tensor(a, dtype=torch.float32) for name, a in found.items()})

    def forward(self, betas: Tensor, global_orient: Tensor, hand_pose: Tensor) -> SkinnedOutput:
        """Mesh and centres of rotation.

        Args:
            betas: (B, 10).
            global_orient: (B, 1, 3, 3) rotation of the root.
            hand_pose: (B, 15, 3, 3) full local rotations.
        """
        shaped = self.v_template + torch.einsum("bk,vdk->bvd", betas, self.shapedirs)  # (B, V, 3)
        rest = torch.einsum("kv,bvd->bkd", self.J_regressor, shaped)  # (B, 16, 3)
        identity = torch.eye(3, dtype=betas.dtype, device=betas.device)
        bent = (hand_pose - identity).flatten(1) @ self.posedirs  # (B, 3 V)
        posed = shaped + bent.view(-1, *self.v_template.shape)

        turned, centres = [global_orient[:, 0]], [rest[:, 0]]
        for k, parent in enumerate(MANO_PARENTS[1:], 1):
            bone = (rest[:, k] - rest[:, parent])[..., None]  # (B, 3, 1)
            centres.append(centres[parent] + (turned[parent] @ bone)[..., 0])
            turned.append(turned[parent] @ hand_pose[:, k - 1])
        R, joints = torch.stack(turned, 1), torch.stack(centres, 1)  # (B, 16, 3, 3), (B, 16, 3)
        offset = joints - (R @ rest[..., None])[..., 0]  # (B, 16, 3)
        blended = torch.einsum("vk,bkij->bvij", self.lbs_weights, R)  # (B, V, 3, 3)
        vertices = (blended * posed[:, :, None]).sum(-1)
        return SkinnedOutput(
            vertices + torch.einsum("vk,bki->bvi", self.lbs_weights, offset), joints
        )
