"""`handpose evaluate benchmark NAME`: a benchmark's own scores with intervals, and its file."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from handpose.counted import counted
from handpose.data.reader import BenchmarkReader, BenchmarkTruth
from handpose.evaluation import statistics
from handpose.evaluation.official import (
    COLUMNS,
    MM,
    THRESHOLDS_M,
    Floats,
    curve,
    official_scores,
    procrustes,
)
from handpose.evaluation.statistics import LENGTH, SHARE, Estimate
from handpose.files import digest
from handpose.hand.mano import FILE
from handpose.imported.submission import (
    FORMATS,
    JOINTS_OVER_MESH,
    Submission,
    check_order,
    read_submission,
    write_submission,
)
from handpose.training.model_io import read_record
from pipeline.benchmark.evaluate_hint import evaluate_hint
from pipeline.benchmark.own_predictions import BenchmarkError, own_predictions
from pipeline.licence_guard import is_free_hand
from stages.evaluation.report import WIDTH, aligned, digits, format_estimate
from stages.evaluation.summary import to_json
from stages.ingestion.formats import BENCHMARKS, benchmark_root, open_benchmark
from stages.params import Params
from stages.running.artifacts import write_json

SCHEMA = 1
"""Of the JSON file; it grows when a field goes, or means another thing."""

HANDS_AT_A_TIME = 256

HINT = "hint"
"""The benchmark with 2D joints alone."""


@dataclass(frozen=True)
class BenchmarkRequest:
    """What `handpose evaluate benchmark` was asked for."""

    name: str
    predictions: Path | None  # to score; None: this clone's model
    submission: Path | None  # to write
    model: Path
    out: Path
    device: torch.device


def evaluate_benchmark(
    request: BenchmarkRequest, params: Params, write: Callable[[str], None]
) -> Path:
    """Score predictions of a benchmark's evaluation set; returns the JSON file of the numbers.

    Raises:
        HandPoseError: the benchmark is not configured or damaged, or the predictions are refused.
    """
    name = request.name
    if name not in (*BENCHMARKS, HINT):
        known = ", ".join([*BENCHMARKS, HINT])
        raise BenchmarkError(f"there is no benchmark {name!r}; there are {known}")
    if name not in params.data.benchmarks:
        raise BenchmarkError(
            f"data.benchmarks in params.yaml does not name {name}; add its folder: "
            f"benchmarks: {{{name}: FOLDER}}"
        )
    if name == HINT:
        if request.predictions or request.submission:
            raise BenchmarkError(
                "HInt has no submission file: --predictions and --submission do not go with it"
            )
        return evaluate_hint(
            benchmark_root(params.data, name),
            request.model,
            Path(params.hand.mano),
            request.out,
            str(request.device),
            write,
        )
    reader, form = open_benchmark(params.data, name), FORMATS[name]
    truth = reader.truth()
    if request.predictions is not None:
        found = read_submission(request.predictions, form, truth.official)
        check_order(request.predictions, form, found, truth.joints)
        who, source = request.predictions.name, {"sha256": digest(request.predictions)}
    else:
        found = own_predictions(name, request.model, params, reader, truth, request.device)
        who = str(request.model)
        source = {"sha256": read_record(request.model).weights_sha256}
    if request.submission is not None:
        write_submission(request.submission, form, found, truth.official)
        write(f"wrote {request.submission}, as the evaluator of {form.name} reads it")
    of_stand_in = request.predictions is None and is_free_hand(Path(params.hand.mano) / FILE)
    if of_stand_in:
        found = Submission(found.joints, None)
    errors = scored(found, truth)
    estimates = {
        key: statistics.mean(values, truth.unit, bounds=LENGTH if key.endswith("_mm") else SHARE)
        for key, values in errors.items()
    }
    remarks = list(_remarks(request, params, reader, truth, estimates, of_stand_in=of_stand_in))
    units = len(np.unique(truth.unit))
    heading = (
        f"{who} on {form.name}: {counted(len(truth.official), 'hand')}; [low, high]: Student's "
        f"95 % interval over {reader.units.explained(units)}."
    )
    write(textwrap.fill(heading, WIDTH))
    write("")
    for line in aligned(("by the benchmark's own evaluator", who), list(_rows(estimates))):
        write(line)
    write("")
    for remark in remarks:
        write(textwrap.fill(f"- {remark}", WIDTH, subsequent_indent="  "))
    target = request.out / name / f"{Path(who).name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        target,
        {
            "schema": SCHEMA,
            "benchmark": name,
            "predictions": {"name": who, **source},
            "data_sha256": truth.sha256,
            "hands": len(truth.official),
            "intervals_over": reader.units.to_json(units),
            "estimates": to_json(estimates),
            "pck": _curves(found, truth),
            "protocols": {c.key: c.protocol for c in COLUMNS if c.key in estimates},
            "remarks": remarks,
        },
    )
    write(f"wrote {target}")
    return target


def scored(found: Submission, truth: BenchmarkTruth) -> dict[str, Floats]:
    """The official scores of each hand, some hundreds at a time."""
    parts: list[dict[str, Floats]] = []
    for start in range(0, len(truth.official), HANDS_AT_A_TIME):
        rows = slice(start, start + HANDS_AT_A_TIME)
        meshes = [None if v is None else v[rows] for v in (found.vertices, truth.vertices)]
        parts.append(official_scores(found.joints[rows], truth.joints[rows], *meshes))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _rows(estimates: Mapping[str, Estimate]) -> Iterator[tuple[str, str]]:
    for column in COLUMNS:
        if column.key in estimates:
            name = f"{column.name}{', mm' if column.unit else ''}"
            yield name, format_estimate(estimates[column.key], digits(column.key))


def _curves(found: Submission, truth: BenchmarkTruth) -> dict[str, list[float]]:
    """PCK of the joints at each threshold, as they are and after Procrustes."""
    as_they_are = np.linalg.norm(found.joints - truth.joints, axis=-1)
    best = np.linalg.norm(procrustes(found.joints, truth.joints) - truth.joints, axis=-1)
    return {
        "threshold_mm": (MM * THRESHOLDS_M).round(6).tolist(),
        "as_they_are": curve(as_they_are).tolist(),
        "procrustes": curve(best).tolist(),
    }


def _remarks(
    request: BenchmarkRequest,
    params: Params,
    reader: BenchmarkReader,
    truth: BenchmarkTruth,
    estimates: Mapping[str, Estimate],
    *,
    of_stand_in: bool,
) -> Iterator[str]:
    """What a reader of the table must know."""
    form = FORMATS[request.name]
    if form.hands is not None and len(truth.official) != form.hands:
        yield (
            f"The evaluation set holds {len(truth.official):,} of the official {form.hands:,} "
            "hands: these numbers are not comparable with published ones."
        )
    if request.predictions is None:
        trained = request.name in params.data.trained_benchmarks
        yield (
            "Trained on its training set, if the model is of these parameters."
            if trained
            else "Zero-shot: data.trained_benchmarks does not name it."
        )
        yield (
            "Wrists were put where the data set says they are."
            if reader.wrist_is_given
            else "Hands were placed by the predicted 2D joints and the camera's K: rows `as they "
            "are` have the depth of the predicted hand's size."
        )
    if of_stand_in:
        yield (
            "The hand is not MANO, and its vertices are not MANO's: meshes are not scored, and a "
            "submission's meshes mean nothing."
        )
    if truth.vertices is None:
        yield "The data set publishes no meshes."
    joints, mesh = (estimates.get(f"{key}_pa_mm") for key in ("xyz", "mesh"))
    if joints and mesh and joints.value > JOINTS_OVER_MESH * mesh.value:
        yield (
            f"After Procrustes joints are {joints.value:.1f} mm off and meshes {mesh.value:.1f} "
            "mm: so far apart they are by another definition, or in another order."
        )
