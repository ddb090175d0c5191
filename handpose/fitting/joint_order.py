"""Orders of 21 joints that other projects use, and what a wrong order or unit looks like.

Every permutation is derived from the names that a source gives its joints.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.hand.skeleton import FINGERS, JOINTS, MANO_JOINTS, TIPS

_MEDIAPIPE_LEVELS = {
    finger: ("CMC", "MCP", "IP", "TIP") if finger == "thumb" else ("MCP", "PIP", "DIP", "TIP")
    for finger in FINGERS
}
_MEDIAPIPE_FINGERS = {"thumb": "THUMB", "pinky": "PINKY"}


def _mediapipe(name: str) -> str:
    """Our name -> MediaPipe's: index_1 -> INDEX_FINGER_MCP."""
    if name == "wrist":
        return "WRIST"
    finger, level = name.split("_")
    place = _MEDIAPIPE_LEVELS[finger][3 if level == "tip" else int(level) - 1]
    return f"{_MEDIAPIPE_FINGERS.get(finger, f'{finger.upper()}_FINGER')}_{place}"


def _numbered(name: str) -> str:
    """Our name -> OpenPose's: 4 is the tip: index_tip -> index4."""
    return name.replace("_tip", "4").replace("_", "")


MEDIAPIPE = (
    "WRIST",
    *("THUMB_CMC", "THUMB_MCP", "THUMB_IP", "THUMB_TIP"),
    *(
        f"{finger}_{level}"
        for finger in ("INDEX_FINGER", "MIDDLE_FINGER", "RING_FINGER", "PINKY")
        for level in ("MCP", "PIP", "DIP", "TIP")
    ),
)
OUTWARDS = ("wrist", *(f"{finger}{k}" for finger in FINGERS for k in (1, 2, 3, 4)))

_SOURCES: dict[str, tuple[tuple[str, ...], Callable[[str], str]]] = {
    "handpose": (JOINTS, str),
    "mano": ((*MANO_JOINTS, *(JOINTS[tip] for tip in TIPS)), str),
    "interhand": (
        (*(f"{finger}{k}" for finger in FINGERS for k in (4, 3, 2, 1)), "wrist"),
        _numbered,
    ),
    "mediapipe": (MEDIAPIPE, _mediapipe),
    "openpose": (OUTWARDS, _numbered),
    "freihand": (OUTWARDS, _numbered),
}
"""The names of a source in its order, and our name -> its name. mano: 16 joints and 5 tips as smplx
gives them; interhand: InterHand2.6M's `skeleton.txt`, tips first; mediapipe: its HandLandmark;
openpose: its hand output; freihand: FreiHAND's `training_xyz.json`."""

ORDERS: dict[str, NDArray[np.intp]] = {
    source: np.array([names.index(theirs(name)) for name in JOINTS])
    for source, (names, theirs) in _SOURCES.items()
}
"""Index lists: 21 joints of a source -> the 21 of `hand/skeleton.py`."""

SAME_AS_OURS = ("handpose", "mediapipe", "openpose", "freihand")
DISTINCT = ("handpose", "mano", "interhand")
"""One name of each different order."""

EXTENT_M = (0.04, 0.4)
"""Distance of the points of a hand that are farthest apart: a baby's fist to a giant's palm."""

Residual = Callable[[str, bool], float]


def extents(points: Tensor) -> Tensor:
    """Longest side of the box of each hand's points: (N, P, D) -> (N,) in their unit."""
    return (points.amax(1) - points.amin(1)).amax(-1)


def extent(points: Tensor) -> float:
    """Median over hands of `extents`: (N, P, D) -> in their unit."""
    return float(extents(points).median())


def better_reading(residual: Residual, order: str | None, least: float) -> tuple[str | None, bool]:
    """The order, and whether the other side, by which points fit decisively better than as given.

    Args:
        residual: mean residual of a sample, by order and whether the other side is taken.
        order: as given; None for a mesh, which has none.
        least: a residual below which nothing is doubted.

    Returns:
        (`order`, False) if there is no better reading.
    """
    given = residual(order or "handpose", False)
    if given <= least:
        return order, False
    others = [
        (residual(name, swapped), name, swapped)
        for name in (DISTINCT if order else ("handpose",))
        for swapped in (False, True)
        if swapped or (order and not np.array_equal(ORDERS[name], ORDERS[order]))
    ]
    best, name, swapped = min(others)
    return (name if order else None, swapped) if best < given / 2 else (order, False)


def in_our_order(points: Tensor, order: str) -> Tensor:
    """Joints (N, 21, D) of a named order -> in the order of `hand/skeleton.py`."""
    return points[:, torch.from_numpy(ORDERS[order])]
