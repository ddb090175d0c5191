"""The joint order of this project, and every other order as a permutation of it.

0 wrist, then thumb 1-4, index 5-8, middle 9-12, ring 13-16, pinky 17-20, each from base to tip::

    .         12
    .      8  11  16
    .      7  10  15
    .      6   9  14  20       the back of a right hand
    .    4 5      13  19       (or the palm of a left one)
    .    3            18
    .     2           17
    .       1
    .           0
"""

import numpy as np
from numpy.typing import NDArray

FINGERS = ("thumb", "index", "middle", "ring", "pinky")

JOINTS = ("wrist", *(f"{finger}_{level}" for finger in FINGERS for level in (1, 2, 3, "tip")))
"""Names of the 21 joints in this project's order."""

PARENTS = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
"""Parent of each of the 21 joints; -1 for the wrist."""

WRIST = 0
MIDDLE_MCP = 9

TIPS = (4, 8, 12, 16, 20)
"""Indices of the five fingertips among the 21 joints, thumb to pinky."""

MANO_JOINTS = (
    "wrist",
    *(
        f"{finger}_{k}"
        for finger in ("index", "middle", "pinky", "ring", "thumb")
        for k in (1, 2, 3)
    ),
)
"""MANO's own 16 joints, in its order: wrist, index, middle, pinky, ring, thumb."""

MANO_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
"""Parent of each of MANO's 16 joints (row 0 of `kintree_table`)."""

FROM_MANO_AND_TIPS: NDArray[np.intp] = np.array(
    [
        MANO_JOINTS.index(name) if name in MANO_JOINTS else 16 + FINGERS.index(name.split("_")[0])
        for name in JOINTS
    ]
)
"""Index list: (16 MANO joints + 5 tips, thumb to pinky) -> the 21 joints here."""

FROM_INTERHAND: NDArray[np.intp] = np.array(
    [20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16]
)
"""Index list: InterHand2.6M's 21 joints of one hand (tips first, wrist last) -> the 21 here.

Source: facebookresearch/InterHand2.6M, `skeleton.txt` (thumb4..1, index4..1, ..., wrist)."""


def inverse(order: NDArray[np.intp]) -> NDArray[np.intp]:
    """The inverse permutation: x[order][inverse(order)] == x."""
    return np.argsort(order)
