"""Which of many nearly equal photos are worth their time: fewer cameras, no neutral ends.

A studio's 80 to 140 cameras see one moment many times over, and a gesture sequence begins and ends
with a neutral hand under the gesture's label (InterHand2.6M paper, section 3). Both are choices of
who trains, so both are parameters, off by default (`ingest.cameras_per_instant`,
`ingest.trim_ends`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def without_ends(sequence: IntArray, frame: IntArray, share: float) -> BoolArray:
    """Which photos (N,) are not among the first or last `share` of their sequence's moments.

    A moment counts once, however many cameras saw it; parts of a moment are not cut.

    Args:
        sequence: (N,) equal numbers are one sequence of one capture.
        frame: (N,) moments in their order.
        share: from 0 up to, but not, one half; rounded down to whole moments.
    """
    moments, moment = np.unique(np.stack([sequence, frame], 1), axis=0, return_inverse=True)
    _, first, count = np.unique(moments[:, 0], return_index=True, return_counts=True)
    length = np.repeat(count, count)  # (moments,)
    place = np.arange(len(moments)) - np.repeat(first, count)
    cut = np.floor(share * length)
    kept = (place >= cut) & (place < length - cut)
    return np.asarray(kept[moment.ravel()])


def fewer_cameras(instant: IntArray, camera: IntArray, most: int) -> BoolArray:
    """Which photos (N,) are kept when every moment keeps at most `most` of its cameras.

    A hash of moment and camera chooses, so that over many moments each camera is kept equally
    often, and neither the order nor the presence of other photos changes the choice between two.

    Args:
        instant: (N, 2) capture and frame.
        camera: (N,) a number for each camera's name, the same in every run.
        most: at least 1.
    """
    order = np.lexsort([_mixed(instant, camera), instant[:, 1], instant[:, 0]])
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(instant[order], axis=0) != 0).any(1)
    starts = np.flatnonzero(new)
    place = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    kept = np.empty(len(order), np.bool_)
    kept[order] = place < most
    return kept


def _mixed(instant: IntArray, camera: IntArray) -> NDArray[np.uint64]:
    """A hash of three numbers (N,): SplitMix64 (Steele, Lea, Flood 2014), one after the other."""
    state = np.zeros(len(camera), np.uint64)
    for part in (instant[:, 0], instant[:, 1], camera):
        state = (state ^ part.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
        state ^= state >> np.uint64(31)
    return state
