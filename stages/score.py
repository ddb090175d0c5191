"""One Stage 2 model on the test split, person by person: `python -m stages.score pretrained`.

Or `scratch`. Reads the shards, the labels, `data/ingest/samples.parquet`, the hand model and the
model in `models/pose/<run>/`, the test people's images of `ingest.held_out_gestures`, and with
`evaluate.shift` the shifted test sets of `stages/shift.py`. Writes `results/scores/`: <run>.json
and <run>_manifest.json. It is what experiments compare (`experiments/dvc.yaml`);
`stages/evaluate.py` measures all of a run.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.data.loading import Loading
from handpose.data.splits import HELD_OUT_GESTURES, TEST
from handpose.evaluation.scores import Models, Scores, score_split
from handpose.files import digest
from handpose.sample import UNLABELLED, HandBatch
from handpose.training.device import describe_device, prepare_device
from handpose.training.model_io import read_record
from handpose.training.trained_nets import load_pose_net
from stages.evaluation import figures
from stages.evaluation.data import EvaluationData
from stages.evaluation.summary import COMPARED
from stages.hand_model import load_hand_model
from stages.params import load_params
from stages.paths import LABELS, SCORES, SHARDS, SHIFTED, STAGE_2_MODELS
from stages.running.artifacts import write_json, write_manifest
from stages.running.command import chosen_run, stage_command
from stages.running.progress import Progress
from stages.shifting.shifted_scores import ShiftedSets


def main(argv: list[str] | None = None) -> None:
    """Score the model of one run, and write its mean errors by person."""
    started = time.monotonic()
    run = chosen_run("score", sys.argv[1:] if argv is None else argv)
    params = load_params()
    folder = STAGE_2_MODELS[run]
    record = read_record(folder)
    record.require(
        folder,
        stage="pose",
        handedness=params.label.handedness,
        labels_digest=digest(LABELS),
    )
    settings = params.evaluate
    device = prepare_device(settings.device, threads=0)
    data = EvaluationData.open(
        image_px=record.encoder["image_px"],
        canonical=params.label.handedness == "canonical",
        turn_camera=record.pose_net.get("turn_camera", True),
        batch=settings.batch,
        loading=Loading.on(device, workers=settings.loader_workers, key="evaluate.loader_workers"),
    )
    mano = load_hand_model(params.hand, params.data)
    means = data.training_means(mano).to(device)
    mano = mano.to(device)
    net = load_pose_net(folder, mano).to(device).eval()
    print(f"score {run}: on {describe_device(device, settings.device)}", flush=True)
    models = Models(net.gesture_net, net.gesture_net, {run: net}, means, mano)
    severities = settings.shift.severities
    shifted = ShiftedSets.open(SHIFTED, severities) if severities else None
    splits = [split for split in (TEST, HELD_OUT_GESTURES) if split in data.splits]
    total = sum(map(data.shards.index.count, splits)) + (shifted.images if shifted else 0)
    progress = Progress(f"score {run}", total, "images")

    def counted(split: str) -> Iterator[HandBatch]:
        for batch in data.batches(split):
            yield batch
            progress.step(len(batch))

    def people_of(scores: Scores) -> dict[str, dict[str, Any]]:
        return by_person(measures(scores, run), data.origin(scores.sample_id)["subject"])

    sets: dict[str, Any] = {}
    with data.loading:
        scores = score_split(counted(TEST), models)
        for split in splits[1:]:
            of_split = score_split(counted(split), models)
            sets[split] = {"test": test_digest(of_split.sample_id), "people": people_of(of_split)}
        for name, (own, person, test) in shifted.score(models, data, progress) if shifted else ():
            sets[name] = {"test": test, "people": by_person(measures(own, run), person)}
    people = people_of(scores)
    tokens = net.gesture_tokens
    steps, epochs = figures.length_of(folder / "curves.csv")
    out = SCORES / f"{run}.json"
    write_json(
        out,
        {
            "run": run,
            "test": test_digest(scores.sample_id),
            "weights": record.weights_sha256,
            "seconds": record.seconds,
            "steps": steps,
            "epochs": epochs,
            "kept_epoch": record.best_epoch,
            "gates": [] if tokens is None else [round(gate, 5) for gate in tokens.gates.tolist()],
            "people": people,
            **({"sets": sets} if sets else {}),
        },
    )
    write_manifest(
        SCORES / f"{run}_manifest.json",
        started=started,
        counts={"images": len(scores), "people": len(people)},
        outputs=[out],
    )


def measures(scores: Scores, run: str) -> dict[str, NDArray[Any]]:
    """What is compared, (N,) each, NaN where it is not defined.

    The errors of `COMPARED`; what each intervention on the gesture tokens adds to the first two of
    them; whether the gesture classes of Stage 2's heads are right.
    """
    own, first = scores.pose[run], COMPARED[:2]
    found = {key: own[key] for key in COMPARED}
    for name, changed in scores.interventions.get(run, {}).items():
        found |= {f"{name}_{key}": changed[key] - own[key] for key in first}
    for level, truth in scores.classes.items():
        hits = (scores.predicted[run][level] == truth).astype(np.float64)
        found[f"{level}_accuracy"] = np.where(truth == UNLABELLED, np.nan, hits)
    return found


def by_person(
    columns: Mapping[str, NDArray[Any]], person: NDArray[Any]
) -> dict[str, dict[str, Any]]:
    """Of each person the mean of each measure over the images that define it, and their number.

    Args:
        columns: (N,) each.
        person: (N,).
    """
    found: dict[str, dict[str, Any]] = {}
    for one in np.unique(person):
        rows = person == one
        found[str(one)] = {"images": int(rows.sum())}
        for key, values in columns.items():
            known = values[rows][~np.isnan(values[rows])]
            if len(known):
                found[str(one)][key] = {"mean": float(known.mean()), "images": len(known)}
    return found


def test_digest(sample_id: NDArray[Any]) -> str:
    """SHA-256 of the shards' index and of the scored samples: which images a result is of."""
    content = digest(SHARDS / "index.json").encode() + np.sort(sample_id).astype("<i8").tobytes()
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(stage_command(main, "score", takes_run=True))
