"""How far MANO fits are from the annotated joints of the same hand.

Both are ground truth of one sample, so a fit far from the joints teaches two poses at once. They
are compared in the world: all cameras show the same hand, so that each is posed once.

The joints of a fit are those of the data set's definition (`hand.joint_regressor`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.data.annotation_table import AnnotationTable, BoolArray, FloatArray, ManoFit
from handpose.hand.kinematics import CHAIN_JOINTS, JointChain
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_axis_angle, mirror_points
from handpose.hand.rotation import axis_angle_to_matrix

FITS_AT_A_TIME = 1024
"""Meshes that are in memory at a time: 40 MB."""


SKELETON_MM = 3.0
"""The skeleton's joints lie no farther than this from those regressed from the posed mesh."""


def far_fits(rows: AnnotationTable, mano: Mano, max_error_mm: float) -> BoolArray:
    """Rows (N,) whose fit is farther from the joints than this, on average over known joints.

    Rows without a fit, or without a known joint, are not far. The skeleton, which has no fingertips
    and costs a thirtieth, settles most: those within half of this distance, whose tips cannot be
    far either, and those whose other joints are too far already.
    """
    joints_at, fit_at = (rows.table[name].to_numpy() for name in ("joints_at", "fit_at"))
    far = np.zeros(len(rows), np.bool_)
    if max_error_mm <= 0 or not (fit_at >= 0).any():
        return far
    fitted = np.flatnonzero(fit_at >= 0)
    # many cameras show one hand, and every hand is posed once
    key = joints_at[fitted] * len(rows.fits.betas) + fit_at[fitted]
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    hands = fitted[first]
    own = _errors_mm(rows, hands, CHAIN_JOINTS, JointChain(mano))  # of the skeleton
    valid = rows.joints.joint_valid[joints_at[hands]]
    known, of_skeleton = valid.sum(1), valid[:, CHAIN_JOINTS].sum(1)
    is_far = of_skeleton * (own - SKELETON_MM) > known * max_error_mm
    unclear = np.flatnonzero(~is_far & ((own > max_error_mm / 2) | (of_skeleton == 0)))
    for start in range(0, len(unclear), FITS_AT_A_TIME):
        some = unclear[start : start + FITS_AT_A_TIME]
        error = _errors_mm(
            rows,
            hands[some],
            np.arange(21),
            lambda fits, left: fitted_joints(fits, left, mano, rows.form.tips),
        )
        is_far[some] = error > max_error_mm
    far[fitted] = is_far[index]
    return far


def _errors_mm(
    rows: AnnotationTable,
    some: NDArray[np.intp],
    joints: NDArray[np.intp],
    pose: Callable[[ManoFit, BoolArray], FloatArray],
) -> FloatArray:
    """Mean distance of the fits of some rows from their known joints (M,), 0 without any, mm.

    Args:
        rows: of which these have fits.
        some: (M,) row numbers.
        joints: those of the 21 that `pose` returns.
        pose: M fits and whether each is of a left hand -> joints in the world, m.
    """
    at, fit = (rows.table[name].to_numpy()[some] for name in ("joints_at", "fit_at"))
    posed = pose(ManoFit(*(part[fit] for part in rows.fits)), rows.is_left()[some])
    error = np.linalg.norm(posed - rows.joints.joints[at][:, joints], axis=-1)
    known = rows.joints.joint_valid[at][:, joints] & np.isfinite(error)
    mean = np.where(known, error, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    return np.asarray(1000 * mean)


def fitted_joints(
    fits: ManoFit, is_left: BoolArray, mano: Mano, tips: str | None = None
) -> FloatArray:
    """The joints of M fits in the world (M, 21, 3) m, as the hand model's or with these `tips`."""
    root, pose, betas, transl = (torch.from_numpy(part).float() for part in fits)
    left = torch.from_numpy(is_left)
    root = mirror_axis_angle(root, left)
    pose = mirror_axis_angle(pose.view(-1, 15, 3), left).flatten(1)
    with torch.inference_mode():
        right = mano(axis_angle_to_matrix(root), mano.rotations(pose), betas)
        own = right.joints if tips is None else mano.joints_from(right.vertices, tips)
        joints = mirror_points(own, left) + transl[:, None]
    return np.asarray(joints.double().numpy())
