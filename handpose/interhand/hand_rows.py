"""Usable annotations of one official split as columns: a `HandAnnotation` per row, for a million.

Cameras, frames and fits are stored once; a row holds their indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from handpose.data.annotation_table import (
    BOX_BYTES,
    FIT_FAULTS,
    NO_FIT,
    WORD,
    Camera,
    ManoFit,
)
from handpose.interhand.annotations import FLAGS, FrameJoints
from handpose.interhand.hand_annotation import HandAnnotation

T = TypeVar("T", Camera, FrameJoints, ManoFit)

ORIGIN = {
    "annotation_id": pa.int64(),
    "capture": pa.int64(),
    "subject": pa.int64(),
    "seq_name": WORD,
    "camera": WORD,
    "frame": pa.int64(),
    "file_name": pa.string(),
    "hand_type": WORD,
}
"""Columns of `Origin`, except the split, which is the same for all rows."""

ROW = pa.schema(
    ORIGIN
    | {"width": pa.int64(), "height": pa.int64(), "visible": pa.binary(FLAGS)}
    | {"box": pa.binary(BOX_BYTES)}  # as in `annotation_table.ROW`
    | {"interacting": pa.bool_()}  # one of the two hands of its annotation
    | dict.fromkeys(("camera_at", "frame_at", "fit_at"), pa.int64())  # fit_at < 0: no fit
)


@dataclass(frozen=True)
class HandRows:
    """N usable annotations of one official split, in any order."""

    official_split: str
    table: pa.Table  # as ROW
    cameras: Camera
    frame_joints: FrameJoints
    fits: ManoFit  # the last one stands for none

    def __len__(self) -> int:
        return int(self.table.num_rows)


def of_annotations(official_split: str, hands: Sequence[HandAnnotation]) -> HandRows:
    """Annotations as rows."""
    cameras, camera_at = _distinct([hand.camera for hand in hands])
    frame_joints, frame_at = _distinct([hand.frame_joints for hand in hands])
    fits, fit_at = _distinct([hand.fit for hand in hands if hand.fit is not None])
    next_fit = iter(fit_at)
    columns: dict[str, Any] = {
        name: [getattr(hand.origin, name) for hand in hands] for name in ORIGIN
    }
    columns |= {name: [getattr(hand, name) for hand in hands] for name in ("width", "height")}
    for name in ("visible", "box", "interacting"):
        columns[name] = [getattr(hand, name) for hand in hands]
    columns |= {"camera_at": camera_at, "frame_at": frame_at}
    columns["fit_at"] = [
        FIT_FAULTS.get(hand.fit_fault, -1) if hand.fit is None else next(next_fit) for hand in hands
    ]
    return HandRows(
        official_split,
        pa.table(columns, ROW),
        _stacked(cameras, Camera(np.zeros((3, 3)), np.zeros((3, 3)), np.zeros(3))),
        _stacked(frame_joints, FrameJoints(np.zeros((2, 21, 3)), np.zeros((2, 21), np.bool_))),
        _stacked(fits, NO_FIT),
    )


def joined(first: HandRows, second: HandRows) -> HandRows:
    """The rows of both, of one split."""
    table = second.table
    shift = {"camera_at": len(first.cameras.K), "frame_at": len(first.frame_joints.joints)}
    shift["fit_at"] = len(first.fits.betas)
    for name, by in shift.items():
        index = table[name].to_numpy()
        shifted = pa.array(np.where(index >= 0, index + by, index))
        table = table.set_column(table.schema.get_field_index(name), name, shifted)
    whole = pa.concat_tables([first.table, table]).unify_dictionaries().combine_chunks()
    return replace(
        first,
        table=whole,
        cameras=_both(first.cameras, second.cameras),
        frame_joints=_both(first.frame_joints, second.frame_joints),
        fits=_both(first.fits, second.fits),
    )


def _both(first: T, second: T) -> T:
    parts: Any = zip(first, second, strict=True)
    return type(first)(*map(np.concatenate, parts))


def _distinct(items: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """The distinct objects among these, and the index of each: annotations share frames."""
    distinct = {id(item): item for item in items}
    index = {key: number for number, key in enumerate(distinct)}
    return list(distinct.values()), [index[id(item)] for item in items]


def _stacked(items: Sequence[T], last: T) -> T:
    parts: Any = zip(*items, last, strict=True)
    return type(last)(*map(np.stack, parts))
