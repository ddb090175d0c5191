"""One factor per quantity, found on people that neither network nor head was trained on.

Regions are calibrated as in split conformal prediction: the factor is the quantile of true errors
divided by predicted scales. A region of scale times factor then holds the chosen share of new
joints, whatever the errors' distribution, as far as new people are like those of the calibration.
Joints of one person are not independent: people differ in how well they are read, and a factor is
right for those few that it was found on. So it is widened until, on average, the factor of all
people but one holds the chosen share of that one's joints.
Source: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005, section 4.1; leaving
out groups instead of errors: Dunn, Wasserman, Ramdas, Journal of the American Statistical
Association 118, 2023.
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


def people_factor(errors: Tensor, scales: Tensor, people: Tensor) -> float:
    """The factor by which scales become regions that hold `REGION` of other people's errors.

    `conformal_factor` of all, times the number by which the factors of all people but one must be
    multiplied to hold as much of the errors of the one, over all people in turn. With one person
    alone nothing is known of others: `conformal_factor`.

    Args:
        errors: (n,) not negative.
        scales: (n,) predicted for them, above 0.
        people: (n,) whose they are.

    Raises:
        ValueError: there are none.
    """
    factor = conformal_factor(errors, scales)
    left_out = sorted(set(people.tolist()))
    if len(left_out) < 2:
        return factor
    needed = torch.empty_like(errors)  # by how much the others' factor must be multiplied
    for person in left_out:
        own = people == person
        others = conformal_factor(errors[~own], scales[~own])
        needed[own] = errors[own] / scales[own] / others
    return factor * conformal_factor(needed, torch.ones_like(needed))


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
