"""MANO parameters from refined joint tokens (paper, section 3.2.3).

Letters: B batch, J = 21 joints, C token width, F width of the global feature.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

ROTATIONS = 16
BETAS = 10


class ManoHead(nn.Module):
    """Two MLPs: a pose head for 16 rotations in 6D (root and 15 joints) and a shape head for betas.

    The pose head reads every joint's token with its position, and the global feature; the shape
    head the mean token and the global feature. Source of the 6D representation: Zhou et al., On the
    Continuity of Rotation Representations in Neural Networks (2019).
    """

    def __init__(self, *, joints: int, dim: int, features: int, mean_rot6d: Tensor) -> None:
        """Heads on `joints` tokens of width `dim` and a global feature of width `features`.

        `mean_rot6d` (16, 6) is the pose that training starts from.
        """
        super().__init__()
        start = mean_rot6d.detach().flatten()
        self.norm = nn.LayerNorm(features)  # the levels' pooled features differ in size
        self.pose = _mlp(joints * (dim + 3) + features, 2 * dim, start)
        self.shape = _mlp(dim + features, dim, torch.zeros(BETAS))

    def forward(self, tokens: Tensor, uvd: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Raw 6D rotations (B, 16, 6) and betas (B, 10).

        Args:
            tokens: (B, J, C).
            uvd: (B, J, 3) in [-1, 1], the joints' positions.
            features: (B, F).
        """
        features = self.norm(features)
        positioned = torch.cat([tokens, uvd], dim=-1).flatten(1)  # (B, J (C + 3))
        rot6d = self.pose(torch.cat([positioned, features], dim=-1)).view(-1, ROTATIONS, 6)
        betas = self.shape(torch.cat([tokens.mean(1), features], dim=-1))
        return rot6d, betas


def _mlp(inputs: int, hidden: int, start: Tensor) -> nn.Sequential:
    """Two layers whose output starts near `start`."""
    last = nn.Linear(hidden, len(start))
    nn.init.normal_(last.weight, std=0.01)
    with torch.no_grad():
        last.bias.copy_(start)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), last)
