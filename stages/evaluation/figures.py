"""Charts and pictures of an evaluation, and the data behind each chart."""

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
from handpose.nets.network_by_name import PoseNetwork
from handpose.render.tiles import Style, Tile, draw_page
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
SHEET_PX = 256
STRIP_PX = 164
"""Size of a picture on the sheets, and in the strip, which is 1600 px wide."""
PICTURE_PX = 288
"""Approximate side of an overlay; crops are enlarged by an integer factor."""

STAGE_1_PANELS = {
    "Stage 1: validation accuracy": {
        "coarse": "validation_coarse_accuracy",
        "fine": "validation_fine_accuracy",
        "views told apart": "validation_instance_accuracy",
    },
    "Stage 1: validation MPJPE, wrist-relative, mm": {"Stage 1": "validation_mpjpe_mm"},
}
"""Columns of Stage 1's curves.csv by panel and name: which there are depends on its objective."""

Rows = list[dict[str, Any]]


class Chart(NamedTuple):
    """A chart and its data."""

    figure: Figure
    rows: Rows


def pck_chart(scores: Scores, subjects: NDArray[Any], intervals: Intervals) -> Chart:
    """PCK curves of every run and baseline, wrist-relative and after Procrustes."""
    panels: dict[str, dict[str, plots.Line]] = {}
    rows: Rows = []
    for source, title in ALIGNMENTS.items():
        panels[title] = {}
        for model, name in MODELS.items():
            totals = pck_totals(scores.pose[model][source], subjects)
            if not len(totals):
                continue
            line = panels[title][name] = intervals.line(totals)
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
    note = "bands: Student's 95 % intervals over people"
    return Chart(plots.pck_figure(panels, note), rows)


def confusion_chart(scores: Scores, classes: Classes) -> Chart:
    """Confusion matrix of Stage 1's coarse classes; one data row per sample: actual, predicted."""
    truth, predicted = scores.classes["coarse"], scores.predicted[STAGE_1]["coarse"]
    known = truth != UNLABELLED
    matrix = confusion(truth[known], predicted[known], len(classes.coarse))
    sides = sorted(set(classes.hands), reverse=True)  # right, left
    order = sorted(range(len(classes.coarse)), key=lambda k: (sides.index(classes.hands[k]), k))
    names = [classes.coarse[k] for k in order]
    blocks = [f"{classes.hands[k]} hands" for k in order]
    figure = plots.confusion_figure(
        matrix[np.ix_(order, order)], names, blocks=blocks if len(sides) > 1 else ()
    )
    full_names = [f"{classes.hands[k]} {classes.coarse[k]}" for k in range(len(classes.coarse))]
    rows = [
        {"actual": full_names[a], "predicted": full_names[b]}
        for a, b in zip(truth[known], predicted[known], strict=True)
    ]
    return Chart(figure, rows)


def map_chart(
    embeddings: Mapping[str, NDArray[Any]],
    gestures: Sequence[str],
    hands: Sequence[str],
    evaluation: Evaluation,
) -> Chart:
    """t-SNE maps of both encoders, with the most frequent gestures coloured.

    Args:
        embeddings: (N, 2) by encoder.
        gestures: coarse names of these samples.
        hands: right or left.
        evaluation: has the numbers in the titles.
    """
    shown = [name for name, _ in Counter(sorted(gestures)).most_common(MAP_GROUPS)]
    titles = {STAGE_1: "after Stage 1", UNTRAINED: "before Stage 1"}
    panels = {}
    for key, embedding in embeddings.items():
        encoder = evaluation.encoders[key]
        panels[
            f"{titles[key]}: {100 * encoder.purity.value:.0f} % of 10 neighbours alike, "
            f"silhouette {encoder.silhouette:+.2f}"
        ] = embedding
    note = (
        "triangles point left for left hands and right for right hands; neighbours are counted in "
        f"feature space among other people's images, {100 * evaluation.purity_by_chance:.0f} % "
        "would be alike by chance"
    )
    rows = [
        {"encoder": key, "gesture": gesture, "hand": hand, "x": float(x), "y": float(y)}
        for key, embedding in embeddings.items()
        for (x, y), gesture, hand in zip(embedding, gestures, hands, strict=True)
    ]
    return Chart(plots.map_figure(panels, gestures, shown, hands, note), rows)


