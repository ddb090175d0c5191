"""Self-supervised warm-up: two views of an image are to be more alike than two images.

No label is read. Source: Chen et al., A Simple Framework for Contrastive Learning of Visual
Representations (ICML 2020): the normalised-temperature cross-entropy, and the projection head that
is thrown away, since features before it transfer better.

Letters: N images of a batch, each of them in two views.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS, Count
from handpose.sample import GestureOutput, HandBatch

VIEWS = 2

TEMPERATURE = 0.1
"""Of the similarities, as in the source on ImageNet."""

PROJECTED = 128
"""Width of the projection, as in the source; its hidden layer is as wide as the feature."""


class InstanceLoss(nn.Module):
    """Stage 1's loss of `pretrain.objective: instances`, with its projection head.

    Batches hold all first views and then, in the same order, all second ones. Several processes
    compare the views of their own slices alone.
    """

    def __init__(self, features: int) -> None:
        """On pooled features of this width."""
        super().__init__()
        widths = (features, features, PROJECTED)
        first, last = (nn.Linear(*pair) for pair in pairwise(widths))
        self.projection = nn.Sequential(first, nn.ReLU(), last)

    def forward(
        self,
        output: GestureOutput,
        batch: HandBatch,
        epoch: int | None = None,
        count: Count = SINGLE_PROCESS.count,
    ) -> dict[str, Tensor]:
        """The one term, `instances`: cross-entropy of each view's partner among all other views.

        Args:
            output: of the network, for 2 N views.
            batch: not used.
            epoch: not used; every epoch has the same loss.
            count: (mask) -> what a mean over its true entries divides by.

        Raises:
            ValueError: the number of views is odd.
        """
        similarity, partner = self._compared(output)
        total = F.cross_entropy(similarity, partner, reduction="sum")
        return {"instances": total / count(torch.ones_like(partner, dtype=torch.bool))}

    @torch.no_grad()
    def hits(self, output: GestureOutput) -> Tensor:
        """Whether the most similar of all other views is the partner, (2 N,) bool."""
        similarity, partner = self._compared(output)
        return similarity.argmax(-1) == partner

    def _compared(self, output: GestureOutput) -> tuple[Tensor, Tensor]:
        """Similarity of each view with each other one (2 N, 2 N), and its partner's row (2 N,)."""
        size = len(output.features)
        if size % VIEWS:
            raise ValueError(f"{size} views are not two of each image")
        directions = F.normalize(self.projection(output.features.float()), dim=-1)  # (2 N, 128)
        similarity = directions @ directions.mT / TEMPERATURE
        rows = torch.arange(size, device=similarity.device)
        itself = rows[:, None] == rows
        return similarity.masked_fill(itself, -1e9), rows.roll(size // VIEWS)
