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

EDGE_PX = 0.5
"""From the edge of a picture to the centre of its first pixel."""


def tracking_crop(uv: Array) -> NDArray[np.float64]:
    """A (3, 3): pixels of the photo -> pixels of the crop, in which the hand points up.

    Args:
        uv: (21, 2) px; only those of `BOXED` are used.
    """
    ahead = ((uv[INDEX_MCP] + uv[RING_MCP]) / 2 + uv[MIDDLE_MCP]) / 2 - uv[WRIST]
    angle = math.atan2(ahead[0], -ahead[1])  # clockwise from up
    c, s = math.cos(angle), math.sin(angle)
    upright = np.array([[c, s], [-s, c]])
    box = uv[BOXED] @ upright.T  # (12, 2)
    low, high = box.min(0), box.max(0)
    width, height = high - low
    middle = (low + high) / 2 - [0, RAISED * height]
    zoom = SIDE_PX / (ENLARGED * max(width, height))
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
