"""The extract-and-adapt block: what two maps share is extracted, and adapted to the first.

EANet's two maps are a right and a left hand's. With one hand they are two projections of its
features, or one projection twice.

Letters: B batch, C token width, G side of the map, N = G G tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handpose.nets.eanet.attention_blocks import CrossBlock, SelfBlock


class FuseFormer(nn.Module):
    """Two maps into one: cells joined in pairs ask all cells of both what they have in common."""

    def __init__(self, *, dim: int, heads: int, layers: int, side: int) -> None:
        """Fusion of two maps of `dim` channels.

        Args:
            dim: C, the width of all tokens; `heads` divides it.
            heads: attention heads.
            layers: blocks of the Transformer over both maps' tokens, and as many cross blocks.
            side: G of both maps.
        """
        super().__init__()
        tokens = side * side
        self.join = nn.Linear(2 * dim, dim)
        self.class_token = nn.Parameter(torch.randn(1, dim))
        self.similar_position = nn.Parameter(torch.randn(2 * tokens + 1, dim))
        self.similar = nn.ModuleList(SelfBlock(dim=dim, heads=heads) for _ in range(layers))
        self.similar_out = nn.Linear(dim, dim)
        self.join_position = nn.Parameter(torch.randn(tokens, dim))
        self.key_position = nn.Parameter(torch.randn(2 * tokens + 1, dim))
        self.cross = nn.ModuleList(CrossBlock(dim=dim, heads=heads) for _ in range(layers))
        self.out = nn.Linear(dim, dim)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The fused map: first and second (B, C, G, G) -> (B, C, G, G)."""
        both = [x.flatten(2).transpose(1, 2) for x in (first, second)]  # (B, N, C) each
        joined = self.join(torch.cat(both, dim=-1))  # (B, N, C)
        class_token = self.class_token.expand(len(first), 1, -1)
        similar = torch.cat([class_token, *both], dim=1) + self.similar_position  # (B, 2 N + 1, C)
        for block in self.similar:
            similar = block(similar)
        # the class token stays among the keys, and all of them get a position once more
        keys = self.similar_out(similar) + self.key_position
        query = joined + self.join_position
        for block in self.cross:
            query = block(query, keys)
        fused: Tensor = self.out(query)
        return fused.transpose(1, 2).reshape(first.shape)


class ExtractAdapt(nn.Module):
    """Features of one hand from the deepest level: projected, extracted, adapted, merged."""

    def __init__(
        self, *, channels: int, dim: int, heads: int, layers: int, side: int, projections: int
    ) -> None:
        """The block on a level of so many channels.

        Args:
            channels: of the level.
            dim: C, the width of all tokens.
            heads: attention heads.
            layers: blocks of each Transformer, see `FuseFormer`.
            side: G of the level.
            projections: 2: two projections of the level take the places of EANet's two hands; 1:
                one takes both.
        """
        super().__init__()
        self.project = nn.ModuleList(conv_norm(channels, dim) for _ in range(projections))
        self.extract = FuseFormer(dim=dim, heads=heads, layers=layers, side=side)
        self.adapt = FuseFormer(dim=dim, heads=heads, layers=layers, side=side)
        self.merge = conv_norm(2 * dim, 2 * dim)

    def forward(self, level: Tensor) -> Tensor:
        """The hand's features: level (B, channels, G, G) -> (B, 2 C, G, G)."""
        views = [project(level) for project in self.project]  # (B, C, G, G) each
        hand, other = views[0], views[-1]
        adapted = self.adapt(hand, self.extract(hand, other))
        merged: Tensor = self.merge(torch.cat([hand, adapted], dim=1))
        return merged


def conv_norm(inputs: int, outputs: int) -> nn.Sequential:
    """A 1x1 convolution with bias, batch norm and ReLU: (B, inputs, G, G) -> (B, outputs, G, G)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=1), nn.BatchNorm2d(outputs), nn.ReLU()
    )
