"""Stage 1's loss: cross-entropy of coarse and fine gestures, and optional terms beyond it.

Letters: B batch, K classes, C channels of the pooled features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.distributed import SINGLE_PROCESS, Count
from handpose.sample import UNLABELLED, GestureOutput, HandBatch
from handpose.training.schedules import fine_weight

TEMPERATURE = 0.1
"""Of the contrastive term's similarities, as in its source."""


@dataclass(frozen=True)
class GestureLoss:
    """Stage 1's loss: coarse cross-entropy, and lambda times the fine one.

    lambda grows with the epochs; see `schedules.fine_weight`. The coarse one has a constant weight,
    which the paper does not have: 0 trains with fine classes alone.
    """

    fine_weight_start: float
    fine_weight_step: float
    fine_weight_every_epochs: int
    fine_weight_max: float
    coarse_weight: float = 1.0

    contrastive: float = 0.0
    """Weight of `supervised_contrastive` of the pooled features by fine classes; with 0 there is no
    such term."""

    coarse_of_fine: Tensor | None = None
    """(fine classes,) int64, on the device of the batches: the coarse class of each. With it there
    is a term `hierarchy`, `coarse_disagreement` with weight 1."""

    coarse_targets: Tensor | None = None
    """(coarse classes, coarse classes), likewise: row k has the probabilities to be learnt for an
    image of class k. None: its class alone."""

    fine_targets: Tensor | None = None
    """Those of the fine classes."""

    def __call__(
        self,
        output: GestureOutput,
        batch: HandBatch,
        epoch: int | None = None,
        count: Count = SINGLE_PROCESS.count,
    ) -> dict[str, Tensor]:
        """The weighted terms; their sum is the loss. Samples without a gesture do not count.

        Args:
            output: of the network.
            batch: the ground truth.
            epoch: counted from 0; None takes lambda's maximum, which makes epochs comparable.
            count: (mask) -> what a mean over its true entries divides by.
        """
        coarse = cross_entropy(output.coarse_logits, batch.coarse, count, self.coarse_targets)
        fine = cross_entropy(output.fine_logits, batch.fine, count, self.fine_targets)
        terms = {"coarse": self.coarse_weight * coarse, "fine": self.fine_weight(epoch) * fine}
        if self.contrastive:
            term = supervised_contrastive(output.features, batch.fine, count)
            terms["contrastive"] = self.contrastive * term
        if self.coarse_of_fine is not None:
            logits = output.coarse_logits, output.fine_logits
            labelled = batch.coarse != UNLABELLED
            apart = coarse_disagreement(*logits, self.coarse_of_fine)
            terms["hierarchy"] = (apart * labelled).sum() / count(labelled)
        return terms

    def fine_weight(self, epoch: int | None) -> float:
        """The paper's lambda in this epoch, or its maximum."""
        if epoch is None:
            return self.fine_weight_max
        return fine_weight(
            epoch,
            start=self.fine_weight_start,
            step=self.fine_weight_step,
            every=self.fine_weight_every_epochs,
            maximum=self.fine_weight_max,
        )


def cross_entropy(
    logits: Tensor, classes: Tensor, count: Count, targets: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy over the labelled samples, 0 without any.

    Args:
        logits: (B, K).
        classes: (B,) int64, UNLABELLED where there is none.
        count: (mask) -> what a mean over its true entries divides by.
        targets: (K, K), in row k the probabilities for a sample of class k; None: the class alone.
    """
    labelled = classes != UNLABELLED
    if targets is None:
        total = F.cross_entropy(logits.float(), classes, ignore_index=UNLABELLED, reduction="sum")
    else:
        wanted = targets[classes.clamp(min=0)]  # (B, K)
        total = -((wanted * logits.float().log_softmax(-1)).sum(-1) * labelled).sum()
    return total / count(labelled)


def supervised_contrastive(features: Tensor, classes: Tensor, count: Count) -> Tensor:
    """How little features of one class resemble each other, compared with those of other classes.

    Of each labelled sample with another of its class in the batch: the mean of -log of the softmax
    of its cosine similarities to all other labelled samples, over those of its class. 0 without any
    such sample. Source: Khosla et al., Supervised Contrastive Learning (NeurIPS 2020), equation 2;
    on the features themselves, without a projection. Several processes compare the samples of their
    own slices alone.

    Args:
        features: (B, C).
        classes: (B,) int64, UNLABELLED where there is none.
        count: (mask) -> what a mean over its true entries divides by.
    """
    directions = F.normalize(features.float(), dim=-1)
    labelled = classes != UNLABELLED
    others = labelled & ~torch.eye(len(classes), dtype=torch.bool, device=classes.device)  # (B, B)
    alike = others & labelled[:, None] & (classes[:, None] == classes)  # (B, B)
    similarity = directions @ directions.mT / TEMPERATURE
    # not -inf, whose softmax is not a number where a sample has no other
    log_share = similarity.masked_fill(~others, -1e9).log_softmax(-1)
    of_class = alike.sum(-1)  # (B,)
    losses = -(log_share * alike).sum(-1) / of_class.clamp(min=1)
    return losses.sum() / count(of_class > 0)


def coarse_disagreement(
    coarse_logits: Tensor, fine_logits: Tensor, coarse_of_fine: Tensor
) -> Tensor:
    """Between the coarse probabilities and the fine ones summed to coarse classes, (B,) nats.

    The Jensen-Shannon divergence: 0 where they agree, at most log 2. Source: Garg et al., Learning
    Hierarchy Aware Features for Reducing Mistake Severity (ECCV 2022).

    Args:
        coarse_logits: (B, coarse classes).
        fine_logits: (B, fine classes).
        coarse_of_fine: (fine classes,) int64.
    """
    coarse, fine = (x.float().softmax(-1) for x in (coarse_logits, fine_logits))
    classes = torch.arange(coarse.shape[-1], device=coarse.device)
    summed = fine @ (coarse_of_fine[:, None] == classes).to(fine)  # (B, coarse classes)
    return _entropy((coarse + summed) / 2) - (_entropy(coarse) + _entropy(summed)) / 2


def _entropy(probabilities: Tensor) -> Tensor:
    """Of distributions (..., K): (...,) nats."""
    return -(probabilities * probabilities.clamp(min=1e-12).log()).sum(-1)
