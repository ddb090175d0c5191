"""HaMeR: the ViT's features, and one token that gathers a hand from them.

The modules have the names of the checkpoint. Pavlakos et al., Reconstructing Hands in 3D with
Transformers (CVPR 2024); read in geopavlakos/hamer 3a01849, hamer/models/heads/mano_head.py and
hamer/models/components/pose_transformer.py.

Letters: B batch, M patches, C their width, D width of the token, H heads of `HEAD_DIM`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.other_models.crop_hand import BETAS, CAMERA, ROT6D, CropHand
from handpose.other_models.vit import DEPTH, HEADS, WIDTH, HandViT

HEAD_DIM = 64


class Hamer(nn.Module):
    """HaMeR without its hand model and its discriminator; 670,409,837 parameters as published."""

    def __init__(
        self,
        *,
        width: int = WIDTH,
        depth: int = DEPTH,
        heads: int = HEADS,
        token_width: int = 1024,
        token_depth: int = 6,
        token_heads: int = 8,
        token_mlp: int = 1024,
    ) -> None:
        """The published sizes, or others.

        Args:
            width: of the ViT's tokens.
            depth: its blocks.
            heads: of its attention.
            token_width: of the decoder's token.
            token_depth: the decoder's layers.
            token_heads: of its attention, each of `HEAD_DIM`.
            token_mlp: inner width of its MLPs.
        """
        super().__init__()
        self.backbone = HandViT(width=width, depth=depth, heads=heads)
        self.mano_head = HandDecoder(
            context=width, width=token_width, depth=token_depth, heads=token_heads, mlp=token_mlp
        )

    def forward(self, crop: Tensor) -> CropHand:
        """The hand of each crop (B, 3, 256, 256) RGB in 0..255, as if it were a right one."""
        hand: CropHand = self.mano_head(self.backbone(crop))
        return hand


class HandDecoder(nn.Module):
    """Offsets from the mean hand, read off one token that starts from zero."""

    init_hand_pose: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, *, context: int, width: int, depth: int, heads: int, mlp: int) -> None:
        """`depth` layers over a token of this width, attending to features of width `context`."""
        super().__init__()
        self.transformer = TokenDecoder(
            context=context, width=width, depth=depth, heads=heads, mlp=mlp
        )
        self.decpose = nn.Linear(width, ROT6D)
        self.decshape = nn.Linear(width, BETAS)
        self.deccam = nn.Linear(width, CAMERA)
        for name, size in (("hand_pose", ROT6D), ("betas", BETAS), ("cam", CAMERA)):
            self.register_buffer(f"init_{name}", torch.zeros(1, size))

    def forward(self, features: Tensor) -> CropHand:
        """A hand from features (B, M, C)."""
        token = self.transformer(features)  # (B, D)
        return CropHand(
            self.init_hand_pose + self.decpose(token),
            self.init_betas + self.decshape(token),
            self.init_cam + self.deccam(token),
        )


class TokenDecoder(nn.Module):
    """One token, its position, and layers that let it read the features."""

    def __init__(self, *, context: int, width: int, depth: int, heads: int, mlp: int) -> None:
        """As `HandDecoder`."""
        super().__init__()
        self.to_token_embedding = nn.Linear(1, width)
        self.pos_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.transformer = nn.Module()
        self.transformer.layers = nn.ModuleList(
            nn.ModuleList(
                NormedFirst(width, part)
                for part in (
                    TokenSelfAttention(width, heads),
                    TokenCrossAttention(width, context, heads),
                    TokenMlp(width, mlp),
                )
            )
            for _ in range(depth)
        )

    def forward(self, features: Tensor) -> Tensor:
        """The token at the end, without a norm: features (B, M, C) -> (B, D)."""
        zero = features.new_zeros(len(features), 1, 1)
        token = self.to_token_embedding(zero) + self.pos_embedding  # (B, 1, D)
        for self_attention, cross_attention, mlp in self.transformer.layers:  # type: ignore[union-attr]
            token = token + self_attention(token)
            token = token + cross_attention(token, features)
            token = token + mlp(token)
        return token[:, 0]  # type: ignore[no-any-return]


class NormedFirst(nn.Module):
    """A part of a layer behind the norm of its tokens; what it attends to is not normed again."""

    def __init__(self, width: int, part: nn.Module) -> None:
        """The part, of tokens of this width."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = part

    def forward(self, tokens: Tensor, *context: Tensor) -> Tensor:
        """Tokens of the same shape."""
        return self.fn(self.norm(tokens), *context)  # type: ignore[no-any-return]


class TokenSelfAttention(nn.Module):
    """Attention of tokens to themselves; queries, keys and values have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        """Heads of `HEAD_DIM`, whatever the width."""
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * heads * HEAD_DIM, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * HEAD_DIM, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens of the same shape."""
        query, key, value = self.to_qkv(tokens).chunk(3, -1)
        return self.to_out(_attended(query, key, value, self.heads))  # type: ignore[no-any-return]


class TokenCrossAttention(nn.Module):
    """Attention of tokens to features; queries, keys and values have no bias."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        """Heads of `HEAD_DIM`, whatever the widths."""
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, heads * HEAD_DIM, bias=False)
        self.to_kv = nn.Linear(context, 2 * heads * HEAD_DIM, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * HEAD_DIM, width))

    def forward(self, tokens: Tensor, features: Tensor) -> Tensor:
        """Tokens of the same shape."""
        key, value = self.to_kv(features).chunk(2, -1)
        return self.to_out(_attended(self.to_q(tokens), key, value, self.heads))  # type: ignore[no-any-return]


def _attended(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Values (B, N, H x HEAD_DIM) that each query gathers; the heads lie one after the other."""
    q, k, v = (t.view(len(t), -1, heads, HEAD_DIM).transpose(1, 2) for t in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class TokenMlp(nn.Module):
    """Two layers; the two dropouts of the training are gone, whose places in `net` are counted."""

    def __init__(self, width: int, inner: int) -> None:
        """Of this inner width."""
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(width, inner), nn.GELU(), nn.Identity(), nn.Linear(inner, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens of the same shape."""
        return self.net(tokens)  # type: ignore[no-any-return]
