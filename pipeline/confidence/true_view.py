"""Views of photos as users draw their boxes, with their truth; and windows without the hand.

A user's box is the joints' box, moved and scaled a little. A window without the hand is as large as
such a view or smaller, and keeps off the joints' box; it may show a forearm, or lie partly outside
of the photo, as views of hands do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.data.crop import Square, affine, square, surroundings
from handpose.estimator import SHARPNESS
from handpose.hand.camera import project, turn, view_rotation
from handpose.hand.skeleton import JOINTS, WRIST
from handpose.predict import BOX_SCALE

Array = NDArray[np.floating[Any]]

BOX_JITTER = 0.08
"""A user's box is off by up to this share of its size, in place and in extent."""

MARGIN = 0.15
"""Of the longer side of the joints' box: skin around it that a window keeps off too."""

LEAST, MOST = 0.35, 1.1
"""Side of a window relative to that of a view by `BOX_SCALE`."""
OUTSIDE = 0.25
"""Share of a window's side that may lie outside of the photo, on either side."""
TRIES = 40

NOBODY = -1
"""Of a window without a hand."""


class TrueView(NamedTuple):
    """A view of a photo with its truth; of a window without a hand, nothing is valid."""

    photo: NDArray[np.uint8]  # (H, W, 3) RGB, or the part of it that is needed
    A: NDArray[np.float64]  # (3, 3) pixels of that photo -> pixels of the view
    uv: Array  # (21, 2) px of the view
    joints: Array  # (21, 3) m about the wrist, in the frame of the network's hands
    valid: NDArray[np.bool_]  # (21,)
    is_left: bool
    is_hand: bool
    person: int = NOBODY  # whose hand it is


def hand_view(
    image: NDArray[np.uint8],
    box: Array,
    *,
    K: Array,
    joints_cam: Array,
    valid: NDArray[np.bool_],
    is_left: bool,
    person: int,
    px: int,
    box_scale: float,
    turn_camera: bool,
) -> TrueView:
    """The view of a box around a hand.

    Args:
        image: (H, W, 3) RGB photo.
        box: (4,) x, y, width and height, px, as a user draws it.
        K: (3, 3) px, of the photo.
        joints_cam: (21, 3) m.
        valid: (21,) which of them are annotated.
        is_left: the hand's side.
        person: a number for whose hand it is.
        px: side of the view.
        box_scale: side of the view relative to the longer side of the box.
        turn_camera: the network's hands are in the frame of the camera turned onto the view.
    """
    region = square(box, box_scale)
    A = affine(region, px)
    joints = np.where(valid[:, None], joints_cam, (0, 0, 1)).astype(np.float64)
    uv = project(joints, A @ K)
    if turn_camera:
        joints = turn(joints, view_rotation(A @ K, px))
    joints = joints - joints[WRIST]
    return TrueView(*_part(image, region, px), uv, joints, valid, is_left, True, person)


def empty_view(image: NDArray[np.uint8], window: Square, *, px: int) -> TrueView:
    """The view of a window without a hand."""
    count = len(JOINTS)
    return TrueView(
        *_part(image, window, px),
        np.zeros((count, 2)),
        np.zeros((count, 3)),
        np.zeros(count, bool),
        False,
        False,
    )


def users_box(box: Array, rng: np.random.Generator) -> NDArray[np.float64]:
    """A joints' box (x, y, width, height) px, moved and scaled a little, as a user draws it."""
    corner, size = box[:2], box[2:]
    middle = corner + size / 2 + rng.uniform(-BOX_JITTER, BOX_JITTER, 2) * size.max()
    size = size * (1 + rng.uniform(-BOX_JITTER, BOX_JITTER, 2))
    return np.concatenate([middle - size / 2, size])


def empty_window(box: Array, size: tuple[int, int], rng: np.random.Generator) -> Square | None:
    """A random window that keeps off a hand; None if none was found, as where the hand fills all.

    Args:
        box: (4,) of the hand's joints, px of the photo.
        size: width and height of the photo.
        rng: of the window.
    """
    longer = float(box[2:].max())
    low, high = box[:2] - MARGIN * longer, box[:2] + box[2:] + MARGIN * longer
    for _ in range(TRIES):
        side = BOX_SCALE * longer * rng.uniform(LEAST, MOST)
        reach = (0.5 - OUTSIDE) * side
        extent = np.array(size) - 2 * reach
        centre = reach + rng.uniform(0, 1, 2) * extent
        off = (centre + side / 2 <= low) | (centre - side / 2 >= high)
        if (extent > 0).all() and off.any():
            return Square(float(centre[0]), float(centre[1]), side)
    return None


def _part(
    image: NDArray[np.uint8], region: Square, px: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What a view of this region can show of a photo, and A from there, as `HandEstimator` does."""
    part, to_part = surroundings(image, region, SHARPNESS * px)
    return part, affine(region, px) @ np.linalg.inv(to_part)
