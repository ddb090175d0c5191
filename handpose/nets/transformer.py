"""A plain pre-norm Transformer over tokens, with cross-attention to a context where one is given.

Letters: B batch, N tokens, M context tokens, C token width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

MLP_RATIO = 4


class Attention(nn.Module):
    """Multi-head attention of tokens to a context (to themselves: self-attention)."""

    def __init__(self, *, dim: int, heads: int) -> None:
        """`heads` must divide `dim`."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """What each token gathers: x (B, N, C), context (B, M, C) -> (B, N, C)."""
        q = self._split(self.query(x))  # (B, heads, N, C / heads)
        k, v = (self._split(part) for part in self.key_value(context).chunk(2, dim=-1))
        gathered = F.scaled_dot_product_attention(q, k, v)
        return self.out(gathered.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Block(nn.Module):
    """x + self-attention, then, in a cross block, + cross-attention, then + MLP; norms go first."""

    def __init__(self, *, dim: int, heads: int, cross: bool = False) -> None:
        """`cross` adds the attention to a context."""
        super().__init__()
        self.norm_self = nn.LayerNorm(dim)
        self.self_attention = Attention(dim=dim, heads=heads)
        if cross:
            self.norm_cross = nn.LayerNorm(dim)
            self.norm_context = nn.LayerNorm(dim)
            self.cross_attention = Attention(dim=dim, heads=heads)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, MLP_RATIO * dim), nn.GELU(), nn.Linear(MLP_RATIO * dim, dim)
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Tokens of the same shape: x (B, N, C); context (B, M, C) in a cross block only."""
        y = self.norm_self(x)
        x = x + self.self_attention(y, y)
        if context is not None:
            x = x + self.cross_attention(self.norm_cross(x), self.norm_context(context))
        x = x + self.mlp(self.norm_mlp(x))
        return x


class Transformer(nn.Module):
    """Blocks in a row and a last norm."""

    def __init__(self, *, dim: int, heads: int, layers: int, cross: bool = False) -> None:
        """`layers` blocks; `cross` gives each of them an attention to a context."""
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim=dim, heads=heads, cross=cross) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Tokens of the same shape: x (B, N, C), context (B, M, C) -> (B, N, C)."""
        for block in self.blocks:
            x = block(x, context)
        return self.norm(x)  # type: ignore[no-any-return]
