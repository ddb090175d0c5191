"""The square of a photo that the judge's landmark network is shown, found from the joints.

The judge tracks a hand by the joints that it found in the last photo; here the annotated ones take
their place, so that what it says does not depend on its detector. Pixel centres lie at whole
numbers, as everywhere here; the network counts from the crop's edge.

Source of the rule: MediaPipe Hands, as its graphs of hand tracking describe it (rotation and box
from the joints of the palm's side, then shifted, squared and enlarged).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.hand.skeleton import JOINTS, MIDDLE_MCP, WRIST

Array = NDArray[np.floating[Any]]

SIDE_PX = 224

BOXED: NDArray[np.intp] = np.array(
    [
        joint
        for joint, name in enumerate(JOINTS)
        if name in ("wrist", "thumb_3") or name.endswith(("_1", "_2"))
    ]
)
"""The 12 joints whose box the crop follows: wrist, the thumb but its tip, and of each finger the
knuckle and the joint after it."""

INDEX_MCP, RING_MCP = JOINTS.index("index_1"), JOINTS.index("ring_1")

ENLARGED = 2.0
"""Side of the crop over the longer side of the box."""

RAISED = 0.1
"""Of the box's height, how far the crop lies towards the fingers from the box's middle."""

PALM_ENLARGED, PALM_RAISED = 2.6, 0.5
"""The same of the palm's box, which the palm detector gives: sides by its longer one."""

EDGE_PX = 0.5
"""From the edge of a picture to the centre of its first pixel."""


def tracking_crop(uv: Array) -> NDArray[np.float64]:
    """A (3, 3): pixels of the photo -> pixels of the crop, in which the hand points up.

    Args:
        uv: (21, 2) px; only those of `BOXED` are used.
    """
    ahead = ((uv[INDEX_MCP] + uv[RING_MCP]) / 2 + uv[MIDDLE_MCP]) / 2 - uv[WRIST]
    upright = _upright(ahead)
    box = uv[BOXED] @ upright.T  # (12, 2)
    low, high = box.min(0), box.max(0)
    width, height = high - low
    middle = (low + high) / 2 - [0, RAISED * height]
    return _crop(upright, middle, ENLARGED * max(width, height))


def palm_crop(box: Array, ahead: Array) -> NDArray[np.float64]:
    """The same for a hand of which only the palm is known, as the judge begins.

    Args:
        box: (4,) px, left, top, right, bottom of the palm.
        ahead: (2,) from the wrist towards the fingers.
    """
    upright = _upright(ahead)
    side = max(box[2] - box[0], box[3] - box[1])
    middle = upright @ ((box[:2] + box[2:]) / 2) - [0, PALM_RAISED * side]
    return _crop(upright, middle, PALM_ENLARGED * side)


def _upright(ahead: Array) -> NDArray[np.float64]:
    """The rotation (2, 2) that turns this direction (2,) up."""
    angle = math.atan2(ahead[0], -ahead[1])  # clockwise from up
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s], [-s, c]])


def _crop(upright: Array, middle: Array, side: float) -> NDArray[np.float64]:
    """A of the square with this middle (2,) and side in the turned photo."""
    zoom = SIDE_PX / side
    A = np.eye(3)
    A[:2, :2] = zoom * upright
    A[:2, 2] = (SIDE_PX - 1) / 2 - zoom * middle
    return A


def to_photo(points: Array, A: Array) -> Array:
    """Points (N, 2) that the network counts from the crop's edge -> pixels of the photo."""
    return apply(np.linalg.inv(A), points - EDGE_PX)


def apply(A: Array, points: Array) -> Array:
    """Points (N, 2) mapped by A (3, 3)."""
    mapped: Array = points @ A[:2, :2].T + A[:2, 2]
    return mapped
