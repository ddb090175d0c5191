"""The charts and pictures of an evaluation, from its scores; and the numbers behind each chart."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from handpose.evaluation import draw, plots
from handpose.evaluation.scores import STAGE_1, UNTRAINED, Scores
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.hand.skeleton import WRIST
from handpose.nets.pose_net import PoseNet
from handpose.sample import UNLABELLED, HandBatch
from stages.evaluation.findings import Evaluation
from stages.evaluation.summary import (
    FULL,
    MODELS,
    RUNS,
    SCRATCH,
    Classes,
    Intervals,
    confusion,
    pck_totals,
)

ALIGNMENTS = {"joint_errors_mm": "wrists together", "pa_joint_errors_mm": "after Procrustes"}
MAP_GROUPS = 8
PICTURE_PX = 288
"""Side of a picture on the sheets, about; a crop is enlarged a whole number of times."""

Rows = list[dict[str, Any]]


class Chart(NamedTuple):
    """A chart and its numbers."""

    figure: Figure
    rows: Rows


def pck_chart(scores: Scores, subjects: NDArray[Any], how: Intervals) -> Chart:
    """PCK curves of every run and baseline, wrist-relative and after Procrustes."""
    panels: dict[str, dict[str, plots.Line]] = {}
    rows: Rows = []
    for source, title in ALIGNMENTS.items():
        panels[title] = {}
        for model, name in MODELS.items():
            totals = pck_totals(scores.pose[model][source], subjects)
            if not len(totals):
                continue
            line = panels[title][name] = how.line(totals)
            rows += [
                {
                    "alignment": title,
                    "model": name,
                    "threshold_mm": float(x),
                    "pck": y,
                    "low": low,
                    "high": high,
                }
                for x, y, low, high in zip(*line, strict=True)
            ]
    note = "bands: 95 % intervals over people"
    return Chart(plots.pck_figure(panels, note), rows)


def confusion_chart(scores: Scores, classes: Classes) -> Chart:
    """Stage 1's confusions of the coarse classes, and one row per sample: actual, predicted."""
    truth, said = scores.classes["coarse"], scores.said[STAGE_1]["coarse"]
    known = truth != UNLABELLED
    matrix = confusion(truth[known], said[known], len(classes.coarse))
    sides = sorted(set(classes.hands), reverse=True)  # right, left
    order = sorted(range(len(classes.coarse)), key=lambda k: (sides.index(classes.hands[k]), k))
    names = [classes.coarse[k] for k in order]
    blocks = [f"{classes.hands[k]} hands" for k in order]
    figure = plots.confusion_figure(
        matrix[np.ix_(order, order)], names, blocks=blocks if len(sides) > 1 else ()
    )
    whole = [f"{classes.hands[k]} {classes.coarse[k]}" for k in range(len(classes.coarse))]
    rows = [
        {"actual": whole[a], "predicted": whole[b]}
        for a, b in zip(truth[known], said[known], strict=True)
    ]
    return Chart(figure, rows)


def map_chart(
    places: Mapping[str, NDArray[Any]],
    gestures: Sequence[str],
    hands: Sequence[str],
    evaluation: Evaluation,
) -> Chart:
    """The t-SNE maps of both encoders; the most frequent gestures are coloured.

    Args:
        places: (N, 2) by encoder.
        gestures: coarse names of these samples.
        hands: right or left.
        evaluation: has the numbers of the titles.
    """
    shown = [name for name, _ in Counter(sorted(gestures)).most_common(MAP_GROUPS)]
    titles = {STAGE_1: "after Stage 1", UNTRAINED: "before Stage 1"}
    panels = {}
    for key, place in places.items():
        encoder = evaluation.encoders[key]
        panels[
            f"{titles[key]}: {100 * encoder.purity.value:.0f} % of 10 neighbours alike, "
            f"silhouette {encoder.silhouette:+.2f}"
        ] = place
    note = (
        "triangles point left for left hands and right for right hands; neighbours are counted in "
        f"feature space among other people's images, {100 * evaluation.purity_by_chance:.0f} % "
        "would be alike by chance"
    )
    rows = [
        {"encoder": key, "gesture": gesture, "hand": hand, "x": float(x), "y": float(y)}
        for key, place in places.items()
        for (x, y), gesture, hand in zip(place, gestures, hands, strict=True)
    ]
    return Chart(plots.map_figure(panels, gestures, shown, hands, note), rows)


def training_chart(curves: Mapping[str, Path]) -> Figure:
    """Losses and validation metrics of `pretrain` and of both runs, from their curves.csv."""
    columns = {name: _read_curves(path) for name, path in curves.items()}
    first = columns.pop("pretrain")
    panels: dict[str, dict[str, tuple[NDArray[Any], NDArray[Any]]]] = {
        "Stage 1: training loss": {"Stage 1": _curve(first, "loss")},
        "Stage 1: validation accuracy": {
            "coarse": _curve(first, "validation_coarse_accuracy"),
            "fine": _curve(first, "validation_fine_accuracy"),
        },
    }
    for title, key in (
        ("Stage 2: training loss", "loss"),
        ("Stage 2: validation MPJPE, wrist-relative, mm", "validation_mpjpe_mm"),
        ("Stage 2: validation PA-MPJPE, mm", "validation_pa_annotated_mpjpe_mm"),
    ):
        panels[title] = {MODELS[run]: _curve(found, key) for run, found in columns.items()}
    panels["learning rate"] = {
        "Stage 1": _curve(first, "lr"),
        **{MODELS[run]: _curve(found, "lr") for run, found in columns.items()},
    }
    return plots.training_figure(panels)