def outputs_chart(
    embeddings: Mapping[str, NDArray[Any]], gestures: Sequence[str], hands: Sequence[str]
) -> Chart:
    """t-SNE maps of both classifiers' logits (the paper's Figure 5), coloured by coarse gesture.

    Args:
        embeddings: (N, 2) by level: coarse, fine.
        gestures: coarse names of these samples.
        hands: right or left.
    """
    shown = [name for name, _ in Counter(sorted(gestures)).most_common(MAP_GROUPS)]
    panels = {f"logits of the {level} classifier": xy for level, xy in embeddings.items()}
    note = "triangles point left for left hands and right for right hands; colours: coarse gestures"
    rows = [
        {"classifier": level, "gesture": gesture, "hand": hand, "x": float(x), "y": float(y)}
        for level, embedding in embeddings.items()
        for (x, y), gesture, hand in zip(embedding, gestures, hands, strict=True)
    ]
    return Chart(plots.map_figure(panels, gestures, shown, hands, note), rows)


def training_chart(curves: Mapping[str, Path]) -> Figure:
    """Losses and validation metrics of `pretrain` and of both runs, from curves.csv."""
    columns = {name: _read_curves(path) for name, path in curves.items()}
    first = columns.pop("pretrain")
    panels: dict[str, dict[str, tuple[NDArray[Any], NDArray[Any]]]] = {
        "Stage 1: training loss": {"Stage 1": _curve(first, "loss")},
    }
    for title, lines in STAGE_1_PANELS.items():
        known = {name: _curve(first, key) for name, key in lines.items() if key in first}
        if known:
            panels[title] = known
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


def length_of(path: Path) -> tuple[int, int]:
    """Gradient steps and epochs of a run, from its curves.csv."""
    columns = _read_curves(path)
    return int(columns["step"][-1]), int(columns["epoch"][-1])


