"""Cameras whose joints lie beside the hand: calibration against the annotations' own boxes.

A camera that was moved, or exchanged with another, projects the joints beside the hand. The boxes
are annotated in the photo, so they show it: of a sound camera nearly all joints lie in them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.counted import counted
from handpose.data.annotation_table import (
    INTERACTING,
    AnnotationTable,
    BoolArray,
    Unusable,
    sort_keys,
)
from handpose.data.camera_frame import NEAR_M
from handpose.hand.camera import project, world_to_camera

REASON = "joints_outside_boxes"

SAMPLED = 64
"""Annotations of a camera in a session that are looked at, at equal steps: 1300 joints."""

ROWS_AT_A_TIME = 20_000

MARGIN = 0.1
"""A box is grown by this share of its longer side: some are tight, and all are rounded."""

SMALLEST_PX = 1.0
"""A box of this side or less stands for none."""


class OffCamera(NamedTuple):
    """A camera whose joints do not lie in the boxes."""

    session: int
    camera: str
    share: float  # of the joints looked at that lie in the boxes
    annotations: int
    subjects: tuple[int, ...]

    def __str__(self) -> str:
        """Which camera, and what it contradicts."""
        people = ", ".join(map(str, self.subjects))
        word = "person" if len(self.subjects) == 1 else "people"
        annotations = counted(self.annotations, "annotation is", "annotations are")
        return (
            f"camera {self.camera} of session {self.session} ({word} {people}): {self.share:.0%} "
            f"of its joints lie in the annotated boxes; {annotations} rejected"
        )


def off_cameras(rows: AnnotationTable, min_share: float) -> tuple[list[OffCamera], list[Unusable]]:
    """Cameras of which less than this share of the joints lie in the boxes, and their rows.

    Annotations without a box, or without a valid joint, are not counted, nor are those of two
    hands, whose box is that of both: so that with and without them the same cameras are off.
    """
    if not len(rows) or min_share <= 0:
        return [], []
    camera_of, sampled = _cameras(rows)
    inside, joints = np.zeros(len(rows)), np.zeros(len(rows))
    for start in range(0, len(sampled), ROWS_AT_A_TIME):
        some = sampled[start : start + ROWS_AT_A_TIME]
        inside[some], joints[some] = _in_boxes(rows.take(some))
    total = np.bincount(camera_of, joints)
    share = np.bincount(camera_of, inside) / np.maximum(total, 1)
    off = (total > 0) & (share < min_share)
    cameras, unusable = [], []
    for code in np.flatnonzero(off):
        own = np.flatnonzero(camera_of == code)
        table = rows.table.take(own)
        found = OffCamera(
            int(table["session"][0].as_py()),
            str(table["camera"][0].as_py()),
            float(share[code]),
            len(own),
            tuple(sorted(set(table["subject"].to_pylist()))),
        )
        detail = f"{found.share:.0%} of the joints of its camera lie in the annotated boxes"
        cameras.append(found)
        unusable += [Unusable(int(row), REASON, detail) for row in own]
    return cameras, sorted(unusable)


def _cameras(rows: AnnotationTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for each row's camera in its session (N,), and the rows that are looked at."""
    name = sort_keys(rows.table["camera"])
    session = np.unique(rows.table["session"].to_numpy(), return_inverse=True)[1]
    _, camera_of = np.unique(session * (name.max() + 1) + name, return_inverse=True)
    one_hand = np.flatnonzero(~rows.is_kind(INTERACTING))
    order = np.argsort(camera_of[one_hand], kind="stable")
    count = np.bincount(camera_of[one_hand])
    place = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    step = np.repeat(-(-count // SAMPLED), count)
    return camera_of, np.sort(one_hand[order[place % step == 0]])


def _in_boxes(rows: AnnotationTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many valid joints lie in each row's box (N,), and how many there are."""
    hands, boxes = rows.hands(), rows.boxes()
    joints = world_to_camera(hands.joints, hands.camera.R, hands.camera.C)
    with np.errstate(invalid="ignore"):
        is_box = np.asarray(np.isfinite(boxes).all(1) & (boxes[:, 2:] > SMALLEST_PX).all(1))
    valid = hands.joint_valid & hands.visible & np.isfinite(joints).all(-1) & is_box[:, None]
    ahead: BoolArray = joints[..., 2] >= NEAR_M
    pixels = project(np.where((valid & ahead)[..., None], joints, [0.0, 0.0, 1.0]), hands.camera.K)
    low = np.where(is_box[:, None], boxes[:, :2], 0.0)
    size = np.where(is_box[:, None], boxes[:, 2:], 0.0)
    margin = MARGIN * size.max(1, keepdims=True)
    above = pixels >= (low - margin)[:, None]
    below = pixels <= (low + size + margin)[:, None]
    inside = valid & ahead & above.all(-1) & below.all(-1)
    return inside.sum(1), valid.sum(1)