def _read_curves(path: Path) -> dict[str, NDArray[np.float64]]:
    """The columns of a curves.csv; empty cells are NaN."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}


def last_step(path: Path) -> int:
    """Gradient steps of a run, from its curves.csv."""
    return int(_read_curves(path)["step"][-1])


def _curve(columns: Mapping[str, NDArray[Any]], key: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Epochs (fractions within one) and values where the column has any."""
    per_epoch = columns["step"][-1] / columns["epoch"][-1]
    there = ~np.isnan(columns[key])
    return columns["step"][there] / per_epoch, columns[key][there]


# --- pictures ------------------------------------------------------------------------------------


class Ranked(NamedTuple):
    """A test sample to be shown."""

    position: int  # in the split
    heading: str
    guess: str  # what Stage 1 takes it for


def ranked(errors: NDArray[Any], count: int) -> dict[str, list[int]]:
    """Positions of the best, the middle and the worst samples; those without an error are none."""
    order = np.argsort(errors)[: int((~np.isnan(errors)).sum())]
    count = min(count, len(order))
    middle = max(0, len(order) // 2 - count // 2)
    return {
        "best": order[:count].tolist(),
        "median": order[middle : middle + count].tolist(),
        "worst": order[len(order) - count :][::-1].tolist(),
    }


def sheet(
    chosen: Sequence[Ranked],
    fetch: Callable[[int], HandBatch],
    scores: Scores,
    nets: Mapping[str, PoseNet],
    mano: Mano,
) -> Figure:
    """Photo, truth, both runs' meshes and a side view of each sample.

    Args:
        chosen: the samples, top to bottom.
        fetch: position -> a batch of that one sample, on the networks' device.
        scores: of the split; for the captions.
        nets: Stage 2's runs by name.
        mano: for the mesh of the fit.
    """
    rows = [_sheet_row(one, fetch(one.position), scores, nets, mano) for one in chosen]
    titles = ["photo", "truth", *(MODELS[run] for run in RUNS), "from the side"]
    note = (
        "errors: wrist-relative MPJPE of the full model and of the one without pretraining; "
        "side view: green the truth, blue the full model"
    )
    return plots.sheet_figure(rows, titles, note)


@torch.no_grad()
def _sheet_row(
    one: Ranked, batch: HandBatch, scores: Scores, nets: Mapping[str, PoseNet], mano: Mano
) -> plots.Row:
    faces, is_left = mano.faces.cpu().numpy(), bool(batch.is_left[0])
    photo = batch.image[0].permute(1, 2, 0).cpu().numpy()  # (S, S, 3)
    zoom = max(1, PICTURE_PX // photo.shape[0])
    photo, K = draw.enlarge(photo, zoom), draw.enlarge_camera(_array(batch.K), zoom)
    joints = _array(batch.joints_cam)  # (21, 3)
    valid = batch.joint_valid[0].cpu().numpy()

    if batch.has_mano[0]:
        fit = mano.hand(batch.global_orient, batch.hand_pose, batch.betas, batch.is_left)
        mesh = _array(fit.vertices) + joints[WRIST]
        truth = draw.draw_mesh(photo, mesh, faces, K, colour=draw.TRUTH, is_left=is_left)
    else:
        truth = draw.draw_skeleton(photo, project(joints, K), colour=draw.TRUTH, valid=valid)

    pictures, captions = [photo, truth], [f"taken for {one.guess}", ""]
    outputs = {run: nets[run](batch.image, batch.is_left) for run in RUNS}
    for run, colour in ((FULL, draw.MODEL), (SCRATCH, draw.CONTROL)):
        origin = joints[WRIST] - _array(outputs[run].joints)[WRIST]
        mesh = _array(outputs[run].vertices) + origin
        pictures.append(draw.draw_mesh(photo, mesh, faces, K, colour=colour, is_left=is_left))
        captions.append(f"{scores.pose[run]['wrist_mpjpe_mm'][one.position]:.1f} mm")

    predicted = _array(outputs[FULL].joints)
    predicted = predicted - predicted[WRIST] + joints[WRIST]
    pictures.append(_side_view(joints, valid, predicted, photo.shape[0]))
    captions.append(f"after PA {scores.pose[FULL]['pa_mpjpe_mm'][one.position]:.1f} mm")
    return plots.Row(one.heading, pictures, captions)


def _side_view(
    joints: NDArray[Any], valid: NDArray[np.bool_], predicted: NDArray[Any], side: int
) -> draw.Image:
    """Both skeletons seen from the side, where errors in depth show."""
    R, t, K = draw.side_camera(np.concatenate([joints[valid], predicted]), side)
    picture = draw.draw_skeleton(
        draw.plain(side), project(joints @ R.T + t, K), colour=draw.TRUTH, valid=valid
    )
    return draw.draw_skeleton(picture, project(predicted @ R.T + t, K), colour=draw.MODEL)


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    """The one sample of a batch as float64."""
    return np.asarray(tensor[0].double().cpu().numpy())
