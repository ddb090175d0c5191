"""Loss weights that are learned with the network, in place of fixed ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import torch
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS, Count
from handpose.sample import HandBatch, PoseOutput
from handpose.training.loss.pose_loss import MEASURED

SCALE_LR_FACTOR = 20.0
"""Of the learning rate of `LearnedWeights.log_scales`, which move by several units from 0."""


def learnable_terms(weights: Mapping[str, float], terms: Collection[str]) -> list[str]:
    """The measured terms of a loss whose weights can be learned: those with a fixed weight.

    Args:
        weights: the fixed weight of each term, by name.
        terms: that the loss has, as `eanet_loss.TERMS`.
    """
    return [name for name in MEASURED if name in terms and weights[name]]


class LearnedWeights(nn.Module):
    """Learned weights for some terms of a loss: the larger a term stays, the smaller its weight.

    A term L becomes L / exp(s) + s with a learned s, the negative log-likelihood of an L1 error of
    scale exp(s), but for a constant. Its best s is log L: then the size of the term, and so its
    fixed weight, no longer matters. All s start at 0, the loss as it is. Source: Kendall, Gal and
    Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses (CVPR 2018), where s is a log
    variance. The weight of a prior would grow for no reason, so it is not among
    `pose_loss.MEASURED`; a term that nothing is annotated for leaves its s alone.
    """

    def __init__(self, loss: Callable[..., dict[str, Tensor]], names: Iterable[str]) -> None:
        """Learn the weights of the terms of these names; the others keep theirs.

        Args:
            loss: (output, batch, epoch, count) -> weighted terms, none of them below 0.
            names: of terms that are always there.
        """
        super().__init__()
        self._terms = loss
        self.names = tuple(names)
        self.log_scales = nn.Parameter(torch.zeros(len(self.names)))

    def forward(
        self,
        output: PoseOutput,
        batch: HandBatch,
        epoch: int | None = None,
        count: Count = SINGLE_PROCESS.count,
    ) -> dict[str, Tensor]:
        """The terms, whose sum is the loss.

        Args:
            output: of the network.
            batch: the ground truth.
            epoch: counted from 0; None takes the fixed weights, which makes epochs comparable.
            count: (mask) -> what a mean over its true entries divides by.
        """
        terms = self._terms(output, batch, epoch, count)
        if epoch is None:
            return terms
        for name, log_scale in zip(self.names, self.log_scales.unbind(), strict=True):
            known = terms[name].detach() != 0
            terms[name] = terms[name] * (-log_scale).exp() + log_scale * known / count(known)
        return terms

    def factors(self) -> dict[str, float]:
        """By what each fixed weight is multiplied now."""
        return dict(zip(self.names, (-self.log_scales.detach()).exp().tolist(), strict=True))
