"""Evaluation protocols, and the scores of a prediction under all of them.

Each column has its own root, alignment and ground truth, defined here once for every table. There
are two ground truths: the annotated joints (`joint_3d`), and the MANO fit with its mesh. On real
data they are about 5 mm apart. Frames without a fit have no value in the fit's columns.

Joints of a mesh are by the data set's definition (`Mano.joint_definition`), as the annotation's
are; Table 2 alone takes MANO's regressor and IntagHand's fingertips, as its evaluator does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from handpose.errors import HandPoseError
from handpose.evaluation import metrics
from handpose.evaluation.f_score import f_scores
from handpose.hand.camera import back_project, project
from handpose.hand.mano import Mano
from handpose.hand.skeleton import WRIST
from handpose.sample import HandBatch, PoseOutput

F_THRESHOLDS_MM = (5.0, 15.0)


class ProtocolError(HandPoseError):
    """A prediction cannot be scored."""


class Column(NamedTuple):
    """One metric per sample, and its definition."""

    key: str
    name: str
    unit: str
    protocol: str
    better: str = "lower"


COLUMNS = (
    Column(
        "wrist_mpjpe_mm",
        "MPJPE, wrist-relative",
        "mm",
        "(b) wrists together, no scaling or turning; annotated joints; valid ones of 20",
    ),
    Column(
        "wrist_fit_mpjpe_mm",
        "MPJPE to the fit",
        "mm",
        "(c) wrists together, no scaling or turning; joints of the MANO fit; 20 joints",
    ),
    Column(
        "wrist_fit_mpvpe_mm",
        "MPVPE to the fit",
        "mm",
        "(c) wrists together, no scaling or turning; mesh of the MANO fit; 778 vertices",
    ),
    Column(
        "pa_mpjpe_mm",
        "PA-MPJPE",
        "mm",
        "(d) moved, turned and scaled to lie best; joints of the MANO fit; 21 joints",
    ),
    Column(
        "pa_mpvpe_mm",
        "PA-MPVPE",
        "mm",
        "(d) moved, turned and scaled to lie best; mesh of the MANO fit; 778 vertices",
    ),
    Column(
        "table2_mpjpe_mm",
        "MPJPE, Table 2 corrected",
        "mm",
        "(a) middle MCPs together, scaled to the true wrist-MCP bone; joints regressed from mesh "
        "and the fit; plain mean over 20 joints and samples",
    ),
    Column(
        "table2_mpvpe_mm",
        "MPVPE, Table 2",
        "mm",
        "(a) the same alignment; 778 vertices, plain mean over samples",
    ),
    Column("f5", "F@5 mm", "", "(d) share of the mesh within 5 mm after PA", "higher"),
    Column("f15", "F@15 mm", "", "(d) share of the mesh within 15 mm after PA", "higher"),
    Column(
        "uv_px",
        "2D error",
        "px",
        "volume's joints in the image; annotated joints, valid ones of 21; pixels of the crop",
    ),
    Column(
        "volume_mpjpe_mm",
        "MPJPE of the volume",
        "mm",
        "(b) but the volume's joints, their depths less the wrist's own, placed by the true depth "
        "of the wrist",
    ),
)
"""All columns that are means over samples. `PUBLISHED` and the AUC of PCK are not."""

PUBLISHED = Column(
    "table2_published_mpjpe_mm",
    "MPJPE, Table 2 as published",
    "mm",
    "(a) as EANet's evaluator averages: mean over samples in each of 42 joint slots, mean over "
    "slots, the root's zero among them; frames without a fit left out",
)


@dataclass(frozen=True)
class Truth:
    """Ground truth of a batch, in the frame of its labels, not mirrored."""

    joints: Tensor  # (B, 21, 3) m, camera; 0 where not valid
    valid: Tensor  # (B, 21) bool
    uv: Tensor  # (B, 21, 2) px; NaN where not valid
    K: Tensor  # (B, 3, 3) px
    fit_joints: Tensor  # (B, 21, 3) m, of the MANO fit, wrist at 0; NaN without one
    fit_vertices: Tensor  # (B, 778, 3) m, same origin

    @classmethod
    def of(cls, batch: HandBatch, mano: Mano) -> Truth:
        """Ground truth of this batch; a missing fit becomes NaN, so that zeros are not scored."""
        fit = mano.hand(batch.global_orient, batch.hand_pose, batch.betas, batch.is_left)
        has = batch.has_mano[:, None, None]
        valid = batch.joint_valid
        on_axis = batch.K[:, None, 2]  # (B, 1, 3): no division by 0
        in_front = torch.where(valid[..., None], batch.joints_cam, on_axis)
        uv = project(in_front, batch.K)
        return cls(
            joints=batch.joints_cam,
            valid=valid,
            uv=torch.where(valid[..., None], uv, torch.nan),
            K=batch.K,
            fit_joints=torch.where(has, fit.joints, torch.nan),
            fit_vertices=torch.where(has, fit.vertices, torch.nan),
        )


@dataclass(frozen=True)
class Prediction:
    """A prediction for a batch, in axes of its labels' frame, not mirrored, about any origin."""

    joints: Tensor  # (B, 21, 3) m
    vertices: Tensor | None = None  # (B, 778, 3) m, same origin; None when there is no mesh
    uv: Tensor | None = None  # (B, 21, 2) px of the crop
    depth_rel: Tensor | None = None  # (B, 21) m, of the volume

    @classmethod
    def of(cls, output: PoseOutput) -> Prediction:
        """The prediction of the network."""
        return cls(output.joints, output.vertices, output.uv, output.depth_rel)

    def not_finite(self) -> dict[str, Tensor]:
        """Number of values that are not finite, by field, (1,) each: on the device, unread."""
        there = {name: tensor for name, tensor in vars(self).items() if tensor is not None}
        return {name: (~tensor.isfinite()).sum()[None] for name, tensor in there.items()}


