"""A plain ViT with four levels: a simple feature pyramid from its last map.

Source: Li, Mao, Girshick, He, Exploring Plain Vision Transformer Backbones for Object Detection
(ECCV 2022), "simple feature pyramid": no lateral connections, each level from the last map alone.
Theirs ends in two convolutions per level; here the levels go as they are to the projection of
Stage 2. All blocks attend over the whole image, as crops have few patches.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

PATCH_PX = 16
"""Pixels to a patch; a map of whole patches is the level of that stride."""


class VitPyramid(nn.Module):
    """timm's ViT and the pyramid on the tokens of its patches.

    A token sees the whole image, its own patch most; a cell of a finer level is a part of a patch,
    one of the coarser level is 2 x 2 patches.
    """

    def __init__(self, vit: Any) -> None:
        """The pyramid on timm's `VisionTransformer` with 16 px patches, its head left out."""
        super().__init__()
        self.trunk = vit
        self.image_px: int = vit.patch_embed.img_size[0]
        dim: int = vit.embed_dim
        self.channels = {4: dim // 4, 8: dim // 2, 16: dim, 32: dim}
        self.to_8 = _enlarge(dim, dim // 2)
        self.to_4 = nn.Sequential(
            _enlarge(dim, dim // 2), ChannelNorm(dim // 2), nn.GELU(), _enlarge(dim // 2, dim // 4)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Maps of strides 4, 8, 16, 32: image (B, 3, S, S) -> (B, C_s, S / s, S / s) each.

        S is `image_px`, for which the positions are made.
        """
        tokens = self.trunk.forward_features(image)[:, self.trunk.num_prefix_tokens :]  # (B, N, C)
        patches = image.shape[-1] // PATCH_PX
        x = tokens.transpose(1, 2).unflatten(2, (-1, patches))  # (B, C, S / 16, S / 16)
        return [self.to_4(x), self.to_8(x), x, F.max_pool2d(x, 2)]

    def stages(self) -> list[list[nn.Module | nn.Parameter]]:
        """The ViT in four parts, a quarter of its blocks each, from the image on.

        The embedding is of the first part, the last norm of the fourth; the pyramid of none.
        """
        trunk, blocks = self.trunk, list(self.trunk.blocks)
        quarter = len(blocks) // 4
        parts = [blocks[k * quarter : (k + 1) * quarter] for k in range(4)]
        embedding = [trunk.patch_embed, trunk.pos_embed, trunk.cls_token]
        return [embedding + parts[0], parts[1], parts[2], [*parts[3], trunk.norm]]


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a map."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _enlarge(channels: int, out: int) -> nn.ConvTranspose2d:
    """Twice the side: each cell becomes 2 x 2 of its own."""
    return nn.ConvTranspose2d(channels, out, kernel_size=2, stride=2)
