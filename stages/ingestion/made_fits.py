"""MANO fits of training hands that have none, made from their joints: `ingest.fit_missing`.

Hands that are evaluated get none: protocols that measure against a fit mean the data set's own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch

from handpose.cores import usable_cores
from handpose.data.annotation_table import AnnotationTable, BoolArray, FloatArray, ManoFit
from handpose.fitting.hand_fit import HandFitter
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_axis_angle

MADE = "fit_made"
"""Column of `rows.table`, and then of samples.parquet: the fit was made here."""

NONE_AT = -1


def with_made_fits(
    rows: AnnotationTable, mano: Mano, held_out: frozenset[int], max_error_mm: float
) -> tuple[AnnotationTable, int]:
    """The same rows with fits for those that have none, and the column `MADE`.

    Only a hand of which all 21 joints are known is fitted, once for all cameras that see it; a fit
    that is not used (`FIT_FAULTS`) stays unused.

    Args:
        rows: of the data that are divided by subject; their fits are in the form of `ManoFit`.
        mano: the hand model; its joints' definition is the data set's.
        held_out: subjects who do not train.
        max_error_mm: a fit that is farther from its joints on average is not used; 0: any is.

    Returns:
        The rows, and how many of them got a fit.
    """
    names = ("fit_at", "joints_at", "subject")
    fit_at, joints_at, subject = (rows.table[name].to_numpy() for name in names)
    wanted = (fit_at == NONE_AT) & ~np.isin(subject, sorted(held_out))
    wanted &= rows.joints.joint_valid[joints_at].all(1)
    own = np.flatnonzero(wanted)
    is_left = rows.is_left()
    _, first, index = np.unique(
        2 * joints_at[own] + is_left[own], return_index=True, return_inverse=True
    )
    hands = own[first]
    made = np.zeros(len(rows), np.bool_)
    if len(hands):
        fits, error_mm = _fits(rows.joints.joints[joints_at[hands]], is_left[hands], mano)
        near = error_mm <= max_error_mm if max_error_mm > 0 else np.isfinite(error_mm)
        made[own] = near[index]
        count = len(rows.fits.betas) - 1  # the last one stands for none
        fit_at = fit_at.copy()
        fit_at[made] = count + index[near[index]]
        joined = (
            np.concatenate([old[:-1], new, old[-1:]])
            for old, new in zip(rows.fits, fits, strict=True)
        )
        at = rows.table.schema.get_field_index("fit_at")
        table = rows.table.set_column(at, "fit_at", pa.array(fit_at))
        rows = replace(rows, table=table, fits=ManoFit(*joined))
    return replace(rows, table=rows.table.append_column(MADE, pa.array(made))), int(made.sum())


def _fits(joints: FloatArray, is_left: BoolArray, mano: Mano) -> tuple[ManoFit, FloatArray]:
    """Fits of joints (M, 21, 3) m in the world, and their mean distances (M,) mm."""
    left = torch.from_numpy(is_left)
    found = HandFitter(mano, workers=usable_cores()).to_joints(torch.from_numpy(joints), left)
    pose = mirror_axis_angle(found.hand_pose.view(-1, 15, 3), left).flatten(1)
    parts = (mirror_axis_angle(found.global_orient, left), pose, found.betas, found.transl)
    fits = ManoFit(*(part.double().numpy() for part in parts))
    return fits, 1000 * found.residual.double().mean(1).numpy()
