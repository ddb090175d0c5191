"""One factor per quantity, found on people that neither network nor head was trained on.

Regions are calibrated as in split conformal prediction: the factor is the quantile of true errors
divided by predicted scales. A region of scale times factor then holds the chosen share of new
joints, whatever the errors' distribution, as far as new people are like those of the calibration;
joints of one picture are not independent, so the guarantee is on average over people.
Source: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005, section 4.1.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

REGION = 0.9
"""Share of joints that a region holds."""

SHARPEST = 20.0
"""Limit of a logit's factor, and of its inverse."""


def conformal_factor(errors: Tensor, scales: Tensor, share: float = REGION) -> float:
    """The factor by which scales become regions that hold this share of new errors.

    The ceil(share * (n + 1))-th smallest ratio of n, or the largest if there are fewer.

    Args:
        errors: (n,) not negative.
        scales: (n,) predicted for them, above 0.
        share: in (0, 1).

    Raises:
        ValueError: there are none.
    """
    if not len(errors):
        raise ValueError("no error to calibrate with")
    ratios = (errors / scales).sort().values
    rank = math.ceil(share * (len(ratios) + 1))
    return float(ratios[min(rank, len(ratios)) - 1])


def logit_factor(logits: Tensor, truth: Tensor) -> float:
    """The factor of logits with the least cross-entropy, between 1 / `SHARPEST` and `SHARPEST`.

    Both classes count alike.

    Args:
        logits: (n,).
        truth: (n,) bool; both classes occur.
    """
    logits, truth = logits.double(), truth.double()
    share = truth.mean()
    weight = torch.where(truth > 0, 0.5 / share, 0.5 / (1 - share))

    def cross_entropy(log_factor: float) -> float:
        found = F.binary_cross_entropy_with_logits(math.exp(log_factor) * logits, truth, weight)
        return found.item()

    limit = math.log(SHARPEST)
    best = minimize_scalar(cross_entropy, bounds=(-limit, limit), method="bounded")
    return math.exp(float(best.x))
