"""Every protocol on people never trained on: `python -m stages.evaluate`.

Reads the shards, the labels, `data/ingest/samples.parquet` (whose samples they are, and the
training averages), the hand model and the trained models. Writes `results/`: metrics.json,
summary.txt, predictions.parquet, tables/, plots/, pictures/, report.html, manifest.json.
"""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from handpose import embedding
from handpose.baselines import TrainingMeans
from handpose.data.shards import Shards
from handpose.data.stored import ClassIds, read_labels
from handpose.errors import HandPoseError
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.protocols import COLUMNS, PUBLISHED
from handpose.rng import seed
from handpose.sample import UNLABELLED, HandBatch
from handpose.scores import STAGE_1, UNTRAINED, Models, Scores, score_split
from handpose.trained import (
    ModelRecord,
    build_gesture_net,
    load_gesture_net,
    load_pose_net,
    read_record,
)
from stages import figures, report, summary
from stages.artifacts import (
    Progress,
    atomic_file,
    atomic_folder,
    digest,
    run_door,
    write_json,
    write_manifest,
)
from stages.findings import Encoder, Evaluation, Run, Split
from stages.params import Params, load_params
from stages.summary import FULL, RUNS, Classes, Intervals, Part

SAMPLES = Path("data/ingest/samples.parquet")
LABELS = Path("data/labels/labels.parquet")
SHARDS = Path("data/shard")
STAGE_1_MODEL = Path("models/pretrain")
STAGE_2_MODELS = {run: Path("models/pose") / run for run in RUNS}
SYNTHETIC = Path("data/synthetic")
OUT = Path("results")

SPLITS = ("test", "official_val", "official_test")
ORIGIN = ("split", "subject", "capture", "seq_name", "kind", "camera", "frame", "is_left")


class EvaluateError(HandPoseError):
    """There is nothing to evaluate, or nothing to evaluate it with."""


def main() -> None:
    """Load, score every split, sum up, draw, write."""
    started = time.monotonic()
    params = load_params()
    settings = params.evaluate
    data = Data.open(params)
    mano = Mano.load(params.hand.mano)
    models, records = load_models(data, params, mano)

    scored = {split: score(split, data, models, settings) for split in data.splits}
    evaluation = sum_up(scored, data, models, records, params)
    print("evaluate: tables, charts and pictures", flush=True)
    write_tables(evaluation)
    images = write_charts(scored["test"], data, models, evaluation, settings)
    write_predictions(OUT / "predictions.parquet", scored, data)
    write_json(OUT / "metrics.json", metrics_json(evaluation))
    text = report.summary(evaluation)
    for name, content in (("summary.txt", text), ("report.html", report.html(evaluation, images))):
        with atomic_file(OUT / name) as partial:
            partial.write_text(content, encoding="utf-8")
    print(f"\n{text}", flush=True)
    write_manifest(
        OUT / "manifest.json",
        started=started,
        counts={split: len(scores) for split, scores in scored.items()},
        outputs=[OUT / name for name in ("metrics.json", "predictions.parquet")],
    )


