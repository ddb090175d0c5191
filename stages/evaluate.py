"""Evaluate the models under every protocol on held-out people: `python -m stages.evaluate`.

Reads the shards, the labels, `data/ingest/samples.parquet` (origins of the samples, and training
averages), the hand model and the trained models. Writes `results/`: headline.json, metrics.json,
summary.txt, predictions.parquet, tables/, plots/, pictures/, report.html, manifest.json.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.data.loading import Loading
from handpose.data.splits import shows_two_hands
from handpose.evaluation import embedding
from handpose.evaluation.scores import STAGE_1, UNTRAINED, Models, Scores, score_split
from handpose.evaluation.statistics import SHARE
from handpose.files import atomic_file, atomic_folder, digest
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.sample import UNLABELLED, HandBatch
from handpose.training.device import describe_device, prepare_device
from handpose.training.model_io import ModelRecord, read_record
from handpose.training.seeding import seed
from handpose.training.trained_nets import load_gesture_net, load_pose_net
from stages.evaluation import figures, report, slices, summary
from stages.evaluation.data import EvaluationData, hands
from stages.evaluation.error_mesh import ErrorMesh
from stages.evaluation.findings import Encoder, Evaluation, ModelRun, SplitResult
from stages.evaluation.report_images import write_images
from stages.evaluation.summary import Intervals, Subgroup
from stages.evaluation.tables import headline_json, metrics_json, write_predictions, write_tables
from stages.evaluation.two_hands import two_hands
from stages.hand_model import BENCHMARK_TIPS, load_hand_model
from stages.params import EvaluateParams, Params, load_params
from stages.paths import (
    LABELS,
    METRICS,
    PREDICTIONS,
    RESULTS,
    STAGE_1_MODEL,
    STAGE_2_MODELS,
    SYNTHETIC,
    is_same_path,
)
from stages.running.artifacts import write_json, write_manifest
from stages.running.command import stage_command
from stages.running.progress import Progress

START = {"": "random weights", "imagenet": "ImageNet's weights"}


def main() -> None:
    """Load, score every split, summarise, draw, write."""
    started = time.monotonic()
    params = load_params()
    settings = params.evaluate
    device = prepare_device(settings.device, threads=0)
    records = {folder: read_record(folder) for folder in (STAGE_1_MODEL, *STAGE_2_MODELS.values())}
    data = EvaluationData.open(
        image_px=records[STAGE_1_MODEL].encoder["image_px"],
        canonical=params.label.handedness == "canonical",
        turn_camera=turned_cameras(records),
        batch=settings.batch,
        loading=Loading.on(device, workers=settings.loader_workers, key="evaluate.loader_workers"),
    )
    check_models(records, params)
    models = load_models(
        records, data, load_hand_model(params.hand, params.data), settings.seed, device
    )
    print(f"evaluate: on {describe_device(device, settings.device)}", flush=True)

    with data.loading:
        scored = {
            split: score(split, data, models, settings, split_hand_model(split, models, params))
            for split in data.splits
        }
    evaluation = summarise(scored, data, models, records, params)
    print("evaluate: tables, charts and pictures", flush=True)
    with atomic_folder(RESULTS / "tables") as folder:
        write_tables(folder, evaluation)
    mesh = ErrorMesh.of(scored["test"], models.mano)
    images = write_images(scored["test"], data, models, evaluation, mesh, settings)
    write_predictions(PREDICTIONS, scored, data)
    write_json(METRICS, metrics_json(evaluation))
    write_json(RESULTS / "headline.json", headline_json(evaluation))
    text = report.summary(evaluation)
    page = report.html(evaluation, images, mesh.for_browser() if mesh is not None else None)
    for name, content in (("report.html", page), ("summary.txt", text)):
        with atomic_file(RESULTS / name) as partial:
            partial.write_text(content, encoding="utf-8")
    print(f"\n{text}", flush=True)
    write_manifest(
        RESULTS / "manifest.json",
        started=started,
        counts={split: len(scores) for split, scores in scored.items()},
        outputs=[METRICS, PREDICTIONS],
    )


def check_models(records: Mapping[Path, ModelRecord], params: Params) -> None:
    """Refuse models that were trained on other labels or with another input size.

    Raises:
        CheckpointError: names what differs.
    """
    image_px = records[STAGE_1_MODEL].encoder["image_px"]
    for folder, record in records.items():
        record.require(
            folder,
            handedness=params.label.handedness,
            labels_digest=digest(LABELS),
            encoder={"image_px": image_px},
        )


def turned_cameras(records: Mapping[Path, ModelRecord]) -> bool:
    """Whether Stage 2's models were trained in the frames of turned cameras: all, or none.

    Raises:
        CheckpointError: they differ, or a record does not say so.
    """
    models = {folder: records[folder] for folder in STAGE_2_MODELS.values()}
    expected = bool(next(iter(models.values())).pose_net.get("turn_camera", True))
    for folder, record in models.items():
        record.require(folder, pose_net={"turn_camera": expected})
    return expected


def load_models(
    records: Mapping[Path, ModelRecord],
    data: EvaluationData,
    mano: Mano,
    untrained_seed: int,
    device: torch.device,
) -> Models:
    """The trained networks, the untrained Stage 1 network, and the training means, on this device.

    Raises:
        CheckpointError: the weights of a model are missing or damaged.
        BaselineError: the training data have no valid means.
    """
    means = data.training_means(mano).to(device)
    mano = mano.to(device)
    first = records[STAGE_1_MODEL]
    seed(untrained_seed)
    untrained = GestureNet(
        **first.encoder, coarse_classes=len(first.coarse), fine_classes=len(first.fine)
    )
    runs = {run: load_pose_net(folder, mano) for run, folder in STAGE_2_MODELS.items()}
    return Models(
        gesture=load_gesture_net(STAGE_1_MODEL).to(device).eval(),
        untrained=untrained.to(device).eval(),
        pose={run: net.to(device).eval() for run, net in runs.items()},
        means=means,
        mano=mano,
    )


# --- numbers -------------------------------------------------------------------------------------


def split_hand_model(split: str, models: Models, params: Params) -> Mano:
    """The hand model with the joints that this split annotates, on the models' device."""
    if split not in BENCHMARK_TIPS:
        return models.mano
    device = next(models.gesture.parameters()).device
    return load_hand_model(params.hand, params.data, split).to(device)


