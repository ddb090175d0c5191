"""Metrics: metres in, millimetres out; the only module that converts them.

Pose functions take tensors on any device and return one number per sample (B,) or per joint (B, J);
NaN marks a sample that cannot be scored (no valid joint, no wrist), for the caller to exclude and
count. Every function names its root, its alignment and the joints it averages: numbers of two
protocols never share a column.
"""

from __future__ import annotations

import torch
from torch import Tensor

from handpose.hand.skeleton import FROM_INTERHAND, JOINTS, MIDDLE_MCP, WRIST, inverse

MM = 1000.0
MIN_PROCRUSTES_POINTS = 3


def distances_mm(points: Tensor, truth: Tensor) -> Tensor:
    """Distance of each point: points, truth (..., N, 3) m -> (..., N) mm."""
    return MM * _length(points - truth)


def _length(vectors: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return length


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last dimension where `mask`; NaN if it is empty: (..., N) -> (...)."""
    total = torch.where(mask, values, 0.0).sum(-1)
    return total / torch.where(mask.any(-1), mask.sum(-1).to(values.dtype), torch.nan)


# --- wrist-relative: protocols (b) and (c) -------------------------------------------------------


def wrist_errors_mm(joints: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Error of each joint with both wrists at the origin, no scaling, no rotation.

    Args:
        joints: (B, 21, 3) m, predicted.
        truth: (B, 21, 3) m, in the same frame.
        valid: (B, 21) bool, joints of the truth to score.

    Returns:
        (B, 21) mm; NaN at the wrist (0 by construction), at joints that are not valid, and
        everywhere when the wrist itself is not valid.
    """
    counts = valid & valid[:, WRIST, None]  # (B, 21)
    counts[:, WRIST] = False
    errors = distances_mm(joints - joints[:, WRIST, None], truth - truth[:, WRIST, None])
    return torch.where(counts, errors, torch.nan)


def wrist_mpjpe_mm(joints: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Wrist-relative MPJPE: mean over the valid joints among the 20 other than the wrist.

    The official InterHand2.6M figure averages 21 with the wrist's zero, so it is 20/21 of this.

    Args:
        joints: (B, 21, 3) m, predicted.
        truth: (B, 21, 3) m.
        valid: (B, 21) bool.

    Returns:
        (B,) mm; NaN where the wrist or every other joint is not valid.
    """
    return wrist_errors_mm(joints, truth, valid).nanmean(-1)


def wrist_mpvpe_mm(vertices: Tensor, truth: Tensor, wrist: Tensor, true_wrist: Tensor) -> Tensor:
    """Wrist-relative MPVPE: vertices, truth (B, 778, 3) m, both wrists (B, 3) m -> (B,) mm."""
    return distances_mm(vertices - wrist[:, None], truth - true_wrist[:, None]).mean(-1)


# --- Table 2's alignment: protocol (a) -----------------------------------------------------------


def table2_align(points: Tensor, joints: Tensor, true_joints: Tensor) -> Tensor:
    """Predicted points with the middle MCP at 0, scaled to the true wrist-to-middle-MCP bone.

    Rotation is not aligned. A truth without such a bone (the zero dummy of a missing fit) would
    shrink every prediction to a point and score 0; here it gives NaN.

    Args:
        points: (B, N, 3) m, joints or vertices of the prediction.
        joints: (B, 21, 3) m of the prediction, regressed with the intaghand fingertips.
        true_joints: (B, 21, 3) m of the truth, likewise.

    Returns:
        (B, N, 3) m.

    Source: EANet, data/InterHand26M/InterHand26M.py `evaluate`, which follows IntagHand.
    """
    bone = _length(joints[:, MIDDLE_MCP] - joints[:, WRIST])  # (B,)
    true_bone = _length(true_joints[:, MIDDLE_MCP] - true_joints[:, WRIST])
    scale = torch.where(true_bone > 0, true_bone / bone, torch.nan)
    return (points - joints[:, [MIDDLE_MCP]]) * scale[:, None, None]


def table2_errors_mm(joints: Tensor, true_joints: Tensor) -> Tensor:
    """Error of each joint under Table 2's alignment: (B, 21, 3) m twice -> (B, 21) mm.

    The middle MCP is 0 by construction.
    """
    truth = true_joints - true_joints[:, [MIDDLE_MCP]]
    return distances_mm(table2_align(joints, joints, true_joints), truth)


def table2_mpjpe_mm(joints: Tensor, true_joints: Tensor) -> Tensor:
    """The corrected average: mean over the 20 non-root joints, (B, 21, 3) m -> (B,) mm."""
    errors = table2_errors_mm(joints, true_joints)
    return errors[:, [j for j in range(len(JOINTS)) if j != MIDDLE_MCP]].mean(-1)


def table2_mpvpe_mm(
    vertices: Tensor, true_vertices: Tensor, joints: Tensor, true_joints: Tensor
) -> Tensor:
    """MPVPE under Table 2's alignment: meshes (B, 778, 3), joints (B, 21, 3) m -> (B,) mm."""
    truth = true_vertices - true_joints[:, [MIDDLE_MCP]]
    return distances_mm(table2_align(vertices, joints, true_joints), truth).mean(-1)


def published_totals(errors_mm: Tensor, valid: Tensor, is_left: Tensor) -> Tensor:
    """Sums and counts per joint slot, which `published_mpjpe_mm` averages.

    There are 42 slots, 21 per hand, as in EANet's evaluator. The mask follows it too: it is in
    InterHand's joint order (tips first) but applied to errors in wrist-first order, which matters
    for partly hidden hands only. Unlike there, a sample without a fit (NaN errors) is not counted.

    Args:
        errors_mm: (B, 21) of `table2_errors_mm`.
        valid: (B, 21) bool, in this project's order.
        is_left: (B,) bool.

    Returns:
        (B, 84): 42 sums, then 42 counts; additive over samples.
    """
    order = torch.from_numpy(inverse(FROM_INTERHAND)).to(valid.device)
    mask = valid[:, order] & valid[:, [WRIST]] & ~errors_mm.isnan()  # (B, 21)
    slots = torch.stack([mask & ~is_left[:, None], mask & is_left[:, None]], 1)  # (B, 2, 21)
    sums = torch.where(slots, errors_mm[:, None], 0.0)
    return torch.cat([sums.flatten(1), slots.flatten(1).to(errors_mm.dtype)], 1)


def published_mpjpe_mm(totals: Tensor) -> Tensor:
    """Mean of the slot means over both hands: totals (..., 84) -> (...) mm.

    Empty slots are excluded; EANet's function would return NaN for them.
    """
    sums, counts = totals[..., :42], totals[..., 42:]
    return torch.where(counts > 0, sums / counts.clamp(min=1), torch.nan).nanmean(-1)


# --- Procrustes: protocol (d) --------------------------------------------------------------------


def procrustes_align(points: Tensor, truth: Tensor, valid: Tensor | None = None) -> Tensor:
    """Points aligned to the truth by the optimal similarity transform, without reflection.

    A mirrored hand remains wrong.

    Args:
        points: (B, N, 3) m.
        truth: (B, N, 3) m.
        valid: (B, N) bool, the points used for the alignment; all by default.

    Returns:
        (B, N, 3) m; NaN where fewer than three points are valid.

    Source: Umeyama (1991), eq. 34-42.
    """
    weight = None if valid is None else valid[..., None].to(points)  # (B, N, 1)

    def weighted(values: Tensor) -> Tensor:
        return values if weight is None else weight * values

    everything = torch.ones_like(points[..., :1]) if weight is None else weight
    count = everything.sum(1, keepdim=True)  # (B, 1, 1)
    count = torch.where(count >= MIN_PROCRUSTES_POINTS, count, torch.nan)
    mean, true_mean = (weighted(p).sum(1, keepdim=True) / count for p in (points, truth))
    centred, true_centred = points - mean, truth - true_mean

    covariance = weighted(true_centred).mT @ centred  # (B, 3, 3)
    scored = covariance.isfinite().all(-1).all(-1)[:, None, None]
    u, stretch, vh = torch.linalg.svd(torch.where(scored, covariance, 0.0))
    no_flip = torch.ones_like(stretch)  # (B, 3)
    x, y, z = (u @ vh).unbind(1)
    no_flip[:, 2] = (torch.linalg.cross(x, y) * z).sum(-1).sign()  # of the determinant
    rotation = (u * no_flip[:, None]) @ vh  # (B, 3, 3)
    spread = weighted(centred.square()).sum((1, 2), keepdim=True)  # (B, 1, 1)
    scale = (stretch * no_flip).sum(-1)[:, None, None] / spread.clamp(min=1e-12)
    aligned: Tensor = scale * centred @ rotation.mT + true_mean
    return aligned


def pa_errors_mm(points: Tensor, truth: Tensor, valid: Tensor | None = None) -> Tensor:
    """Error of each point after `procrustes_align`: (B, N, 3) m twice -> (B, N) mm.

    NaN at points that are not valid, and everywhere when fewer than three are.
    """
    errors = distances_mm(procrustes_align(points, truth, valid), truth)
    return errors if valid is None else torch.where(valid, errors, torch.nan)


def pa_mpjpe_mm(joints: Tensor, truth: Tensor, valid: Tensor | None = None) -> Tensor:
    """PA-MPJPE: mean over all (valid) joints, including the wrist; NaN below three.

    Args:
        joints: (B, 21, 3) m, predicted.
        truth: (B, 21, 3) m.
        valid: (B, 21) bool; all by default.

    Returns:
        (B,) mm. With meshes (B, 778, 3) instead of joints it is PA-MPVPE.
    """
    return pa_errors_mm(joints, truth, valid).nanmean(-1)


# --- curves, pixels, classes ---------------------------------------------------------------------


def pck_totals(errors_mm: Tensor, thresholds_mm: Tensor) -> Tensor:
    """Number of errors up to each threshold, then of all: any shape, (T,) rising -> (T + 1,).

    NaN errors are not counted. Additive over samples, like `published_totals`.
    """
    scored = errors_mm[~errors_mm.isnan()]
    first = torch.searchsorted(thresholds_mm.to(scored), scored)  # threshold that is no smaller
    near = torch.bincount(first, minlength=len(thresholds_mm) + 1)[:-1].cumsum(0)  # (T,)
    return torch.cat([near, near.new_tensor([len(scored)])]).double()


def pck(totals: Tensor) -> Tensor:
    """Share of correct keypoints as a curve over the thresholds: (..., T+1) -> (..., T)."""
    return totals[..., :-1] / totals[..., -1:]


def auc(curve: Tensor) -> Tensor:
    """Area under a curve over evenly spaced thresholds, at most 1: (..., T) -> (...)."""
    return torch.trapezoid(curve, dx=1 / (curve.shape[-1] - 1), dim=-1)


def uv_error_px(uv: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Mean distance in the image over valid joints: (B, 21, 2) px twice, (B, 21) -> (B,) px."""
    return masked_mean(_length(uv - truth), valid)


def confusion(actual: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Confusion matrix, actual class by row: (N,) ids twice -> (classes, classes) int64."""
    return torch.bincount(actual * classes + predicted, minlength=classes**2).view(classes, -1)


def macro_f1(matrix: Tensor) -> Tensor:
    """Mean F1 over the classes present in the truth: confusion matrices (..., C, C) -> (...)."""
    hits = matrix.diagonal(dim1=-2, dim2=-1).double()  # (..., C)
    actual, predicted = matrix.sum(-1), matrix.sum(-2)
    return masked_mean(2 * hits / (actual + predicted).clamp(min=1), actual > 0)