# --- in ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """The samples and what is known of them."""

    table: pa.Table  # samples.parquet, by sample_id
    ids: NDArray[np.int64]  # sample_id of each row
    shards: Shards
    labels: Mapping[str, ClassIds]  # by gesture folder
    classes: Classes
    unseen: int  # coarse classes of the test without a training sample
    splits: tuple[str, ...]  # those of SPLITS that hold samples
    image_px: int
    canonical: bool
    batch: int

    @classmethod
    def open(cls, params: Params) -> Data:
        """The data in their usual places.

        Raises:
            EvaluateError: a file is missing, or the test split has no labelled sample.
            ShardError: the shards are missing or damaged.
        """
        for path, stage in ((SAMPLES, "ingest"), (LABELS, "label")):
            if not path.is_file():
                raise EvaluateError(f"{path}: not found; run `dvc repro {stage}` first")
        shards = Shards.open(SHARDS)
        labels = read_labels(LABELS)
        table = pq.read_table(SAMPLES).sort_by("sample_id")
        folder, split = _text(table["seq_name"]), _text(table["split"])
        labelled = np.isin(folder, list(labels))
        counts = Counter(split[labelled].tolist())
        if not counts["test"] or not shards.index.count("test"):
            raise EvaluateError(
                f"the test split has {shards.index.count('test')} images in {SHARDS} and "
                f"{counts['test']} with a gesture in {SAMPLES} (labelled images per split: "
                f"{dict(counts)}); an evaluation without any would mean nothing. Let "
                "ingest.test_subjects in params.yaml name subjects of the official train split: "
                "data/ingest/folders.csv and split.json tell which there are"
            )
        coarse = {s: _ids(labels, folder[labelled & (split == s)], 0) for s in ("train", "test")}
        fine = _ids(labels, folder[labelled & (split == "train")], 1)
        return cls(
            table=table,
            ids=table["sample_id"].to_numpy(),
            shards=shards,
            labels=labels,
            classes=_classes(LABELS, coarse["train"], fine),
            unseen=len(set(coarse["test"]) - set(coarse["train"])),
            splits=tuple(s for s in SPLITS if shards.index.count(s)),
            image_px=read_record(STAGE_1_MODEL).net["image_px"],
            canonical=params.label.handedness == "canonical",
            batch=params.evaluate.batch,
        )

    def batches(self, split: str, *, batch: int, skip: int = 0) -> Iterator[HandBatch]:
        """The samples of a split in their order, as they are."""
        return self.shards.batches(
            split,
            batch=batch,
            image_px=self.image_px,
            labels=self.labels,
            canonical=self.canonical,
            skip=skip,
        )

    def origin(self, sample_id: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Where these samples come from: a column per name of `ORIGIN`."""
        rows = self.table.select(list(ORIGIN)).take(np.searchsorted(self.ids, sample_id))
        return {name: _column(rows, name) for name in ORIGIN}

    def training_means(self, mano: Mano) -> TrainingMeans:
        """The averages of the samples that training saw."""
        seen = pc.or_(
            pc.equal(self.table["kind"], "rom"),
            pc.is_in(self.table["seq_name"], pa.array(list(self.labels), pa.string())),
        )
        rows = self.table.filter(pc.and_(pc.equal(self.table["split"], "train"), seen))
        columns = {
            name: torch.from_numpy(np.array(_column(rows, name)))
            for name in ("joints_cam", "joint_valid", "is_left", "hand_pose", "betas", "has_mano")
        }
        joints, valid = columns.pop("joints_cam").view(-1, 21, 3), columns.pop("joint_valid")
        return TrainingMeans.of(joints=joints, valid=valid, **columns, mano=mano)


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    """A column as (N,), or (N, K) where it holds lists of K."""
    values = table[name].combine_chunks()
    if pa.types.is_nested(values.type):
        flat: NDArray[Any] = values.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(values), -1)
    if pa.types.is_string(values.type):
        return _text(values)
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _text(values: Any) -> NDArray[np.str_]:
    return np.array(values.to_pylist(), np.str_)


def _ids(labels: Mapping[str, ClassIds], folders: NDArray[np.str_], level: int) -> list[int]:
    """Class of each folder; level 0 is coarse, 1 is fine."""
    return [labels[folder][level] for folder in folders.tolist()]


def _classes(path: Path, coarse: list[int], fine: list[int]) -> Classes:
    """Names by id from labels.parquet, and the most frequent ids of these training samples."""
    table = pq.read_table(path).to_pydict()

    def names(ids: str, column: str) -> list[str]:
        named = dict(zip(reversed(table[ids]), reversed(table[column]), strict=True))
        return [named.get(k, "") for k in range(max(named) + 1)]

    majority = {
        level: min(((-n, k) for k, n in Counter(ids).items()), default=(0, 0))[1]
        for level, ids in (("coarse", coarse), ("fine", fine))
    }
    return Classes(
        names("coarse_id", "coarse"), names("fine_id", "fine"), names("coarse_id", "hand"), majority
    )


def load_models(data: Data, params: Params, mano: Mano) -> tuple[Models, dict[str, ModelRecord]]:
    """The trained networks and the averages, on the accelerator if there is one.

    Raises:
        CheckpointError: a model is missing, or was trained on other labels or in the other
            handedness.
    """
    records = {folder: read_record(folder) for folder in (STAGE_1_MODEL, *STAGE_2_MODELS.values())}
    for folder, record in records.items():
        record.require(
            folder,
            handedness=params.label.handedness,
            labels_digest=digest(LABELS),
            net={"image_px": data.image_px},
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    means = data.training_means(mano)
    mano = mano.to(device)
    seed(params.evaluate.seed)
    first = records[STAGE_1_MODEL]
    untrained = build_gesture_net(
        first.net, coarse_classes=len(first.coarse), fine_classes=len(first.fine)
    )
    models = Models(
        gesture=load_gesture_net(STAGE_1_MODEL).to(device).eval(),
        untrained=untrained.to(device).eval(),
        pose={
            run: load_pose_net(folder, mano).to(device).eval()
            for run, folder in STAGE_2_MODELS.items()
        },
        means=means.to(device),
        mano=mano,
    )
    return models, {run: records[folder] for run, folder in STAGE_2_MODELS.items()}


# --- numbers -------------------------------------------------------------------------------------


def score(split: str, data: Data, models: Models, settings: Any) -> Scores:
    """All samples of a split, with a line of progress now and then."""
    count = data.shards.index.count(split)
    every = -(-count // settings.tsne_samples) if split == "test" else 0
    progress = Progress(f"evaluate {split}", count, "images")

    def counted() -> Iterator[HandBatch]:
        for batch in data.batches(split, batch=data.batch):
            yield batch
            progress.step(len(batch))

    return score_split(counted(), models, features_every=every)


def sum_up(
    scored: Mapping[str, Scores],
    data: Data,
    models: Models,
    records: Mapping[str, ModelRecord],
    params: Params,
) -> Evaluation:
    """Every number of the report, with its interval."""
    settings = params.evaluate
    how = Intervals(settings.bootstrap, settings.seed)
    test = scored["test"]
    origin = data.origin(test.sample_id)
    subjects = origin["subject"]
    labelled = test.feature_rows[test.classes["coarse"][test.feature_rows] != UNLABELLED]
    coarse = test.classes["coarse"][labelled]
    return Evaluation(
        splits={split: _split(scores, data, how) for split, scores in scored.items()},
        gesture=summary.gesture_estimates(test, subjects, data.classes, how),
        comparisons=summary.comparisons(test, subjects, how),
        runs={run: _run(run, record, models) for run, record in records.items()},
        encoders={
            name: _encoder(test, name, labelled, coarse, subjects[labelled], how)
            for name in (STAGE_1, UNTRAINED)
        },
        purity_by_chance=embedding.purity_by_chance(coarse),
        parts=_parts(test, origin, data, how),
        unseen=data.unseen,
        handedness=params.label.handedness,
        synthetic=Path(params.data.root) == SYNTHETIC,
    )


def _split(scores: Scores, data: Data, how: Intervals) -> Split:
    subjects = data.origin(scores.sample_id)["subject"]
    return Split(
        samples=len(scores),
        subjects=np.unique(subjects).tolist(),
        without_fit=int((~scores.has_mano).sum()),
        pose=summary.pose_estimates(scores, subjects, how),
    )


def _run(run: str, record: ModelRecord, models: Models) -> Run:
    tokens = models.pose[run].gesture_tokens
    return Run(
        seconds=record.seconds,
        steps=figures.last_step(STAGE_2_MODELS[run] / "curves.csv"),
        gates=[] if tokens is None else tokens.gates.tolist(),
    )


def _encoder(
    scores: Scores,
    name: str,
    rows: NDArray[Any],
    coarse: NDArray[Any],
    subjects: NDArray[Any],
    how: Intervals,
) -> Encoder:
    features = scores.features[name][np.searchsorted(scores.feature_rows, rows)]
    purity = embedding.neighbour_purity(features, coarse, subjects)
    return Encoder(how.mean(purity, subjects), embedding.silhouette(features, coarse))


def _parts(
    scores: Scores, origin: Mapping[str, NDArray[Any]], data: Data, how: Intervals
) -> dict[str, list[Part]]:
    """The breakdowns of the test, by what they are by."""
    subjects = origin["subject"]
    groups = {
        "subject": subjects,
        "hand": _hands(origin),
        "gesture": np.array(_gesture_names(scores.classes["coarse"], data.classes)),
        "camera": origin["camera"],
    }
    return {
        **{name: summary.parts(scores, group, subjects, how) for name, group in groups.items()},
        "joint": summary.joint_parts(scores, subjects, how),
    }


def _hands(origin: Mapping[str, NDArray[Any]]) -> NDArray[np.str_]:
    return np.where(origin["is_left"], "left", "right")


def _gesture_names(coarse: NDArray[Any], classes: Classes) -> list[str]:
    return ["(none)" if k == UNLABELLED else classes.coarse[k] for k in coarse.tolist()]


# --- out -----------------------------------------------------------------------------------------


def metrics_json(e: Evaluation) -> dict[str, Any]:
    """All numbers, each with interval, samples and subjects; what a protocol is, once."""
    content = {
        "protocols": {c.key: c.protocol for c in (*COLUMNS, PUBLISHED)},
        "gesture": e.gesture,
        "pose": {name: split.pose for name, split in e.splits.items()},
        "pretrained_minus_scratch": e.comparisons,
        "features": {**e.encoders, "purity_by_chance": e.purity_by_chance},
        "training": {
            run: {"seconds": found.seconds, "total_s": found.total_s, "steps": found.steps}
            for run, found in e.runs.items()
        },
        "without_fit": {name: split.without_fit for name, split in e.splits.items()},
    }
    plain: dict[str, Any] = summary.plain(content)
    return plain


def write_tables(e: Evaluation) -> None:
    """One CSV per split and per breakdown: a row per number."""
    with atomic_folder(OUT / "tables") as folder:
        for name, split in e.splits.items():
            _write_rows(folder / f"pose_{name}.csv", _estimate_rows("model", split.pose))
        _write_rows(folder / "gesture.csv", _estimate_rows("heads", e.gesture))
        for name, parts in e.parts.items():
            by_part = {part.name: part.estimates for part in parts}
            _write_rows(folder / f"per_{name}.csv", _estimate_rows(name, by_part))


def _estimate_rows(name: str, found: Mapping[str, summary.Estimates]) -> Iterator[dict[str, Any]]:
    for one, estimates in found.items():
        for metric, estimate in estimates.items():
            yield {name: one, "metric": metric, **summary.plain(estimate)}


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows with the same keys as CSV; None becomes an empty cell."""
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_charts(
    test: Scores, data: Data, models: Models, e: Evaluation, settings: Any
) -> dict[str, Path]:
    """plots/ and pictures/; returns the PNG files by name."""
    how = Intervals(settings.bootstrap, settings.seed)
    origin = data.origin(test.sample_id)
    labelled = test.classes["coarse"][test.feature_rows] != UNLABELLED
    rows = test.feature_rows[labelled]
    places = embedding.maps(
        {name: test.features[name][labelled] for name in (STAGE_1, UNTRAINED)}, settings.seed
    )
    charts = {
        "pck": figures.pck_chart(test, origin["subject"], how),
        "confusion": figures.confusion_chart(test, data.classes),
        "map": figures.map_chart(
            places,
            _gesture_names(test.classes["coarse"][rows], data.classes),
            _hands(origin)[rows].tolist(),
            e,
        ),
    }
    curves = {"pretrain": STAGE_1_MODEL, **STAGE_2_MODELS}
    training = figures.training_chart({k: v / "curves.csv" for k, v in curves.items()})
    with atomic_folder(OUT / "plots") as folder:
        for name, chart in charts.items():
            chart.figure.savefig(folder / f"{name}.png")
            _write_rows(folder / f"{name}.csv", map(summary.plain, chart.rows))
        training.savefig(folder / "training.png")
    sheets = _sheets(test, origin, data, models, settings.pictures)
    with atomic_folder(OUT / "pictures") as folder:
        for name, sheet in sheets.items():
            sheet.savefig(folder / f"{name}.png")
    return {
        **{name: OUT / "plots" / f"{name}.png" for name in (*charts, "training")},
        **{name: OUT / "pictures" / f"{name}.png" for name in sheets},
    }


def _sheets(
    test: Scores, origin: Mapping[str, NDArray[Any]], data: Data, models: Models, count: int
) -> dict[str, Figure]:
    """Overlays of the best, the middle and the worst samples of the full model."""
    device = next(models.gesture.parameters()).device
    names = _gesture_names(test.classes["coarse"], data.classes)
    said = test.said[STAGE_1]["coarse"]
    hands = _hands(origin)

    def fetch(position: int) -> HandBatch:
        return next(data.batches("test", batch=1, skip=position)).to(device)

    def told(position: int) -> figures.Ranked:
        heading = (
            f"{names[position]}, {hands[position]} hand, subject {origin['subject'][position]}, "
            f"{origin['seq_name'][position]}, camera {origin['camera'][position]}, frame "
            f"{origin['frame'][position]}"
        )
        guess = data.classes.coarse[said[position]]
        if not data.canonical:
            guess += f" ({data.classes.hands[said[position]]})"
        return figures.Ranked(position, heading, guess)

    chosen = figures.ranked(test.pose[FULL]["wrist_mpjpe_mm"], count)
    return {
        name: figures.sheet(list(map(told, positions)), fetch, test, models.pose, models.mano)
        for name, positions in chosen.items()
        if positions
    }


def write_predictions(path: Path, scored: Mapping[str, Scores], data: Data) -> None:
    """One row per evaluated sample: whose it is, what was predicted, every error.

    Joints are in metres about the wrist, in camera axes, as in the photo.
    """
    tables = [_predictions(scores, data) for scores in scored.values()]
    with atomic_file(path) as partial:
        pq.write_table(pa.concat_tables(tables), partial)


def _predictions(scores: Scores, data: Data) -> pa.Table:
    origin = data.origin(scores.sample_id)
    mirrored = torch.from_numpy(origin["is_left"].astype(bool) & data.canonical)
    columns: dict[str, Any] = {"sample_id": scores.sample_id, **origin}
    columns["has_mano"] = scores.has_mano
    columns |= scores.classes
    for network, said in scores.said.items():
        columns |= {f"{network}_{level}": ids for level, ids in said.items()}
    for model, found in scores.pose.items():
        columns |= {f"{model}_{key}": v for key, v in found.items() if v.ndim == 1}
    for run, joints in scores.joints.items():
        seen = mirror_points(torch.from_numpy(joints), mirrored).numpy()
        columns[f"{run}_joints"] = pa.FixedSizeListArray.from_arrays(seen.ravel(), 63)
    return pa.table(columns)


if __name__ == "__main__":
    sys.exit(run_door(main, "evaluate"))
