"""Fits as data sets write them -> as `ManoFit` says: pose relative to the mean, placed by origin.

Whether a root rotation is of the camera is decided here too, by the joints, where it is disputed:
FreiHAND's was said to be of another camera (I2L-MeshNet, issues 96, 114, 132), and is shown nearly
right by others (freihand, issue 30).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.data.annotation_table import AS_MANO_FIT, AnnotationTable, BoolArray, HandJoints
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_axis_angle, mirror_points
from handpose.hand.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from handpose.hand.skeleton import MIDDLE_MCP, TIPS

FITS_AT_A_TIME = 1024
"""Meshes that are in memory at a time: 40 MB."""

TURNED_BETTER = 0.5
"""Roots are turned if that leaves at most this share of the residual,"""
LEAST_MM = 3.0
"""and if the residual as given is larger than the joints and their fit differ anyway."""


class RootDecision(NamedTuple):
    """Distances of the fits' joints from the annotated ones, the middle MCPs together, mm."""

    fits: int
    as_given: tuple[float, float]  # median, 95 % quantile over fits
    turned: tuple[float, float]  # the same after the rotation that brings them nearest
    turn_deg: tuple[float, float]  # of that rotation, likewise
    is_turned: bool  # whether the roots were turned

    def __str__(self) -> str:
        """One line for the user."""
        verdict = "turned" if self.is_turned else "as they are"
        return (
            f"root rotations of {self.fits:,} fits are taken {verdict}: joints are "
            f"{self.as_given[0]:.2f} mm from the annotated ones as given (95 %: "
            f"{self.as_given[1]:.2f}), {self.turned[0]:.2f} mm ({self.turned[1]:.2f}) after the "
            f"best turn, of {self.turn_deg[0]:.2f} degrees ({self.turn_deg[1]:.2f})"
        )


def in_mano_form(rows: AnnotationTable, mano: Mano) -> tuple[AnnotationTable, RootDecision | None]:
    """The same rows with fits as `ManoFit` says, and what was decided of roots in doubt.

    Where the joints that stand with a fit are of another definition, they stay as annotated.
    """
    form = rows.form
    if form == AS_MANO_FIT or not (rows.table["fit_at"].to_numpy() >= 0).any():
        return rows, None
    fits = rows.fits
    pose = torch.from_numpy(fits.hand_pose)
    if form.pose == "flat":
        pose = pose - mano.hands_mean.double()
    elif form.pose == "pca":
        pose = pose @ mano.hands_components.double()
    decision = None
    transl = torch.from_numpy(fits.transl)
    root = torch.from_numpy(fits.global_orient)
    if form.placed == "middle_mcp":
        at = _hands(rows)
        posed = _joints(rows, at, root, pose, mano)  # (M, 21, 3) about MANO's origin
        target = torch.from_numpy(rows.joints.joints[at.joints])
        valid = torch.from_numpy(rows.joints.joint_valid[at.joints])
        if form.root_in_doubt:
            turn, decision = _decide(posed, target, valid)
            if decision.is_turned:
                root = root.clone()
                whole = turn @ axis_angle_to_matrix(root[at.fits])
                root[at.fits] = matrix_to_axis_angle(whole)
                posed = _joints(rows, at, root, pose, mano)
        transl = transl.clone()
        transl[at.fits] -= posed[:, MIDDLE_MCP]
    changed = fits._replace(
        global_orient=root.numpy(), hand_pose=pose.numpy(), transl=transl.numpy()
    )
    return replace(rows, fits=changed, form=AS_MANO_FIT._replace(tips=form.tips)), decision


