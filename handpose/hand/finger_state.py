"""Whether each finger is straight, half bent or bent, from the 21 joints alone.

Letters: N hands, F = 5 fingers, thumb to pinky.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handpose.hand.skeleton import FINGERS, WRIST

UNKNOWN = -1
STATES = ("straight", "half", "bent")
"""By their number."""

STRAIGHT_DEG = np.array([55.0, 70.0, 70.0, 70.0, 70.0])
BENT_DEG = np.array([90.0, 130.0, 130.0, 130.0, 130.0])
"""A finger is straight below the first bend and bent from the second on. Ours: three quarters of
the synthetic people's straight fingers lie below 64 to 76 degrees (their straight thumbs below 56),
three quarters of those of a fist above 119 to 130. The thumb bends less: three quarters of those
that lie in the palm are above 86."""

CHAINS = np.array([[WRIST, *range(1 + 4 * k, 5 + 4 * k)] for k in range(len(FINGERS))])
"""(F, 5) joints of each finger, from the wrist to the tip."""


def finger_bend(joints: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum of the three angles between consecutive bones of each finger, (N, F) rad.

    The first bone leads from the wrist to the finger's base. Rotation, size and side of the hand
    change nothing.

    Args:
        joints: (N, 21, 3) in any unit.
        valid: (N, 21) which of them are known; a finger that lacks one is NaN.
    """
    points = joints[:, CHAINS].astype(np.float64)  # (N, F, 5, 3)
    bones = np.diff(points, axis=2)
    before, after = bones[:, :, :-1], bones[:, :, 1:]
    across = np.linalg.norm(np.cross(before, after), axis=-1)
    angles = np.arctan2(across, (before * after).sum(-1))  # (N, F, 3)
    bend: NDArray[np.float64] = np.where(valid[:, CHAINS].all(2), angles.sum(2), np.nan)
    return bend


def finger_states(joints: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number in `STATES` of each finger, (N, F), or `UNKNOWN`; arguments as of `finger_bend`."""
    bend = np.degrees(finger_bend(joints, valid))
    states = (bend >= STRAIGHT_DEG).astype(np.int64) + (bend >= BENT_DEG)
    return np.where(np.isnan(bend), UNKNOWN, states)
