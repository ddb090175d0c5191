"""Hands one by one, where ingest takes columns: the slow way that the fast one is held against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handpose.data.annotation_table import NO_FIT, Camera, HandsInWorld, ManoFit
from handpose.data.camera_frame import HandsInCamera, RestWrist, take, to_camera_frame
from handpose.hand.skeleton import FROM_INTERHAND
from handpose.interhand.hand_annotation import HandAnnotation, Reject


def into_camera(
    views: Sequence[HandAnnotation], rest_wrist: RestWrist, *, min_valid_joints: int
) -> tuple[list[HandAnnotation], HandsInCamera, list[Reject]]:
    """The views that can be used, the same as hands in their cameras, and the others' reasons.

    `views` holds at least one.
    """
    hands, faults = to_camera_frame(in_world(views), rest_wrist, min_valid_joints=min_valid_joints)
    bad = {fault.row for fault in faults}
    kept = [i for i in range(len(views)) if i not in bad]
    rejects = [Reject(views[i].origin, reason, detail) for i, reason, detail in faults]
    return [views[i] for i in kept], take(hands, kept), rejects


def in_world(views: Sequence[HandAnnotation]) -> HandsInWorld:
    """Views, at least one, as arrays."""
    flags = [np.frombuffer(view.visible, np.bool_).reshape(2, 21) for view in views]
    left = [int(view.is_left) for view in views]
    return HandsInWorld(
        camera=Camera(*map(np.stack, zip(*(view.camera for view in views), strict=True))),
        joints=np.stack([view.frame_joints.joints[i] for view, i in zip(views, left, strict=True)]),
        joint_valid=np.stack(
            [view.frame_joints.joint_valid[i] for view, i in zip(views, left, strict=True)]
        ),
        visible=np.stack([of[i][FROM_INTERHAND] for of, i in zip(flags, left, strict=True)]),
        size=np.array([(view.width, view.height) for view in views]),
        is_left=np.array(left, np.bool_),
        has_mano=np.array([view.fit is not None for view in views]),
        fit=ManoFit(*map(np.stack, zip(*(view.fit or NO_FIT for view in views), strict=True))),
    )
