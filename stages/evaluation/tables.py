"""Machine-readable results of an evaluation: JSON, tables, predictions."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from handpose.data.merged.interval_units import PEOPLE, Units
from handpose.evaluation.interventions import GATES_CLOSED
from handpose.evaluation.protocols import COLUMNS, PUBLISHED
from handpose.evaluation.scores import STAGE_1, Scores
from handpose.files import atomic_file
from handpose.hand.mirror import mirror_points
from stages.evaluation.data import EvaluationData
from stages.evaluation.findings import Evaluation
from stages.evaluation.summary import FULL, MAJORITY, SCRATCH, Estimates, to_json
from stages.evaluation.two_hands import MRRPE, TwoHands


def metrics_json(e: Evaluation) -> dict[str, Any]:
    """All estimates with intervals, sample and subject counts, and the protocols' definitions."""
    content: dict[str, Any] = {
        "protocols": {c.key: c.protocol for c in (*COLUMNS, PUBLISHED)},
        "gesture": e.gesture,
        "pose": {name: split.pose for name, split in e.splits.items()},
        "pretrained_minus_scratch": e.comparisons,
        "interventions": e.interventions,
        "view": e.view,
        "features": {**e.encoders, "purity_by_chance": e.purity_by_chance},
        "training": {
            run: {
                "seconds": found.seconds,
                "total_s": found.total_s,
                "steps": found.steps,
                "gates": list(found.gates),
                "gesture_weight": found.gesture_weight,
            }
            for run, found in e.runs.items()
        },
        "without_fit": {name: split.without_fit for name, split in e.splits.items()},
    }
    if both := {name: split.two_hands for name, split in e.splits.items() if split.two_hands}:
        content["protocols"] |= {"mrrpe_mm": MRRPE}
        content["two_hands"] = {name: _two_hands(found) for name, found in both.items()}
    if others := {n: split for n, split in e.splits.items() if split.units != PEOPLE}:
        content["intervals_over"] = {
            name: split.units.to_json(len(split.subjects)) for name, split in others.items()
        }
    if not e.knows_gestures:  # then gesture.stage_1 is of random heads
        content["stage_1_objective"] = e.objective
    found: dict[str, Any] = to_json(content)
    return found


def _two_hands(found: TwoHands) -> dict[str, Any]:
    groups = (*found.covered, *found.places)
    return {
        "photos": found.photos,
        "with_both": found.with_both,
        "joints": found.joints,
        "joints_in_other_box": found.joints_in_other_box,
        "mrrpe_mm": found.mrrpe_mm,
        "groups": {group.name: group.estimates for group in groups},
    }


def headline_json(e: Evaluation) -> dict[str, Any]:
    """The dozen test numbers that `dvc metrics diff` shows; metrics.json has all."""
    stage_1, majority = e.gesture[STAGE_1], e.gesture[MAJORITY]
    accuracies = [f"{level}_accuracy" for level in ("coarse", "fine")]
    errors = {"mpjpe_mm": "wrist_mpjpe_mm", "pa_mpjpe_mm": "pa_mpjpe_mm"}
    content: dict[str, Any] = {
        "images": e.test.samples,
        "people": len(e.test.subjects),
        "images_with_a_gesture": stage_1["coarse_accuracy"].samples,
        "stage_1": {key: stage_1[key].value for key in accuracies},
        "most_frequent_class": {key: majority[key].value for key in accuracies},
        "full_model": {name: e.test.pose[FULL][key].value for name, key in errors.items()},
        "without_pretraining": {
            name: e.test.pose[SCRATCH][key].value for name, key in errors.items()
        },
    }
    if not e.knows_gestures:
        del content["stage_1"]  # of random heads
    if FULL in e.interventions:
        closed = e.interventions[FULL][GATES_CLOSED]
        content["closing_the_gates_of_the_full_model_adds"] = {
            name: closed[key].by_person.value for name, key in errors.items()
        }
    found: dict[str, Any] = to_json(content)
    return found


def write_tables(folder: Path, e: Evaluation) -> None:
    """One CSV per split and per breakdown, with a row per estimate."""
    for name, split in e.splits.items():
        rows = _estimate_rows("model", split.pose)
        write_rows(folder / f"pose_{name}.csv", _counting(rows, split.units))
        if found := split.two_hands:
            groups = {group.name: group.estimates for group in (*found.covered, *found.places)}
            rows = _estimate_rows("hands", groups)
            write_rows(folder / f"two_hands_{name}.csv", rows)
    write_rows(folder / "gesture.csv", _estimate_rows("heads", e.gesture))
    for name, subgroups in e.subgroups.items():
        by_subgroup = {subgroup.name: subgroup.estimates for subgroup in subgroups}
        write_rows(folder / f"per_{name}.csv", _estimate_rows(name, by_subgroup))


def _estimate_rows(name: str, found: Mapping[str, Estimates]) -> Iterator[dict[str, Any]]:
    for one, estimates in found.items():
        for metric, estimate in estimates.items():
            yield {name: one, "metric": metric, **to_json(estimate)}


def _counting(rows: Iterable[dict[str, Any]], units: Units) -> Iterator[dict[str, Any]]:
    """The same rows, whose column `subjects` is called as what it counts, if that is not people."""
    for row in rows:
        yield (
            {units.many if key == "subjects" else key: v for key, v in row.items()}
            if (units != PEOPLE)
            else row
        )


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows with equal keys as CSV; None becomes an empty cell."""
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_predictions(path: Path, scored: Mapping[str, Scores], data: EvaluationData) -> None:
    """Write one row per evaluated sample: its origin, the predictions, every error.

    Joints are in metres relative to the wrist, in camera axes, not mirrored.
    """
    tables = [_predictions(scores, data) for scores in scored.values()]
    with atomic_file(path) as partial:
        pq.write_table(pa.concat_tables(tables), partial)


def _predictions(scores: Scores, data: EvaluationData) -> pa.Table:
    origin = data.origin(scores.sample_id)
    mirrored = torch.from_numpy(origin["is_left"].astype(bool) & data.canonical)
    columns: dict[str, Any] = {"sample_id": scores.sample_id, **origin}
    columns["has_mano"] = scores.has_mano
    columns |= scores.classes
    columns[f"{STAGE_1}_probability"] = scores.confidence
    for network, predicted in scores.predicted.items():
        columns |= {f"{network}_{level}": ids for level, ids in predicted.items()}
    for model, found in scores.pose.items():
        columns |= {f"{model}_{key}": v for key, v in found.items() if v.ndim == 1}
    for run, joints in scores.joints.items():
        in_photo = mirror_points(torch.from_numpy(joints), mirrored).numpy()
        columns[f"{run}_joints"] = pa.FixedSizeListArray.from_arrays(in_photo.ravel(), 63)
    return pa.table(columns)
