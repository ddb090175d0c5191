"""PositionNet: the deepest level in, the hand's features and its joints in voxels out.

**Voxels.** The volume has D x G x G cells. A joint at pixel u, v is at u / 32, v / 32 of it, as the
level's cell i looks at pixel 32 i, and one at a depth d relative to the wrist at
(d / range + 1) / 2 D. The soft-argmax gives whole numbers of cells, 0 ... G - 1 and 0 ... D - 1, so
joints beyond the last cell (at 256 px: from pixel 224 and from 0.11 m on) cannot be reached. This
is EANet's; `nets/volumetric.py` has another depth axis.

Letters: B batch, J joints, C token width, G side of the level, D depth bins.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handpose.nets.eanet.extract_adapt import ExtractAdapt


class PositionNet(nn.Module):
    """The extract-and-adapt block, and a heatmap volume per joint on what it gives."""

    def __init__(
        self,
        *,
        channels: int,
        dim: int,
        heads: int,
        layers: int,
        side: int,
        joints: int,
        depth: int,
        projections: int,
    ) -> None:
        """The network on a level of so many channels; `depth` is D, see `ExtractAdapt` for more."""
        super().__init__()
        self.depth = depth
        self.extract_adapt = ExtractAdapt(
            channels=channels,
            dim=dim,
            heads=heads,
            layers=layers,
            side=side,
            projections=projections,
        )
        self.volume = nn.Conv2d(2 * dim, joints * depth, kernel_size=1)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, 2 C, G, G) and joints (B, J, 3) in voxels: level (B, channels, G, G)."""
        features = self.extract_adapt(level)
        logits: Tensor = self.volume(features)  # (B, J D, G, G)
        volumes = logits.view(len(logits), -1, self.depth, *logits.shape[2:])
        return features, expected_voxel(volumes)


def expected_voxel(logits: Tensor) -> Tensor:
    """Expected cell under each volume's softmax: logits (B, J, D, G, G) -> x, y, z (B, J, 3).

    In single precision and without a matmul, which autocast would take to bf16.
    """
    prob = logits.float().flatten(2).softmax(-1).view(logits.shape)
    marginals = prob.sum((2, 3)), prob.sum((2, 4)), prob.sum((3, 4))  # x, y, z
    return torch.stack(
        [(m * torch.arange(m.shape[-1], device=m.device)).sum(-1) for m in marginals], dim=-1
    )
