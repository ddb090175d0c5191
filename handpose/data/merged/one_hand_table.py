"""The neutral table of a data set of photos with one hand each: a benchmark's, in camera axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from handpose.data.annotation_table import (
    AS_MANO_FIT,
    FIT_FAULTS,
    NO_BOX,
    NO_FIT,
    REJECT,
    ROW,
    AnnotationTable,
    BoolArray,
    Camera,
    FitForm,
    FloatArray,
    HandJoints,
    ManoFit,
    as_bytes,
    box_bytes,
)

FROM_OPENGL = np.diag([1.0, -1.0, -1.0])
"""Points of an OpenGL camera (y up, z backward) -> of ours (y down, z forward): a half turn."""


@dataclass(frozen=True)
class Photos:
    """N photos and where they come from; numbers and texts are (N,)."""

    image: Sequence[str]  # path below the data set's folder
    sequence: Sequence[str]
    subject: NDArray[np.int64]
    session: NDArray[np.int64]
    camera: Sequence[str]
    frame: NDArray[np.int64]
    size: tuple[int, int]  # width and height of all, px

    def origin(self) -> dict[str, Any]:
        """Columns of `annotation_table.ORIGIN` without the hand."""
        return {
            "session": self.session,
            "subject": self.subject,
            "sequence": self.sequence,
            "camera": self.camera,
            "frame": self.frame,
            "image": self.image,
            "kind": ["rom"] * len(self.image),
        }


def one_hand_table(
    source_split: str,
    photos: Photos,
    *,
    camera: Camera,
    joints: FloatArray,
    joint_valid: BoolArray,
    fit: ManoFit | None = None,
    has_fit: BoolArray | None = None,
    form: FitForm = AS_MANO_FIT,
    hand_at: NDArray[np.int64] | None = None,
    hand: Sequence[str] | None = None,
    boxes: FloatArray | None = None,
    annotation_id: NDArray[np.int64] | None = None,
) -> AnnotationTable:
    """The annotations of N photos of M hands.

    Args:
        source_split: name of the split.
        photos: N photos.
        camera: of each hand, first axis M.
        joints: (M, 21, 3) m in our order, in the camera's world.
        joint_valid: (M, 21).
        fit: of each hand, first axis M; None: there is none.
        has_fit: (M,); default: every hand, if `fit` is there. One with a value that is not a number
            is not used, with that reason.
        form: of the fits.
        hand_at: (N,) the hand of each photo; default: M = N, each its own.
        hand: (N,) right or left; default: right.
        boxes: (N, 4) x, y, w, h px; NaN for none.
        annotation_id: (N,); default: 0 to N - 1.
    """
    count, hands = len(photos.image), len(joints)
    own = np.arange(count) if hand_at is None else hand_at
    fitted = np.full(hands, fit is not None) if has_fit is None else has_fit
    parts = fit or ManoFit(*(np.zeros((hands, *part.shape)) for part in NO_FIT))
    finite = np.logical_and.reduce([np.isfinite(part).all(1) for part in parts])
    fit_at = np.where(fitted[own], np.where(finite[own], own, FIT_FAULTS["nan_in_mano"]), -1)
    columns = photos.origin() | {
        "annotation_id": np.arange(count) if annotation_id is None else annotation_id,
        "hand": hand or ["right"] * count,
        "width": np.full(count, photos.size[0]),
        "height": np.full(count, photos.size[1]),
        "visible": as_bytes(np.ones((count, 21), np.bool_)),  # joint_valid alone decides
        "box": box_bytes(np.tile(NO_BOX, (count, 1)) if boxes is None else boxes),
        "camera_at": own,
        "joints_at": own,
        "fit_at": fit_at,
        "other_at": np.full(count, -1),
    }
    arrays = {name: pa.array(columns[name], ROW.field(name).type) for name in ROW.names}
    return AnnotationTable(
        source_split,
        pa.table(arrays, ROW),
        camera,
        HandJoints(joints, joint_valid),
        ManoFit(
            *(np.concatenate([part, none[None]]) for part, none in zip(parts, NO_FIT, strict=True))
        ),
        form,
    )


def rejected(
    source_split: str, photos: Photos, annotation_id: NDArray[np.int64], reason: str, detail: str
) -> pa.Table:
    """Photos without an annotation, as `annotation_table.REJECT`."""
    count = len(photos.image)
    columns = photos.origin() | {
        "annotation_id": annotation_id,
        "source_split": [source_split] * count,
        "hand": [None] * count,
        "reason": [reason] * count,
        "detail": [detail] * count,
    }
    return pa.table(
        {name: pa.array(columns[name], REJECT.field(name).type) for name in REJECT.names}, REJECT
    )
