"""Selects among many nearly equal training photos: fewer cameras, no neutral ends.

A studio's 80 to 140 cameras photograph each frame, and a gesture sequence begins and ends with a
neutral hand under the gesture's label (InterHand2.6M paper, section 3). Leaving these out
is the user's choice, so both are parameters, off by default (`ingest.cameras_per_instant`,
`ingest.trim_ends`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def without_ends(sequence: IntArray, frame: IntArray, share: float) -> BoolArray:
    """Which photos (N,) are not among the first or last `share` of their sequence's frames.

    A frame counts once, however many cameras took it; a frame is cut as a whole.

    Args:
        sequence: (N,) equal numbers are one sequence of one session.
        frame: (N,) numbers in the order of time.
        share: from 0 up to, but not, one half; rounded down to whole frames.
    """
    frames, index = np.unique(np.stack([sequence, frame], 1), axis=0, return_inverse=True)
    _, first, count = np.unique(frames[:, 0], return_index=True, return_counts=True)
    length = np.repeat(count, count)  # (frames,)
    position = np.arange(len(frames)) - np.repeat(first, count)
    cut = np.floor(share * length)
    inner = (position >= cut) & (position < length - cut)
    return np.asarray(inner[index.ravel()])


def fewer_cameras(frame: IntArray, camera: IntArray, most: int) -> BoolArray:
    """Which photos (N,) are kept when every frame keeps at most `most` of its cameras.

    Rows of one camera, the hands of a photo, are kept or left out together.

    A hash of frame and camera chooses, so that over many frames each camera is chosen equally
    often, and neither the order nor the presence of other photos changes the choice between two.

    Args:
        frame: (N, 2) session and number of the frame.
        camera: (N,) a number for each camera's name, the same in every run.
        most: at least 1.
    """
    order = np.lexsort([camera, _mixed(frame, camera), frame[:, 1], frame[:, 0]])
    new = np.ones(len(order), np.bool_)  # a frame's first row
    new[1:] = (np.diff(frame[order], axis=0) != 0).any(1)
    starts = np.flatnonzero(new)
    view = new.copy()  # a camera's first row of a frame
    view[1:] |= np.diff(camera[order]) != 0
    number = np.cumsum(view)
    position: IntArray = number - np.repeat(number[starts], np.diff([*starts, len(order)]))
    chosen = np.empty(len(order), np.bool_)
    chosen[order] = position < most
    return chosen


def _mixed(frame: IntArray, camera: IntArray) -> NDArray[np.uint64]:
    """A hash of three numbers (N,): SplitMix64 (Steele, Lea, Flood 2014), one after the other."""
    state = np.zeros(len(camera), np.uint64)
    for part in (frame[:, 0], frame[:, 1], camera):
        state = (state ^ part.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
        state ^= state >> np.uint64(31)
    return state
