"""The scores of the benchmarks' own evaluators, number by number, with a value for each hand.

FreiHAND's and HO-3D's `eval.py` and DexYCB's `hpe_eval.py` average over hands for each joint, then
over joints. All joints are there, so that is the mean over hands of a hand's own value, which can
be resampled; the areas under curves are means of hands' areas likewise. In float64 they agree with
the evaluators to rounding.

Differences from `metrics.py`, each as published: Procrustes may reflect; the wrist counts in means;
thresholds of an area are 100 from 0 to 50 mm, reached by an error that equals them, and of an
F-score are not.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from handpose.hand.skeleton import MIDDLE_MCP, WRIST

Floats: TypeAlias = NDArray[np.float64]

MM = 1000.0
STEPS = 100
THRESHOLDS_M = np.linspace(0.0, 0.05, STEPS)
F_THRESHOLDS_M = {"f5": 0.005, "f15": 0.015}


class OfficialColumn(NamedTuple):
    """One score, and how points are aligned for it."""

    key: str
    name: str
    unit: str
    protocol: str


COLUMNS = tuple(
    OfficialColumn(f"{key}_{measure}", f"{name}, {what}", unit, alignment)
    for key, what, alignment in (
        ("xyz", "as they are", "joints where the file puts them in the camera's frame"),
        ("xyz_root", "root-relative", "joints, wrists together"),
        ("xyz_scale", "scale and root", "joints, wrists together, wrist-middle-MCP bone alike"),
        ("xyz_pa", "Procrustes", "joints moved, turned, scaled, reflected to lie best"),
        ("mesh", "as they are", "vertices where the file puts them"),
        ("mesh_pa", "Procrustes", "vertices moved, turned, scaled, reflected to lie best"),
    )
    for measure, name, unit in (
        ("mm", "MPJPE" if key.startswith("xyz") else "MPVPE", "mm"),
        ("auc", "AUC to 50 mm" if key.startswith("xyz") else "mesh AUC to 50 mm", ""),
    )
) + tuple(
    OfficialColumn(f"{key}{suffix}", f"F@{key[1:]} mm, {what}", "", alignment)
    for suffix, what, alignment in (
        ("", "as they are", "share of the mesh within this distance"),
        ("_pa", "Procrustes", "share of the aligned mesh within this distance"),
    )
    for key in F_THRESHOLDS_M
)


def official_scores(
    joints: Floats, truth: Floats, vertices: Floats | None = None, mesh: Floats | None = None
) -> dict[str, Floats]:
    """Scores of N hands, (N,) for each key of `COLUMNS`; those of meshes if both are there.

    Args:
        joints: (N, 21, 3) m in our order, predicted.
        truth: (N, 21, 3) m.
        vertices: (N, 778, 3) m, predicted.
        mesh: (N, 778, 3) m, of the truth.

    Source: lmb-freiburg/freihand and shreyashampali/ho3d `eval.py`, dex-ycb-toolkit `hpe_eval.py`.
    """
    aligned = {
        "xyz": (joints, truth),
        "xyz_root": (_rooted(joints), _rooted(truth)),
        "xyz_scale": (bone_aligned(joints, truth), truth),
        "xyz_pa": (procrustes(joints, truth), truth),
    }
    if vertices is not None and mesh is not None:
        aligned |= {"mesh": (vertices, mesh), "mesh_pa": (procrustes(vertices, mesh), mesh)}
    found: dict[str, Floats] = {}
    for key, (points, target) in aligned.items():
        errors = np.linalg.norm(points - target, axis=-1)  # (N, P) m
        found[f"{key}_mm"] = MM * errors.mean(1)
        found[f"{key}_auc"] = areas(errors).mean(1)
        if key.startswith("mesh"):
            suffix = key.removeprefix("mesh")
            shares = f_scores_of(points, target)
            found |= {f"{name}{suffix}": values for name, values in shares.items()}
    return found


def procrustes(points: Floats, truth: Floats) -> Floats:
    """Points (N, P, 3) moved, scaled, turned and, if that is nearer, reflected onto the truth.

    The published evaluators allow the reflection; `metrics.procrustes_align` does not.
    """
    middle, target = points.mean(1, keepdims=True), truth.mean(1, keepdims=True)
    a, b = points - middle, truth - target
    tiny = 1e-8  # as published
    a = a / (np.linalg.norm(a, axis=(1, 2), keepdims=True) + tiny)
    size = np.linalg.norm(b, axis=(1, 2), keepdims=True) + tiny
    u, stretch, vt = np.linalg.svd((b / size).swapaxes(1, 2) @ a)
    turned = a @ (u @ vt).swapaxes(1, 2)
    return np.asarray(turned * stretch.sum(1)[:, None, None] * size + target)


def bone_aligned(joints: Floats, truth: Floats) -> Floats:
    """Joints (N, 21, 3) with the true wrist and the true length from wrist to middle MCP."""
    bone, true_bone = (
        np.linalg.norm(p[:, MIDDLE_MCP] - p[:, WRIST], axis=-1)[:, None, None]
        for p in (joints, truth)
    )
    scale = np.where(bone > 0, true_bone / np.where(bone > 0, bone, 1.0), true_bone)
    return np.asarray(scale * _rooted(joints) + truth[:, [WRIST]])


def areas(errors: Floats) -> Floats:
    """Area under each error's own curve of being reached, any shape, m -> 0 to 1."""
    first = np.searchsorted(THRESHOLDS_M, errors)  # the first threshold that reaches it
    last = STEPS - 1
    whole = np.where(first == 0, last, last - first + 0.5)  # trapezoids: half of the one that rises
    return np.asarray(np.where(first > last, 0.0, whole / last))


def curve(errors: Floats) -> Floats:
    """Share of errors, of any shape, up to each of `THRESHOLDS_M`: PCK (100,)."""
    return np.searchsorted(np.sort(errors, axis=None), THRESHOLDS_M, side="right") / errors.size


def f_scores_of(points: Floats, truth: Floats) -> dict[str, Floats]:
    """F-scores of point clouds (N, P, 3) and (N, Q, 3) m, (N,) by key of `F_THRESHOLDS_M`."""
    found = {key: np.zeros(len(points)) for key in F_THRESHOLDS_M}
    for k, (own, true) in enumerate(zip(points, truth, strict=True)):
        reached, reach = cKDTree(own).query(true)[0], cKDTree(true).query(own)[0]
        for key, limit in F_THRESHOLDS_M.items():
            precision, recall = float((reached < limit).mean()), float((reach < limit).mean())
            if precision + recall > 0:
                found[key][k] = 2 * precision * recall / (precision + recall)
    return found


def _rooted(joints: Floats) -> Floats:
    return joints - joints[:, [WRIST]]
