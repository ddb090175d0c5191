"""What a model of this clone predicts of a benchmark's evaluation set, in the official order."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from handpose.counted import counted
from handpose.data.reader import BenchmarkReader, BenchmarkTruth
from handpose.errors import HandPoseError
from handpose.hand.placement import wrist_by_pixels
from handpose.hand.skeleton import WRIST
from handpose.imported.submission import Floats, Submission
from handpose.training.trained_nets import load_pose_net, read_pose_record
from pipeline.imported.export import points_in_photo
from pipeline.imported.held_out import HeldOut
from stages.evaluation.data import EvaluationData
from stages.hand_model import load_hand_model
from stages.params import Params
from stages.paths import REJECTS, SAMPLES, SHARD_REJECTS
from stages.running.progress import Progress


class BenchmarkError(HandPoseError):
    """A benchmark cannot be scored."""


@torch.no_grad()
def own_predictions(
    name: str,
    model: Path,
    params: Params,
    reader: BenchmarkReader,
    truth: BenchmarkTruth,
    device: torch.device,
) -> Submission:
    """Predictions of every hand of the evaluation set, placed in the camera's frame.

    Joints are those that the benchmark annotates, of the predicted mesh. Where wrists are given,
    hands are put there; elsewhere where the 2D joints are seen.

    Raises:
        HandPoseError: there is no such model, or a hand is not in the shards.
    """
    record = read_pose_record(model)
    data = EvaluationData.for_model(record, params.evaluate, device)
    held_out = HeldOut.open(data, name)
    row_of = _rows(name, truth, held_out)
    mano = load_hand_model(params.hand, params.data, name)
    net = load_pose_net(model, load_hand_model(params.hand, params.data).to(device))
    net.to(device).eval()
    found: defaultdict[str, list[Floats]] = defaultdict(list)
    progress = Progress(f"benchmark {name}", len(held_out), "hands")
    first = 0
    with data.loading:
        for batch in data.batches(name):
            rows = slice(first, first + len(batch))
            is_left, K = held_out.is_left[rows], held_out.K_photo[rows]
            points = points_in_photo(net, batch, is_left, K, data.canonical)
            vertices = points["vertices"]
            joints = mano.joints_from(torch.from_numpy(vertices)).double().numpy()
            if reader.wrist_is_given:
                at = truth.joints[row_of[rows], WRIST] - joints[:, WRIST]
            else:
                at = wrist_by_pixels(points["joints"], points["joints_2d"], K)
            found["joints"].append(joints + at[:, None])
            found["vertices"].append(vertices + at[:, None])
            first += len(batch)
            progress.step(len(batch))
    order = np.argsort(row_of)
    joints, vertices = (np.concatenate(found[key])[order] for key in ("joints", "vertices"))
    return Submission(joints, vertices)


def _rows(name: str, truth: BenchmarkTruth, held_out: HeldOut) -> NDArray[np.intp]:
    """The row of the truth of each sample in the shards: all of them, once."""
    table = pq.read_table(
        SAMPLES, columns=["sample_id", "annotation_id"], filters=[("split", "=", name)]
    )
    number = dict(
        zip(table["sample_id"].to_pylist(), table["annotation_id"].to_pylist(), strict=True)
    )
    row = {annotation: k for k, annotation in enumerate(truth.official.tolist())}
    own = np.array([row[number[one]] for one in held_out.fields["sample_id"].tolist()], np.intp)
    lacking = len(row) - len(np.unique(own))
    if lacking:
        raise BenchmarkError(
            f"{counted(lacking, 'hand')} of the {len(row):,} of {name} are not in the shards, and "
            f"a score without them is none of this benchmark: {_reasons(name)}. `handpose data "
            "rejects` shows one of each reason"
        )
    return own


def _reasons(name: str) -> str:
    """Why hands of a benchmark were rejected, with counts."""
    reasons = []
    for path in (REJECTS, SHARD_REJECTS):
        if path.suffix == ".parquet" and path.is_file():
            table = pq.read_table(path, columns=["source_split", "reason"])
            own = table.filter(pc.starts_with(table["source_split"], name))
            counts = own["reason"].value_counts().to_pylist()
            reasons += [f"{one['counts']} {one['values']}" for one in counts]
    return ", ".join(reasons) or f"see {SHARD_REJECTS}"