def _curve(columns: Mapping[str, NDArray[Any]], key: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Epochs (fractional) and values of the non-empty cells of a column."""
    per_epoch = columns["step"][-1] / columns["epoch"][-1]
    known = ~np.isnan(columns[key])
    return columns["step"][known] / per_epoch, columns[key][known]


# --- pictures ------------------------------------------------------------------------------------


class Ranked(NamedTuple):
    """A test sample to show."""

    position: int  # in the split
    heading: str
    predicted: str  # Stage 1's gesture


def ranked(errors: NDArray[Any], count: int) -> dict[str, list[int]]:
    """Positions of the best, median and worst samples, ignoring NaN errors."""
    order = np.argsort(errors)[: int((~np.isnan(errors)).sum())]
    count = min(count, len(order))
    middle = max(0, len(order) // 2 - count // 2)
    return {
        "best": order[:count].tolist(),
        "median": order[middle : middle + count].tolist(),
        "worst": order[len(order) - count :][::-1].tolist(),
    }


def draw_sheet(
    out: Path,
    chosen: Sequence[Ranked],
    fetch: Callable[[int], HandBatch],
    scores: Scores,
    nets: Mapping[str, PoseNetwork],
    mano: Mano,
) -> None:
    """Write a PNG with photo, ground truth, both runs' meshes and a side view of each sample.

    Args:
        out: the PNG file.
        chosen: the samples, top to bottom.
        fetch: position -> a batch of that one sample, on the networks' device.
        scores: of the split; for the captions.
        nets: Stage 2's runs by name.
        mano: for the mesh of the fit.
    """
    tiles = []
    for one in chosen:
        pictures = _overlays(fetch(one.position), nets, mano)
        error = {run: scores.pose[run]["wrist_mpjpe_mm"][one.position] for run in RUNS}
        aligned = scores.pose[FULL]["pa_mpjpe_mm"][one.position]
        tiles += [
            Tile(pictures.photo, f"predicted: {one.predicted}"),
            Tile(pictures.truth),
            *(Tile(pictures.meshes[run], f"{error[run]:.1f} mm") for run in RUNS),
            Tile(pictures.side, "no fit" if np.isnan(aligned) else f"after PA {aligned:.1f} mm"),
        ]
    titles = ["photo", "ground truth", *(MODELS[run] for run in RUNS), "from the side"]
    draw_page(
        tiles,
        out,
        size=(SHEET_PX, SHEET_PX),
        columns=len(titles),
        column_titles=titles,
        row_headings=[one.heading for one in chosen],
        note=(
            "errors: wrist-relative MPJPE of the full model and of the one without pretraining; "
            "side view: green is the ground truth, blue the full model"
        ),
        style=Style(gap_px=6, row_gap_px=18, line_px=20, font_px=13, bold=False, centred=True),
    )


def draw_predictions(
    out: Path,
    ranks: Mapping[str, Ranked],
    fetch: Callable[[int], HandBatch],
    scores: Scores,
    nets: Mapping[str, PoseNetwork],
    mano: Mano,
) -> None:
    """Write a PNG strip of the full model: photo, predicted mesh and side view per sample.

    Args:
        out: the PNG file.
        ranks: samples by their rank, left to right.
        fetch: position -> a batch of that one sample, on the networks' device.
        scores: of the split; for the captions.
        nets: Stage 2's runs by name.
        mano: for the mesh of the fit.
    """
    errors = scores.pose[FULL]["wrist_mpjpe_mm"]
    tiles = []
    for rank, one in ranks.items():
        pictures = _overlays(fetch(one.position), nets, mano)
        tiles += [
            Tile(pictures.photo, rank, [one.predicted]),
            Tile(pictures.meshes[FULL], f"{errors[one.position]:.1f} mm"),
            Tile(pictures.side, "side view", ["green: truth"]),
        ]
    count = int((~np.isnan(errors)).sum())
    title = (
        f"{', '.join(ranks)} of {count:,} test images with an annotated wrist, by wrist-relative "
        "MPJPE; gesture: Stage 1"
    )
    size = (STRIP_PX, STRIP_PX)
    style = Style(font_px=20, line_px=27)  # README shows the strip at about half its size
    draw_page(tiles, out, size=size, columns=len(tiles), title=title, style=style)


class _Overlays(NamedTuple):
    """Pictures of one sample, all of the same size."""

    photo: draw.Image
    truth: draw.Image  # mesh of the fit, or the annotated joints if there is none
    meshes: dict[str, draw.Image]  # by run
    side: draw.Image  # joints of the ground truth and of the full model


@torch.no_grad()
def _overlays(batch: HandBatch, nets: Mapping[str, PoseNetwork], mano: Mano) -> _Overlays:
    """Ground truth and predictions of a batch of one sample, drawn over its photo."""
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

    meshes = {}
    outputs = {run: nets[run](batch.image, batch.is_left) for run in RUNS}
    for run, colour in ((FULL, draw.MODEL), (SCRATCH, draw.CONTROL)):
        origin = joints[WRIST] - _array(outputs[run].joints)[WRIST]
        mesh = _array(outputs[run].vertices) + origin
        meshes[run] = draw.draw_mesh(photo, mesh, faces, K, colour=colour, is_left=is_left)

    predicted = _array(outputs[FULL].joints)
    predicted = predicted - predicted[WRIST] + joints[WRIST]
    side = _side_view(joints, valid, predicted, photo.shape[0])
    return _Overlays(photo, truth, meshes, side)


def _side_view(
    joints: NDArray[Any], valid: NDArray[np.bool_], predicted: NDArray[Any], side: int
) -> draw.Image:
    """Both skeletons from the side, where depth errors are visible."""
    R, t, K = draw.side_camera(np.concatenate([joints[valid], predicted]), side)
    picture = draw.draw_skeleton(
        draw.plain(side), project(joints @ R.T + t, K), colour=draw.TRUTH, valid=valid
    )
    return draw.draw_skeleton(picture, project(predicted @ R.T + t, K), colour=draw.MODEL)


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    """The single sample of a batch as float64."""
    return np.asarray(tensor[0].double().cpu().numpy())