def with_our_joints(rows: AnnotationTable, mano: Mano) -> AnnotationTable:
    """The same rows with joints by the hand model's own definition, to train on.

    Fingertips, or all joints of a regressor, are the fit's; without a fit they are not valid.
    """
    ours = mano.joint_definition
    if rows.form.tips is None or (ours.regressor is None and rows.form.tips == ours.tips):
        return rows
    changed = np.array(TIPS) if ours.regressor is None else np.arange(21)
    at = _hands(rows)
    root, pose = (torch.from_numpy(p) for p in (rows.fits.global_orient, rows.fits.hand_pose))
    posed = _joints(rows, at, root, pose, mano, of_data_set=False)
    posed = posed + torch.from_numpy(rows.fits.transl)[at.fits, None]
    joints, valid = rows.joints.joints.copy(), rows.joints.joint_valid.copy()
    valid[:, changed] = False
    joints[np.ix_(at.joints, changed)] = posed[:, changed].numpy()
    valid[np.ix_(at.joints, changed)] = True
    form = rows.form._replace(tips=None)
    return replace(rows, joints=HandJoints(joints, valid), form=form)


class _Hands(NamedTuple):
    """Each fit with its joints, once: many photos show one hand."""

    joints: NDArray[np.int64]  # (M,)
    fits: NDArray[np.int64]  # (M,)
    is_left: BoolArray  # (M,)


def _hands(rows: AnnotationTable) -> _Hands:
    joints_at, fit_at = (rows.table[name].to_numpy() for name in ("joints_at", "fit_at"))
    fitted = np.flatnonzero(fit_at >= 0)
    _, first = np.unique(fit_at[fitted], return_index=True)
    own = fitted[first]
    return _Hands(joints_at[own], fit_at[own], rows.is_left()[own])


def _joints(
    rows: AnnotationTable,
    at: _Hands,
    root: Tensor,
    pose: Tensor,
    mano: Mano,
    *,
    of_data_set: bool = True,
) -> Tensor:
    """Joints of these fits about MANO's origin (M, 21, 3) m, the data set's or ours."""
    parts = [torch.zeros(0, 21, 3, dtype=torch.float64)]
    for start in range(0, len(at.fits), FITS_AT_A_TIME):
        some = at.fits[start : start + FITS_AT_A_TIME]
        left = torch.from_numpy(at.is_left[start : start + FITS_AT_A_TIME])
        turned = mirror_axis_angle(root[some], left).float()
        bent = mirror_axis_angle(pose[some].view(-1, 15, 3), left).flatten(1).float()
        betas = torch.from_numpy(rows.fits.betas[some])
        with torch.inference_mode():
            posed = mano(axis_angle_to_matrix(turned), mano.rotations(bent), betas)
            own = posed.joints
            if of_data_set and rows.form.tips is not None:
                own = mano.joints_from(posed.vertices, rows.form.tips)
            parts.append(mirror_points(own, left).double())
    return torch.cat(parts)


def _decide(posed: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, RootDecision]:
    """The turns (M, 3, 3) that bring posed joints nearest to their targets, and the decision.

    Args:
        posed: (M, 21, 3) m.
        target: (M, 21, 3) m, NaN where not known.
        valid: (M, 21).
    """
    known = (valid & target.isfinite().all(-1))[..., None]
    a = torch.where(known, posed - posed[:, [MIDDLE_MCP]], 0.0)
    b = torch.where(known, target - target[:, [MIDDLE_MCP]], 0.0)
    b = torch.nan_to_num(b)
    u, _, vh = torch.linalg.svd(b.mT @ a)
    sign = torch.ones(len(a), 3, dtype=a.dtype)
    sign[:, 2] = torch.linalg.det(u @ vh).sign()
    turn = (u * sign[:, None]) @ vh  # (M, 3, 3)

    def residual(points: Tensor) -> Tensor:
        distance = (points - b).norm(dim=-1) * known[..., 0]
        mean: Tensor = 1000 * distance.sum(1) / known[..., 0].sum(1).clamp(min=1)
        return mean

    given, turned = residual(a), residual(a @ turn.mT)
    angle = matrix_to_axis_angle(turn).norm(dim=-1).rad2deg()
    own = known[..., 0].any(1)

    def quantiles(values: Tensor) -> tuple[float, float]:
        middle, high = torch.quantile(values[own], values.new_tensor([0.5, 0.95])).tolist()
        return middle, high

    before, after = quantiles(given), quantiles(turned)
    is_turned = before[0] > LEAST_MM and after[0] < TURNED_BETTER * before[0]
    return turn, RootDecision(int(own.sum()), before, after, quantiles(angle), is_turned)
