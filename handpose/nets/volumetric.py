"""Per-joint tokens by 2.5D volumetric reasoning (paper, section 3.2.1).

Two feature levels become a grid of tokens, the grid a heatmap volume per joint, the volume a
position (soft-argmax), and the grid is sampled there. Letters: B batch, J = 21 joints, C token
width, G side of the grid, D depth bins.

**One coordinate for all of it.** `uvd` is in [-1, 1]: -1 is the centre of the first pixel, cell or
bin, +1 the centre of the last. So pixel u of a crop of side S is 2 u / (S - 1) - 1 (what
`grid_sample` calls align_corners=True), the outer cells lie on the crop's border, and the
soft-argmax, which cannot leave the hull of the cell centres, reaches the whole crop.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.nets.transformer import Transformer


class GridEncoder(nn.Module):
    """Two levels, each projected to half the width and resampled, then a light Transformer."""

    def __init__(
        self, *, channels: Sequence[int], dim: int, heads: int, layers: int, grid: int
    ) -> None:
        """A grid x grid map of `dim` channels from levels of these channels (they share `dim`)."""
        super().__init__()
        self.grid = grid
        width = dim // len(channels)
        self.project = nn.ModuleList(
            # normalised, so that both levels count alike whatever HRNet's branches are like
            nn.Sequential(nn.Conv2d(c, width, kernel_size=1, bias=False), nn.BatchNorm2d(width))
            for c in channels
        )
        self.position = nn.Parameter(0.02 * torch.randn(grid * grid, dim))
        self.transformer = Transformer(dim=dim, heads=heads, layers=layers)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """The encoded map: levels (B, C_i, H_i, W_i) -> (B, C, G, G)."""
        parts = [
            self._resample(project(x)) for project, x in zip(self.project, levels, strict=True)
        ]
        x = torch.cat(parts, dim=1)  # (B, C, G, G)
        tokens = x.flatten(2).transpose(1, 2) + self.position  # (B, G G, C)
        encoded: Tensor = self.transformer(tokens)
        return encoded.transpose(1, 2).reshape(x.shape)  # (B, C, G, G)

    def _resample(self, x: Tensor) -> Tensor:
        size = (self.grid, self.grid)
        if x.shape[-2:] == size:
            return x
        return F.interpolate(x, size, mode="bilinear", align_corners=True)


class VolumeHead(nn.Module):
    """A D x G x G heatmap volume for every joint."""

    def __init__(self, *, dim: int, joints: int, depth: int, sharpness: float = 1.0) -> None:
        """Volumes of `depth` bins for `joints` joints from a map of `dim` channels.

        `sharpness` multiplies the logits. With 1 a volume starts nearly uniform and takes long to
        become a peak; with 10 it becomes one so early that it can hardly move.
        """
        super().__init__()
        self.depth, self.sharpness = depth, sharpness
        self.logits = nn.Conv2d(dim, joints * depth, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the volumes: features (B, C, G, G) -> (B, J, D, G, G)."""
        logits: Tensor = self.sharpness * self.logits(features)  # (B, J D, G, G)
        return logits.view(len(logits), -1, self.depth, *logits.shape[2:])


def soft_argmax(logits: Tensor) -> Tensor:
    """Expected position under each volume's softmax: logits (B, J, D, H, W) -> uvd (B, J, 3).

    Always in single precision: bf16 has 8 bits, about a pixel of a crop. Hence no matmul either,
    which autocast would take back to bf16.
    """
    prob = logits.float().flatten(2).softmax(dim=-1).view(logits.shape)
    plane = prob.sum(2)  # (B, J, H, W)
    marginals = (plane.sum(2), plane.sum(3), prob.sum((3, 4)))  # of u, v, d: (B, J, W or H or D)
    return torch.stack([(m * _centres(m)).sum(-1) for m in marginals], dim=-1)


def _centres(marginal: Tensor) -> Tensor:
    """Cell centres along one axis, (n,) in [-1, 1]."""
    return torch.linspace(-1, 1, marginal.shape[-1], device=marginal.device)


def sample_tokens(features: Tensor, uv: Tensor) -> Tensor:
    """Features at the joints, bilinear: features (B, C, G, G), uv (B, J, 2) -> (B, J, C)."""
    sampled = F.grid_sample(features.float(), uv[:, :, None], align_corners=True)  # (B, C, J, 1)
    return sampled.squeeze(-1).transpose(1, 2)
