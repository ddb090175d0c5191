"""Whether a model's confidence means something: coverage, dropping the least sure, AUC.

Letters: N pictures, J = 21 joints.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from handpose.evaluation import statistics
from handpose.evaluation.statistics import Estimate

Floats = NDArray[np.floating[Any]]

LEAST_SURE = 0.2
"""Share of pictures that are dropped."""


def inside(errors: Floats, radii: Floats, known: NDArray[np.bool_]) -> Floats:
    """Share of each picture's joints whose error is at most their radius: (N, J) each -> (N,).

    Errors that are not known do not count; a picture without any gives NaN.
    """
    hits = ((errors <= radii) & known).sum(1)
    count = known.sum(1)
    return np.where(count > 0, hits / np.maximum(count, 1), np.nan)


def is_kept(unsure: Floats, share: float = LEAST_SURE) -> NDArray[np.bool_]:
    """Which pictures are left when this share of them, the least sure, is dropped: (N,).

    Of pictures that are equally unsure the later ones go first.
    """
    order = np.argsort(unsure, kind="stable")
    kept = np.zeros(len(unsure), bool)
    kept[order[: len(unsure) - round(share * len(unsure))]] = True
    return kept


def lower_by(errors: Floats, unsure: Floats, people: NDArray[Any]) -> Estimate:
    """How much lower the mean error is without the least sure fifth, as a share of it.

    Args:
        errors: (N,) of each picture, all known.
        unsure: (N,) larger is less sure.
        people: (N,) whose hand it is; the interval is over people.
    """
    kept = is_kept(unsure)
    totals = np.stack([errors * kept, kept, errors, np.ones(len(errors))], 1).astype(np.float64)
    sums = statistics.per_subject(totals, people)
    return statistics.estimate(sums, sums[:, 3], _lower, samples=len(errors))


def _lower(totals: Floats) -> Floats:
    """One less the ratio of both means: (..., 4) -> (...)."""
    kept = totals[..., 0] / np.maximum(totals[..., 1], 1e-12)
    share: Floats = 1 - kept / (totals[..., 2] / totals[..., 3])
    return share


def ranking_auc(positive: Floats, negative: Floats) -> float:
    """Probability that a positive scores higher than a negative; ties count half.

    NaN without one of each. Source: Mann and Whitney, 1947.
    """
    n, m = len(positive), len(negative)
    if not n or not m:
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))
