"""EANet's two kinds of Transformer block: tokens attend to themselves, or to fixed keys.

They are unlike those of `nets/transformer.py`: queries, keys and values have no bias, nor has the
MLP of a cross block, and no norm follows the last block.

Letters: B batch, N tokens, M keys, C token width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

MLP_RATIO = 4


class UnbiasedAttention(nn.Module):
    """Multi-head attention whose queries, keys and values are linear maps without a bias."""

    def __init__(self, *, dim: int, heads: int) -> None:
        """`heads` must divide `dim`."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """What each token gathers: x (B, N, C), context (B, M, C) -> (B, N, C)."""
        q, k, v = self.query(x), self.key(context), self.value(context)
        split = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        gathered = F.scaled_dot_product_attention(*split)  # (B, heads, N, C / heads)
        return self.out(gathered.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class SelfBlock(nn.Module):
    """x + self-attention, then + MLP; norms go first."""

    def __init__(self, *, dim: int, heads: int) -> None:
        """A block over tokens of width `dim`."""
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = UnbiasedAttention(dim=dim, heads=heads)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = _mlp(dim, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens of the same shape, (B, N, C)."""
        y = self.norm_attention(x)
        x = x + self.attention(y, y)
        x = x + self.mlp(self.norm_mlp(x))
        return x


class CrossBlock(nn.Module):
    """Queries + attention to the keys, then + MLP without biases; norms go first."""

    def __init__(self, *, dim: int, heads: int) -> None:
        """A block over queries and keys of width `dim`."""
        super().__init__()
        self.norm_query = nn.LayerNorm(dim)
        self.norm_key = nn.LayerNorm(dim)
        self.attention = UnbiasedAttention(dim=dim, heads=heads)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = _mlp(dim, bias=False)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Queries of the same shape: query (B, N, C), keys (B, M, C) -> (B, N, C)."""
        query = query + self.attention(self.norm_query(query), self.norm_key(keys))
        query = query + self.mlp(self.norm_mlp(query))
        return query


def _mlp(dim: int, *, bias: bool) -> nn.Sequential:
    hidden = MLP_RATIO * dim
    return nn.Sequential(
        nn.Linear(dim, hidden, bias=bias), nn.GELU(), nn.Linear(hidden, dim, bias=bias)
    )
