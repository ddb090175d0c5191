"""Stage 1's end: feature levels pooled to one vector, and a coarse and a fine classifier on it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from handpose.sample import GestureOutput


class GestureHeads(nn.Module):
    """The global feature vector and the two light gesture classifiers (paper, section 3.1)."""

    def __init__(
        self,
        *,
        channels: Sequence[int],
        coarse_classes: int,
        fine_classes: int,
        hidden: int = 0,
        dropout: float = 0.0,
    ) -> None:
        """Heads on levels of these channels; `hidden` 0 makes them linear."""
        super().__init__()
        self.features = sum(channels)  # width of the global feature
        self.coarse_classes, self.fine_classes = coarse_classes, fine_classes
        self.coarse = _head(self.features, hidden, coarse_classes, dropout)
        self.fine = _head(self.features, hidden, fine_classes, dropout)

    def forward(self, levels: Sequence[Tensor]) -> GestureOutput:
        """Logits and the pooled features: each level (B, C_i, H_i, W_i)."""
        features = torch.cat([level.mean((2, 3)) for level in levels], dim=1)  # (B, sum of C_i)
        return GestureOutput(self.coarse(features), self.fine(features), features)


def _head(features: int, hidden: int, classes: int, dropout: float) -> nn.Sequential:
    if not hidden:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(features, classes))
    return nn.Sequential(
        nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
    )
