"""How well batches are mixed: distinct people, gestures, cameras, against perfect shuffling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln


class Mixing(NamedTuple):
    """Distinct values of one thing, such as people, in batches."""

    mean: float  # in the batches
    expected: float  # in batches drawn by chance from the whole split
    in_split: int


def mixing(whole: NDArray[Any], batches: Sequence[NDArray[Any]]) -> Mixing:
    """Compare batches with the split that they come from.

    Args:
        whole: (N,) the value of each sample of the split.
        batches: the values of each batch's samples; at least one batch, all of one size.
    """
    values, counts = np.unique(whole, return_counts=True)
    mean = float(np.mean([len(np.unique(batch)) for batch in batches]))
    return Mixing(mean, expected_distinct(counts, len(batches[0])), len(values))


def expected_distinct(counts: NDArray[np.integer[Any]], drawn: int) -> float:
    """Expected number of distinct values in a draw without replacement.

    Value k occurs counts[k] times among all N; it is missed with C(N - counts[k], n) / C(N, n).
    """
    total = int(counts.sum())
    others = total - counts[counts <= total - drawn]  # the rest cannot be missed
    missed = np.exp(_ln_choose(others, drawn) - _ln_choose(np.array(total), drawn))
    return float(len(counts) - missed.sum())


def _ln_choose(n: NDArray[Any], k: int) -> NDArray[np.float64]:
    chosen: NDArray[np.float64] = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return chosen