def score(
    split: str,
    data: EvaluationData,
    models: Models,
    settings: EvaluateParams,
    mano: Mano | None = None,
) -> Scores:
    """Score all samples of a split, with progress lines; `mano` as in `score_split`."""
    count = data.shards.index.count(split)
    drawn = np.random.default_rng(settings.seed).permutation(count)[: settings.tsne_samples]
    progress = Progress(f"evaluate {split}", count, "images")

    def counted() -> Iterator[HandBatch]:
        for batch in data.batches(split):
            yield batch
            progress.step(len(batch))

    rows = drawn if split == "test" else None
    return score_split(
        counted(), models, feature_rows=rows, mano=mano, placed=shows_two_hands(split)
    )


def summarise(
    scored: Mapping[str, Scores],
    data: EvaluationData,
    models: Models,
    records: Mapping[Path, ModelRecord],
    params: Params,
) -> Evaluation:
    """All numbers of the report, with their intervals."""
    settings = params.evaluate
    intervals = Intervals(settings.seed)
    test = scored["test"]
    origin = data.origin(test.sample_id)
    subjects = origin["subject"]
    labelled = test.feature_rows[test.classes["coarse"][test.feature_rows] != UNLABELLED]
    coarse = test.classes["coarse"][labelled]
    return Evaluation(
        splits={split: _split(split, scores, data, intervals) for split, scores in scored.items()},
        gesture=summary.gesture_estimates(test, subjects, data.classes, intervals),
        comparisons=summary.comparisons(test, subjects, intervals),
        interventions=summary.intervention_costs(test, subjects, intervals),
        view=summary.view_estimates(test, subjects, intervals),
        runs={run: _run(run, records[folder], models) for run, folder in STAGE_2_MODELS.items()},
        encoders={
            name: _encoder(test, name, labelled, coarse, subjects[labelled], intervals)
            for name in (STAGE_1, UNTRAINED)
        },
        purity_by_chance=embedding.purity_by_chance(coarse),
        subgroups=_subgroups(test, origin, data, intervals),
        unseen=data.unseen,
        handedness=params.label.handedness,
        start=START.get(records[STAGE_1_MODEL].encoder["weights"], "weights from a file"),
        synthetic=is_same_path(params.data.root, SYNTHETIC),
        source=params.label.source,
        shuffle=params.label.shuffle,
        objective=params.pretrain.objective,
    )


def _split(split: str, scores: Scores, data: EvaluationData, intervals: Intervals) -> SplitResult:
    origin = data.origin(scores.sample_id)
    subjects, is_left = origin["subject"], origin["is_left"].astype(bool)
    return SplitResult(
        samples=len(scores),
        subjects=np.unique(subjects).tolist(),
        without_fit=int((~scores.has_mano).sum()),
        pose=summary.pose_estimates(scores, subjects, is_left, intervals),
        units=data.units.of(split),
        two_hands=two_hands(
            scores,
            origin,
            data.beside_others(split, scores.sample_id),
            canonical=data.canonical,
            intervals=intervals,
        )
        if shows_two_hands(split)
        else None,
    )


def _run(run: str, record: ModelRecord, models: Models) -> ModelRun:
    tokens = models.pose[run].gesture_tokens
    return ModelRun(
        seconds=record.seconds,
        steps=figures.length_of(STAGE_2_MODELS[run] / "curves.csv")[0],
        gates=[] if tokens is None else tokens.gates.tolist(),
        gesture_weight=record.loss_weights["gesture"],
        second_look=record.pose_net.get("second_look", False),
        token_classes=record.pose_net.get("token_classes", "both"),
    )


def _encoder(
    scores: Scores,
    name: str,
    rows: NDArray[Any],
    coarse: NDArray[Any],
    subjects: NDArray[Any],
    intervals: Intervals,
) -> Encoder:
    features = scores.features[name][np.searchsorted(scores.feature_rows, rows)]
    purity = embedding.neighbour_purity(features, coarse, subjects)
    return Encoder(intervals.mean(purity, subjects, SHARE), embedding.silhouette(features, coarse))


def _subgroups(
    scores: Scores, origin: Mapping[str, NDArray[Any]], data: EvaluationData, intervals: Intervals
) -> dict[str, list[Subgroup]]:
    """Breakdowns of the test split, by grouping."""
    subjects = origin["subject"]
    groups = {
        "subject": subjects,
        "hand": hands(origin),
        "gesture": data.gesture_names(scores.classes["coarse"]),
        "camera": origin["camera"],
        "facing": slices.facing_names(scores),
        "rotation": slices.rotation_names(scores),
        "phase": slices.phase_names(origin),
        "visibility": slices.visibility_names(scores),
        "confidence": slices.confidence_names(scores),
    }
    return {
        **{
            name: summary.subgroups(scores, group, subjects, intervals)
            for name, group in groups.items()
        },
        "joint": summary.joint_subgroups(scores, subjects, intervals),
    }


if __name__ == "__main__":
    sys.exit(stage_command(main, "evaluate"))
