"""The image encoder of HaMeR and WiLoR: timm's ViT-H blocks around their own ends.

The modules have the names of the checkpoints (ViTPose's). Read in geopavlakos/hamer 3a01849 and
rolpotamias/WiLoR 819369a, hamer/models/backbones/vit.py and wilor/models/backbones/vit.py.

Letters: B batch, N tokens, C their width.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

WIDTH, DEPTH, HEADS = 1280, 32, 16
"""Of the published checkpoints: ViT-H."""

CROP_PX = 256
"""Side of the square crop that a network is given."""

MARGIN_PX = 32
"""Columns on either side of the crop that the encoder does not see."""

PATCH_PX, PADDING_PX = 16, 2
"""The patches' convolution pads by 2 px, where timm's does not; the grid stays the same."""

GRID = (16, 12)
"""Rows and columns of patches of the 256 x 192 px that it sees."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's, of RGB in [0, 1]."""

EPS = 1e-6
"""Of the encoder's layer norms; torch's default is 1e-5."""


class HandViT(nn.Module):
    """A ViT without a class token, which still has a class position."""

    def __init__(self, *, width: int = WIDTH, depth: int = DEPTH, heads: int = HEADS) -> None:
        """`depth` blocks over tokens of this width; `heads` must divide it."""
        super().__init__()
        patches = nn.Conv2d(3, width, PATCH_PX, stride=PATCH_PX, padding=PADDING_PX)
        self.patch_embed = nn.Sequential(OrderedDict(proj=patches))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID[0] * GRID[1], width))
        norm: Any = partial(nn.LayerNorm, eps=EPS)  # timm's annotation says a class
        self.blocks = nn.ModuleList(
            Block(width, heads, qkv_bias=True, norm_layer=norm) for _ in range(depth)
        )
        self.last_norm = norm(width)

    def patches(self, crop: Tensor) -> Tensor:
        """Tokens of the patches, row by row: crop (B, 3, 256, 256) RGB in 0..255 -> (B, 192, C).

        The class position is added to every one of them, besides its own.
        """
        mean, std = (crop.new_tensor(values).view(-1, 1, 1) * 255 for values in (MEAN, STD))
        seen = ((crop - mean) / std)[..., MARGIN_PX:-MARGIN_PX]
        tokens = self.patch_embed(seen).flatten(2).mT
        return tokens + self.pos_embed[:, 1:] + self.pos_embed[:, :1]  # type: ignore[no-any-return]

    def encode(self, tokens: Tensor) -> Tensor:
        """All blocks and the last norm: (B, N, C) -> (B, N, C)."""
        for block in self.blocks:
            tokens = block(tokens)
        return self.last_norm(tokens)  # type: ignore[no-any-return]

    def forward(self, crop: Tensor) -> Tensor:
        """Features of the patches: crop (B, 3, 256, 256) RGB in 0..255 -> (B, 192, C)."""
        return self.encode(self.patches(crop))