def require_finite(not_finite: Mapping[str, int]) -> None:
    """Refuse predictions of which these numbers of values, by field, are not finite.

    Raises:
        ProtocolError: a number is not 0; NaN would mean "no ground truth".
    """
    for name, count in not_finite.items():
        if count:
            raise ProtocolError(
                f"predicted {name} are not finite in {count} values: the model diverged or its "
                "weights are damaged; train it again"
            )


def score(prediction: Prediction, truth: Truth, mano: Mano) -> dict[str, Tensor]:
    """Score a prediction under every applicable protocol.

    Returns:
        (B,) for each key of `COLUMNS` (keys of a missing mesh or volume are absent), NaN where a
        sample has no such ground truth; and (B, 21) for averages that are not means of
        samples: `joint_errors_mm`, `pa_joint_errors_mm` and `table2_joint_errors_mm`.

    Raises:
        ProtocolError: the prediction is not finite; NaN would mean "no ground truth".
    """
    require_finite({name: int(count) for name, count in prediction.not_finite().items()})
    return finite_scores(prediction, truth, mano)


def finite_scores(prediction: Prediction, truth: Truth, mano: Mano) -> dict[str, Tensor]:
    """As `score`, of a prediction that is known to be finite, or is checked later.

    On a GPU the check waits for the prediction.
    """
    # without a mesh, the joints cannot be regressed with other fingertips and are used as they are
    mesh = prediction.vertices
    joints = prediction.joints if mesh is None else mano.joints_from(mesh, "intaghand")
    table2 = joints, mano.joints_from(truth.fit_vertices, "intaghand")
    return {
        **_to_annotation(prediction, truth),
        **_to_fit(prediction, truth, table2),
        **({} if mesh is None else _mesh(mesh, truth, table2, mano)),
        **({} if prediction.uv is None else _volume(prediction, truth)),
    }


def joint_scores(joints: Tensor, truth: Truth) -> dict[str, Tensor]:
    """Only `wrist_mpjpe_mm` and `pa_mpjpe_mm` of joints (B, 21, 3): (B,) each, as in `score`."""
    return {
        "wrist_mpjpe_mm": metrics.wrist_mpjpe_mm(joints, truth.joints, truth.valid),
        "pa_mpjpe_mm": metrics.pa_errors_mm(joints, truth.fit_joints).mean(-1),
    }


def _to_annotation(prediction: Prediction, truth: Truth) -> dict[str, Tensor]:
    errors = metrics.wrist_errors_mm(prediction.joints, truth.joints, truth.valid)  # (B, 21)
    return {"joint_errors_mm": errors, "wrist_mpjpe_mm": errors.nanmean(-1)}


def _to_fit(
    prediction: Prediction, truth: Truth, table2: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    """`table2`: joints of the prediction and of the truth, for Table 2."""
    joints, fit = prediction.joints, truth.fit_joints
    everywhere = torch.ones_like(truth.valid)
    pa_errors = metrics.pa_errors_mm(joints, fit)  # (B, 21)
    return {
        "wrist_fit_mpjpe_mm": metrics.wrist_mpjpe_mm(joints, fit, everywhere),
        "pa_joint_errors_mm": pa_errors,
        "pa_mpjpe_mm": pa_errors.mean(-1),
        "table2_mpjpe_mm": metrics.table2_mpjpe_mm(*table2),
        "table2_joint_errors_mm": metrics.table2_errors_mm(*table2),
    }


def _mesh(
    vertices: Tensor, truth: Truth, table2: tuple[Tensor, Tensor], mano: Mano
) -> dict[str, Tensor]:
    fit = truth.fit_vertices
    wrist, fit_wrist = (mano.joints_from(mesh)[:, WRIST] for mesh in (vertices, fit))
    aligned = metrics.procrustes_align(vertices, fit)
    shares = f_scores(aligned, fit, F_THRESHOLDS_MM)  # (B, 2)
    return {
        "wrist_fit_mpvpe_mm": metrics.wrist_mpvpe_mm(vertices, fit, wrist, fit_wrist),
        "pa_mpvpe_mm": metrics.distances_mm(aligned, fit).mean(-1),
        "table2_mpvpe_mm": metrics.table2_mpvpe_mm(vertices, fit, *table2),
        "f5": shares[:, 0],
        "f15": shares[:, 1],
    }


def _volume(prediction: Prediction, truth: Truth) -> dict[str, Tensor]:
    uv, depth_rel = prediction.uv, prediction.depth_rel
    if uv is None or depth_rel is None:
        return {}
    depth = depth_rel - depth_rel[:, [WRIST]] + truth.joints[:, [WRIST], 2]  # (B, 21)
    points = back_project(uv, depth, truth.K)  # (B, 21, 3)
    return {
        "uv_px": metrics.uv_error_px(uv, truth.uv, truth.valid),
        "volume_mpjpe_mm": metrics.wrist_mpjpe_mm(points, truth.joints, truth.valid),
    }
