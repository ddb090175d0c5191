"""Errors of imported predictions: those of the evaluation, by the same functions, in float64."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.evaluation import metrics
from handpose.evaluation.protocols import Prediction, Truth, score
from handpose.fitting.joint_order import in_our_order
from handpose.hand.joint_definition import TIP_VERTICES
from handpose.hand.mano import Mano
from handpose.hand.skeleton import WRIST
from handpose.imported.predictions_file import PredictedRows, PredictionsFile
from handpose.imported.readings import in_our_convention, joints_in_our_convention, spread
from handpose.imported.statement import ANNOTATED, Statement
from pipeline.imported.held_out import HeldOut
from pipeline.imported.matching import Matched
from stages.running.progress import Progress


@dataclass(frozen=True)
class ImportedScores:
    """Errors of a file on the N samples of a split; NaN without a row, or without a truth."""

    found: Mapping[str, NDArray[np.float64]]  # (N,) or (N, 21), keys of `protocols.score`
    scored: NDArray[np.bool_]  # (N,) the file has a row

    def __len__(self) -> int:
        """Number of scored samples."""
        return int(self.scored.sum())


def score_file(
    file: PredictionsFile, matched: Matched, held_out: HeldOut, mano: Mano
) -> ImportedScores:
    """Score all matched rows.

    Args:
        file: that `matching.check_statement` accepted.
        matched: its rows.
        held_out: the samples.
        mano: with the data set's joints.

    Raises:
        ImportedError: a row is damaged.
    """
    found: dict[str, NDArray[np.float64]] = {}
    scored = np.zeros(len(held_out), np.bool_)
    progress = Progress("evaluate", len(matched.position), "hands")
    for rows in file.rows():
        keys = list(zip(rows.images, rows.is_left.tolist(), strict=True))
        own = [k for k, key in enumerate(keys) if key in matched.position]
        if not own:
            continue
        position = np.array([matched.position[keys[k]] for k in own])
        for name, values in _score_rows(file, rows, own, position, held_out, mano).items():
            empty = np.full((len(held_out), *values.shape[1:]), np.nan)
            found.setdefault(name, empty)[position] = values.numpy()
        scored[position] = True
        progress.step(len(own))
    return ImportedScores(found, scored)


def _score_rows(
    file: PredictionsFile,
    rows: PredictedRows,
    own: list[int],
    position: NDArray[np.intp],
    held_out: HeldOut,
    mano: Mano,
) -> dict[str, Tensor]:
    """Scores of those rows of a batch that are samples."""
    batch = held_out.batch(position)
    truth = _double(Truth.of(batch, mano))
    points = {name: torch.from_numpy(values[own]) for name, values in rows.points.items()}
    found = score(prediction(points, batch.is_left, file.statement, mano), truth, mano)
    if "joints_2d" in points:
        uv = in_our_order(points["joints_2d"], file.statement.joint_order)
        in_view = to_view(uv, torch.from_numpy(held_out.to_view[position]))
        found["uv_px"] = metrics.uv_error_px(in_view, truth.uv, truth.valid)
    return found


def prediction(
    points: Mapping[str, Tensor], is_left: Tensor, statement: Statement, mano: Mano
) -> Prediction:
    """What is scored of rows of a file, in metres about the wrist.

    Joints of another definition than the data set's are replaced by those of the mesh, if it is
    there.
    """
    joints = joints_in_our_convention(points["joints"], is_left, statement)
    origin = joints[:, [WRIST]]
    if "vertices" not in points:
        return Prediction(joints - origin)
    mesh = in_our_convention(points["vertices"], is_left, statement) - origin
    if not same_definition(statement, mano):
        return Prediction(mano.joints_from(mesh).double(), mesh)
    return Prediction(joints - origin, mesh)


def same_definition(statement: Statement, mano: Mano) -> bool:
    """Whether the stated joints are those that the data set annotates."""
    ours = mano.joint_definition
    stated = statement.joint_definition
    return stated == ANNOTATED or (stated == ours.tips and ours.regressor is None)


def definition_mm(statement: Statement, held_out: HeldOut, mano: Mano) -> float:
    """Wrist-relative MPJPE of the true meshes' joints by the stated definition, against ours.

    NaN where the definition is not known or there is no mesh.
    """
    fitted = np.flatnonzero(held_out.fields["has_mano"])
    if statement.joint_definition not in TIP_VERTICES or not len(fitted):
        return float("nan")
    truth = Truth.of(held_out.batch(fitted[spread(len(fitted)).numpy()]), mano)
    theirs = mano.joints_from(truth.fit_vertices, statement.joint_definition)
    everywhere = torch.ones_like(truth.valid)
    return float(metrics.wrist_mpjpe_mm(theirs, truth.fit_joints, everywhere).mean())


def to_view(uv: Tensor, A: Tensor) -> Tensor:
    """Pixels (B, 21, 2) moved by affine maps A (B, 3, 3)."""
    return uv @ A[:, :2, :2].mT + A[:, None, :2, 2]


def _double(truth: Truth) -> Truth:
    """The same truth in float64, so that differences of metres keep their digits."""
    fields: dict[str, Any] = {
        name: value.double() if value.is_floating_point() else value
        for name, value in vars(truth).items()
    }
    return dataclasses.replace(truth, **fields)
