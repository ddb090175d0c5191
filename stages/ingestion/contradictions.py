"""contradictions.parquet: annotations that contradict themselves, with what is needed to draw them.

Joints beside the annotated boxes (these are rejects too), and hands that are used without their
MANO fit. Of the first `DRAWN` of each reason the row holds pixels of the photo.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from handpose.data.annotation_table import (
    FIT_FAULTS,
    JOINTS,
    REJECT,
    AnnotationTable,
    BoolArray,
    Camera,
    FloatArray,
    ManoFit,
    Unusable,
)
from handpose.data.camera_frame import NEAR_M
from handpose.hand.camera import project, world_to_camera
from handpose.hand.mano import Mano
from stages.ingestion.fit_distance import fitted_joints

DRAWN = 200
"""Rows with pixels, of each reason in a source split."""

PIXELS = {"box": 4, "joints": 2 * JOINTS, "fit": 2 * JOINTS}
"""Numbers in each column of pixels, float32, null where there is none: the box as annotated (x, y,
w, h), and the joints (21 x 2) as annotated and of the fit, NaN for one that is not known."""

CONTRADICTION = pa.schema(
    [*REJECT, *(pa.field(name, pa.list_(pa.float32(), size)) for name, size in PIXELS.items())]
)


def beside_boxes(rows: AnnotationTable, unusable: list[Unusable], drawn: int = DRAWN) -> pa.Table:
    """The rows that are rejected for their camera, the first ones with box and joints."""
    some = rows.take([one.row for one in unusable[:drawn]])
    return _table(rows.rejects(unusable), box=some.boxes(), joints=_annotated(some))


def unused_fits(
    rows: AnnotationTable, far_fit_at: NDArray[np.int64], mano: Mano | None, drawn: int = DRAWN
) -> pa.Table:
    """The rows whose fit is not used; of the first far ones joints and the fit's joints.

    Args:
        rows: hands that are used.
        far_fit_at: the index of each row's fit (N,), where it is too far from the joints.
        mano: poses the fits.
        drawn: how many have pixels.
    """
    codes = rows.table["fit_at"].to_numpy()
    parts = []
    for reason, code in FIT_FAULTS.items():
        at = np.flatnonzero(codes == code)
        if not len(at):
            continue
        details = [""] * len(at)
        pixels: dict[str, FloatArray] = {}
        if reason == "fit_off_joints" and mano is not None and drawn:
            first = at[:drawn]
            some = rows.take(first)
            fits = ManoFit(*(part[far_fit_at[first]] for part in some.fits))
            joints = fitted_joints(fits, some.is_left(), mano, some.form.tips)
            hands = some.hands()
            known = np.isfinite(hands.joints).all(-1) & hands.joint_valid
            away = np.linalg.norm(np.where(known[..., None], joints - hands.joints, 0.0), axis=-1)
            mean_mm = 1000 * away.sum(1) / np.maximum(known.sum(1), 1)
            details[: len(first)] = [f"{mm:.0f} mm from its joints" for mm in mean_mm]
            pixels = {
                "joints": _annotated(some),
                "fit": _pixels(joints, np.ones(joints.shape[:2], np.bool_), hands.camera),
            }
        unusable = [Unusable(int(row), reason, text) for row, text in zip(at, details, strict=True)]
        parts.append(_table(rows.rejects(unusable), **pixels))
    return pa.concat_tables([CONTRADICTION.empty_table(), *parts])


def _annotated(rows: AnnotationTable) -> FloatArray:
    """Pixels of the annotated joints (N, 21, 2); NaN where one is not valid in the view."""
    hands = rows.hands()
    return _pixels(hands.joints, hands.joint_valid & hands.visible, hands.camera)


def _pixels(world: FloatArray, shown: BoolArray, camera: Camera) -> FloatArray:
    """Pixels (N, 21, 2) of joints (N, 21, 3) m; NaN where not shown or not before the camera."""
    joints = world_to_camera(world, camera.R, camera.C)
    with np.errstate(invalid="ignore"):
        drawable = shown & np.isfinite(joints).all(-1) & (joints[..., 2] >= NEAR_M)
    uv = project(np.where(drawable[..., None], joints, [0.0, 0.0, 1.0]), camera.K)
    return np.where(drawable[..., None], uv, np.nan)


def _table(rows: pa.Table, **pixels: FloatArray) -> pa.Table:
    """Rows as CONTRADICTION; columns of pixels are of the first ones."""
    for name, size in PIXELS.items():
        kind = CONTRADICTION.field(name).type
        there = np.asarray(pixels.get(name, np.empty((0, size))), np.float32)
        flat = pa.array(np.ascontiguousarray(there.reshape(-1)))
        first = pa.FixedSizeListArray.from_arrays(flat, size).cast(kind)
        rest = pa.nulls(len(rows) - len(there), kind)
        rows = rows.append_column(name, pa.chunked_array([first, rest], kind))
    return rows
