"""Which charts and pictures a report has, and their files; `figures` draws them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from handpose.evaluation import embedding
from handpose.evaluation.scores import STAGE_1, UNTRAINED, Models, Scores
from handpose.files import atomic_folder
from handpose.sample import UNLABELLED, HandBatch
from stages.evaluation import figures, summary
from stages.evaluation.confused_pairs import confused_pairs, draw_pairs
from stages.evaluation.data import EvaluationData, hands
from stages.evaluation.error_mesh import ErrorMesh
from stages.evaluation.findings import Evaluation
from stages.evaluation.summary import FULL, Intervals
from stages.evaluation.tables import write_rows
from stages.params import EvaluateParams
from stages.paths import RESULTS, STAGE_1_MODEL, STAGE_2_MODELS


def write_images(
    test: Scores,
    data: EvaluationData,
    models: Models,
    e: Evaluation,
    mesh: ErrorMesh | None,
    settings: EvaluateParams,
) -> dict[str, Path]:
    """Write plots/ and pictures/ of `results/`; returns the report's PNG files by name.

    Args:
        test: scores of the test split.
        data: its origins and images.
        models: Stage 2's runs are drawn, on the device of Stage 1's network.
        e: the numbers in the titles, and whether Stage 1 knows gestures.
        mesh: the mean errors by vertex; None if no sample has a fit, and then without that chart.
        settings: `seed`, and in `pictures` the number of samples on a sheet.
    """
    intervals = Intervals(settings.seed)
    origin = data.origin(test.sample_id)
    labelled = test.classes["coarse"][test.feature_rows] != UNLABELLED
    rows = test.feature_rows[labelled]
    features = {name: test.features[name][labelled] for name in (STAGE_1, UNTRAINED)}
    logits = {level: found[labelled] for level, found in test.logits.items()}
    embeddings = embedding.maps(features | logits, settings.seed)
    gestures = data.gesture_names(test.classes["coarse"][rows]).tolist()
    sides = hands(origin)[rows].tolist()
    charts = {
        "pck": figures.pck_chart(test, origin["subject"], intervals),
        "confusion": figures.confusion_chart(test, data.classes),
        "map": figures.map_chart({k: embeddings[k] for k in features}, gestures, sides, e),
        "outputs": figures.outputs_chart({k: embeddings[k] for k in logits}, gestures, sides),
    }
    if mesh is not None:
        charts["vertices"] = mesh.chart()
    curves = {"pretrain": STAGE_1_MODEL, **STAGE_2_MODELS}
    training = figures.training_chart({k: v / "curves.csv" for k, v in curves.items()})
    with atomic_folder(RESULTS / "plots") as folder:
        for name, chart in charts.items():
            chart.figure.savefig(folder / f"{name}.png")
            write_rows(folder / f"{name}.csv", map(summary.to_json, chart.rows))
        training.savefig(folder / "training.png")
    with atomic_folder(RESULTS / "pictures") as folder:
        sheets = draw_pictures(
            folder, test, origin, data, models, settings.pictures, gestures=e.knows_gestures
        )
    return {
        **{name: RESULTS / "plots" / f"{name}.png" for name in (*charts, "training")},
        **{name: RESULTS / "pictures" / f"{name}.png" for name in sheets},
    }


def draw_pictures(
    folder: Path,
    test: Scores,
    origin: Mapping[str, NDArray[Any]],
    data: EvaluationData,
    models: Models,
    count: int,
    *,
    gestures: bool,
) -> list[str]:
    """Draw the best, median and worst samples of the full model; returns the sheets' names.

    Writes one sheet of `count` samples for each of the three, and `predictions.png` with one of
    each; and the most confused gestures, `pairs.png`. Without `gestures`, what Stage 1's untrained
    heads say is not shown.

    Args:
        folder: an empty one, for the PNG files.
        test: scores of the test split.
        origin: columns of its samples by name, in the order of the scores: (N,) each.
        data: the images and classes of the split.
        models: Stage 2's runs are drawn, on the device of Stage 1's network.
        count: the number of samples on a sheet, at most.
        gestures: whether Stage 1 knows gestures.
    """
    device = next(models.gesture.parameters()).device
    names = data.gesture_names(test.classes["coarse"])
    predicted = test.predicted[STAGE_1]["coarse"]
    side = hands(origin)

    def fetch(position: int) -> HandBatch:
        return data.one("test", position).to(device)

    def describe(position: int) -> figures.Ranked:
        mirrored = " (mirrored)" if data.canonical and side[position] == "left" else ""
        heading = (
            f"{names[position]}, {side[position]} hand{mirrored}, subject "
            f"{origin['subject'][position]}, {origin['sequence'][position]}, camera "
            f"{origin['camera'][position]}, frame {origin['frame'][position]}"
        )
        gesture = data.classes.coarse[predicted[position]]
        if not data.canonical:
            gesture += f" ({data.classes.hands[predicted[position]]})"
        return figures.Ranked(position, heading, gesture if gestures else "no gesture")

    errors = test.pose[FULL]["wrist_mpjpe_mm"]
    sheets = {
        rank: [describe(position) for position in positions]
        for rank, positions in figures.ranked(errors, count).items()
        if positions
    }
    for rank, chosen in sheets.items():
        out = folder / f"{rank}.png"
        figures.draw_sheet(out, chosen, fetch, test, models.pose, models.mano)
    if sheets:
        ranks = {rank: describe(one) for rank, (one,) in figures.ranked(errors, 1).items()}
        out = folder / "predictions.png"
        figures.draw_predictions(out, ranks, fetch, test, models.pose, models.mano)
    shown = list(sheets)
    if gestures and (pairs := confused_pairs(test, origin["subject"], data.classes)):
        own = (
            data.classes.coarse
            if data.canonical
            else [
                f"{hand} {name}"
                for hand, name in zip(data.classes.hands, data.classes.coarse, strict=True)
            ]
        )
        draw_pairs(folder / "pairs.png", pairs, fetch, origin["subject"], own)
        shown.append("pairs")
    return shown
