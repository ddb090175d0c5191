"""PCK in pixels: the share of 2D joints within a share of the box, as HInt is scored.

Source: geopavlakos/hamer, its evaluation of HInt: for each joint the share over hands, then the
mean over joints; all joints, visible and occluded ones apart.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from handpose.evaluation import statistics
from handpose.evaluation.statistics import SHARE, Estimate

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

SHARES = (0.05, 0.10, 0.15)
"""Of the longer side of the box as annotated."""


def pixel_shares(errors: Floats, counted: Flags, units: NDArray[np.str_]) -> dict[float, Estimate]:
    """PCK at each of `SHARES`, with its interval over units.

    Args:
        errors: (N, 21) distances, as shares of the hand's box.
        counted: (N, 21) joints that count.
        units: (N,) what is resampled: videos.
    """
    names, unit = np.unique(units, return_inverse=True)
    counts = np.zeros((len(names), errors.shape[1]))
    np.add.at(counts, unit, counted)
    some = counts.sum(1) > 0
    found = {}
    for share in SHARES:
        hits = np.zeros_like(counts)
        np.add.at(hits, unit, counted & (errors <= share))
        found[share] = statistics.estimate(
            np.concatenate([hits, counts], 1)[some],
            counts[some].sum(1),
            mean_over_joints,
            samples=int(counted.any(1).sum()),
            bounds=SHARE,
        )
    return found


def mean_over_joints(totals: statistics.Floats) -> statistics.Floats:
    """Mean over joints of their shares: (..., 42) hits, then counts -> (...)."""
    hits, counts = np.split(np.asarray(totals), 2, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(counts > 0, hits / counts, np.nan)
    return np.asarray(np.nanmean(shares, -1))
