"""Joint tokens refined under the guidance of two gesture tokens (paper, section 3.2.2).

Letters: B batch, J = 21 joints, C token width, T = 2 gesture tokens, or 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.nets.transformer import Transformer
from handpose.sample import GestureClasses


class GestureTokens(nn.Module):
    """A coarse and a fine token: gate * LayerNorm(MLP(LayerNorm(logits))) + type embedding.

    The gates are learnable scalars that start near zero (paper), the type embeddings are what is
    left of the tokens then. What a gate multiplies has mean 0 and variance 1 over its channels, so
    that the gate alone decides how much the token says; the logits are normalised over the classes
    for the same reason. Neither norm has weights of its own. `docs/choices.md` has the experiments.
    As an ablation, there is only one of the two.
    """

    def __init__(
        self,
        *,
        coarse_classes: int,
        fine_classes: int,
        dim: int,
        gate: float,
        classes: GestureClasses = "both",
    ) -> None:
        """Independent two-layer MLPs from the logits of `classes`; all gates start at `gate`."""
        super().__init__()
        self.coarse = None if classes == "fine" else _mlp(coarse_classes, dim)
        self.fine = None if classes == "coarse" else _mlp(fine_classes, dim)
        count = 2 if classes == "both" else 1
        self.gates = nn.Parameter(torch.full((count,), gate))
        self.types = nn.Parameter(0.02 * torch.randn(count, dim))

    def forward(
        self, coarse_logits: Tensor, fine_logits: Tensor, gates: Tensor | None = None
    ) -> Tensor:
        """The tokens, coarse before fine; logits without a token are not read.

        Args:
            coarse_logits: (B, coarse classes).
            fine_logits: (B, fine classes).
            gates: (T,) used instead of the learnt ones.

        Returns:
            (B, T, C).
        """
        gates = self.gates if gates is None else gates
        pairs = (self.coarse, coarse_logits), (self.fine, fine_logits)
        embedded = [_normalise(mlp(_normalise(x))) for mlp, x in pairs if mlp is not None]
        return gates[:, None] * torch.stack(embedded, dim=1) + self.types


class TokenFusion(nn.Module):
    """A Transformer over joint tokens, guided by gesture tokens, with a learnt residual."""

    def __init__(
        self,
        *,
        joints: int,
        dim: int,
        heads: int,
        layers: int,
        cross: bool = False,
        side_input: bool = False,
    ) -> None:
        """Fusion of `joints` tokens of width `dim`.

        Args:
            joints: number of joint tokens.
            dim: their width.
            heads: attention heads.
            layers: Transformer blocks.
            cross: the joints attend to the gestures in a step of their own (the variant of the
                paper's rebuttal); otherwise all tokens share one self-attention (the paper).
            side_input: add an embedding of the hand's side to every joint token.
        """
        super().__init__()
        self.cross = cross
        self.project = nn.Linear(dim, dim)
        self.position = nn.Parameter(0.02 * torch.randn(joints, dim))
        self.side = nn.Embedding(2, dim) if side_input else None
        self.transformer = Transformer(dim=dim, heads=heads, layers=layers, cross=cross)
        self.residual = nn.Conv1d(dim, dim, kernel_size=1)

    def forward(self, joints: Tensor, gestures: Tensor | None, is_left: Tensor) -> Tensor:
        """Refined joint tokens.

        Args:
            joints: (B, J, C) features sampled at the joints.
            gestures: (B, T, C) guidance tokens; None is the ablation without them.
            is_left: (B,) bool.

        Returns:
            (B, J, C).
        """
        tokens = self.project(joints) + self.position  # (B, J, C)
        if self.side is not None:
            tokens = tokens + self.side(is_left.long())[:, None]
        if gestures is None or self.cross:
            refined: Tensor = self.transformer(tokens, gestures)
        else:
            together = torch.cat([tokens, gestures], dim=1)  # (B, J + T, C)
            refined = self.transformer(together)[:, : joints.shape[1]]  # (B, J, C)
        original: Tensor = self.residual(joints.transpose(1, 2))  # (B, C, J)
        return refined + original.transpose(1, 2)


def _normalise(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the last dimension."""
    width = int(x.shape[-1])  # a number where the network is traced, too: ONNX wants one
    return F.layer_norm(x.float(), (width,))


def _mlp(classes: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(classes, dim), nn.GELU(), nn.Linear(dim, dim))
