"""Per-joint tokens by 2.5D volumetric reasoning (paper, section 3.2.1).

Two feature levels become a grid of tokens, the grid a heatmap volume per joint, the volume a
position (soft-argmax), and the grid is sampled there. Letters: B batch, J = 21 joints, C token
width, G side of the grid, D depth bins.

**One coordinate for all of it.** `uvd` is in [-1, 1]. In u and v, -1 is the centre of the crop's
first pixel and +1 that of its last; `CellGrid` says where the cells are. In depth, -1 is the first
bin and +1 the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.nets.transformer import Transformer


@dataclass(frozen=True)
class CellGrid:
    """Where the G x G cells of a feature map of a square image are.

    With stride s = side / G, cell i is at pixel s i: the first cell lies on the image's border, the
    last one a stride before the other border. A strided convolution of width 3 and padding 1 looks
    there, and so does every level of a `Backbone` that is not `centred`. Of one that is, cell i is
    in the middle of its s pixels, at s i + (s - 1) / 2.
    """

    side: int  # of the image, px
    cells: int  # G
    centred: bool = False

    @property
    def cell_px(self) -> float:
        """Pixels from one cell to the next."""
        return self.side / self.cells

    @property
    def first_px(self) -> float:
        """Pixel of the first cell."""
        return (self.cell_px - 1) / 2 if self.centred else 0.0

    def centres(self, device: torch.device | None = None) -> Tensor:
        """Positions of the cells along one axis, (G,) in the image's [-1, 1]."""
        cells = torch.arange(self.cells, device=device)
        first = 2 * self.first_px / (self.side - 1) - 1
        return 2 * self.cell_px / (self.side - 1) * cells + first

    def index(self, uv: Tensor) -> Tensor:
        """Positions in the image's [-1, 1] -> fractional numbers of cells."""
        first = self.first_px / self.cell_px
        return (uv + 1) / 2 * (self.side - 1) / self.cell_px - first

    def resampling(self, cells: int, device: torch.device | None = None) -> Tensor:
        """(G, n) weights that interpolate a map of n cells of the same image at these G cells.

        Linear; cells before the map's first one or behind its last one repeat it.
        """
        source = CellGrid(self.side, cells, self.centred)
        index = source.index(self.centres(device)).clamp(0, cells - 1)  # (G,)
        distance = (index[:, None] - torch.arange(cells, device=device)).abs()  # (G, n)
        return (1 - distance).clamp(min=0)


class GridEncoder(nn.Module):
    """Two levels, each projected to half the width and resampled, then a light Transformer."""

    def __init__(
        self,
        *,
        channels: Sequence[int],
        dim: int,
        heads: int,
        layers: int,
        grid: int,
        centred: bool = False,
    ) -> None:
        """A grid x grid map of `dim` channels from levels of these channels (they share `dim`).

        `centred` says where the cells of the levels and of the map are: see `CellGrid`.
        """
        super().__init__()
        self.grid = grid
        self.centred = centred
        width = dim // len(channels)
        self.project = nn.ModuleList(
            # normalised, so that both levels count alike whatever the backbone's are like
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
        cells = int(x.shape[-1])  # a number where the network is traced, too
        if cells == self.grid:
            return x
        # the side of the image cancels out: only the ratio of both strides matters
        weights = CellGrid(self.grid * cells, self.grid, self.centred).resampling(cells, x.device)
        return torch.einsum("gi,bcij,hj->bcgh", weights, x.float(), weights)


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
        # by shape, which tracing takes for any batch, and not by len(), a number of this one
        return logits.view(logits.shape[0], -1, self.depth, *logits.shape[2:])


def soft_argmax(logits: Tensor, grid: CellGrid) -> Tensor:
    """Expected position under each volume's softmax: logits (B, J, D, G, G) -> uvd (B, J, 3).

    Always in single precision: bf16 has 8 bits, about a pixel of a crop. Hence no matmul either,
    which autocast would take back to bf16.
    """
    marginals = _marginals(logits, grid)
    return torch.stack([(m * centres).sum(-1) for m, centres in marginals], dim=-1)


def spread(logits: Tensor, grid: CellGrid) -> Tensor:
    """Standard deviation of each volume's softmax: logits (B, J, D, G, G) -> (B, J, 3).

    Along u, v and depth, in the unit of `soft_argmax`.
    """
    deviations = []
    for m, centres in _marginals(logits, grid):
        mean = (m * centres).sum(-1, keepdim=True)  # (B, J, 1)
        deviations.append((m * (centres - mean) ** 2).sum(-1).sqrt())
    return torch.stack(deviations, dim=-1)


def _marginals(logits: Tensor, grid: CellGrid) -> list[tuple[Tensor, Tensor]]:
    """Softmax of each volume along u, v and depth, (B, J, G) or (B, J, D), and where its bins are.

    Always in single precision.
    """
    prob = logits.float().flatten(2).softmax(dim=-1).view(logits.shape)
    plane = prob.sum(2)  # (B, J, G, G)
    cells = grid.centres(logits.device)  # (G,)
    bins = torch.linspace(-1, 1, logits.shape[2], device=logits.device)  # (D,)
    return [(plane.sum(2), cells), (plane.sum(3), cells), (prob.sum((3, 4)), bins)]


def sample_tokens(features: Tensor, uv: Tensor, grid: CellGrid) -> Tensor:
    """Features at the joints, bilinear: features (B, C, G, G), uv (B, J, 2) -> (B, J, C).

    A joint beyond the last cell reads that cell.
    """
    unit = 2 * grid.index(uv) / (grid.cells - 1) - 1  # -1: first cell, +1: last cell
    sampled = F.grid_sample(
        features.float(), unit[:, :, None], padding_mode="border", align_corners=True
    )  # (B, C, J, 1)
    return sampled.squeeze(-1).transpose(1, 2)
