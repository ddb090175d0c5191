"""`handpose release`: pack the trained model of profile `wide`, measure it, describe it."""

from __future__ import annotations

import csv
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import safetensors.torch

from handpose.errors import HandPoseError
from handpose.estimator import RELEASED, HandEstimator
from handpose.evaluation.statistics import Estimate
from handpose.files import atomic_folder
from handpose.hand.mano import Mano
from handpose.predict import Predictor
from handpose.synthetic.dataset_plan import DatasetSpec
from handpose.synthetic.sequence import Photograph, SequenceRenderer
from handpose.training.model_io import ModelRecord, read_record
from pipeline.clones.machine_record import Machine
from pipeline.clones.training_clone import Source
from pipeline.confidence.confidence import train_confidence
from pipeline.licence_guard import is_stand_in, is_synthetic
from pipeline.profiles.configure import values_of
from pipeline.release.card import card
from pipeline.release.drawing import write_drawing
from pipeline.release.examples import write_examples
from pipeline.release.new_people import CALIBRATION, new_people
from pipeline.release.scoring import Scored, joints_box, score
from pipeline.release.shifted_sets import IMAGES, PEOPLE, SETS, ShiftedSet
from pipeline.release.training_start import TrainingStart
from pipeline.runner.dvc_repro import run_repro
from pipeline.runner.output import Output
from stages.evaluation.summary import to_json
from stages.params import Params
from stages.paths import SAMPLES, STAGE_2_MODELS, STAND_IN, SYNTHETIC, is_same_path

MODEL = STAGE_2_MODELS["pretrained"]
WIDE = "wide"
MOST_BYTES = 10_000_000
EXAMPLES = 48
DRAWN = 12
CALIBRATED = 5
"""People and images that the confidence head is calibrated on, over those of a test set."""
CALLS = 15
"""Timed calls of the estimator, by number of photos."""


class ReleaseError(HandPoseError):
    """What is here may not be released, or is not trained yet."""


def release(
    start: TrainingStart,
    params: Params,
    show: Callable[[str], None] = print,
    *,
    people: int = PEOPLE,
    images: int = IMAGES,
) -> Path:
    """Write `handpose/released/`: weights in half precision, record, card, numbers, pictures.

    A confidence head is trained for these weights, and calibrated on people rendered for it: the
    test sets are of yet others.

    Args:
        start: the clone, whose commit the card names, as it was before the training.
        params: its parameters; the model was trained with them.
        show: gets a line for each test set.
        people: of each test set.
        images: of each test set.

    Raises:
        ReleaseError: the data or the hand are not the project's own, the network has no view heads,
            its weights began as somebody else's, or what decides them was changed since the start.
        CheckpointError: the model is not trained, or with other parameters.
        ConfidenceError: there are no photos to train a confidence head with.
    """
    root = start.source.root
    require_own(root, params)
    require_unchanged(start)
    record = read_record(root / MODEL)
    record.require(
        root / MODEL, encoder=params.encoder.keywords(), pose_net=params.pose_net.keywords()
    )
    spec = wide_spec()
    out = root / "handpose" / RELEASED
    before = earlier(out, record) if params.pose.start else []
    with atomic_folder(out) as folder:
        facts = pack(root / MODEL, folder, record)
        head = train_confidence(
            folder,
            mano=root / STAND_IN,
            photos=root / SYNTHETIC,
            samples=root / SAMPLES,
            calibration=lambda predictor: new_people(
                predictor,
                spec,
                seed=CALIBRATION,
                people=CALIBRATED * people,
                images=CALIBRATED * images,
            ),
        )
        show(f"release: confidence {head}")
        facts["confidence"] = asdict(head)
        predictor = Predictor.load(folder, mano=root / STAND_IN)
        facts |= measure(predictor, spec, show, people=people, images=images)
        facts |= origin(start.source, params, record) | {"earlier": before}
        facts |= {"people_a_set": people, "images_a_set": images}
        photographs = example_photographs(spec, predictor.net.mano)
        facts["examples"] = write_examples(folder, predictor, photographs)
        estimator = HandEstimator(predictor)
        facts["images_per_s"] = speed(estimator, photographs)
        write_drawing(folder, estimator, photographs[:: max(1, len(photographs) // DRAWN)])
        (folder / "numbers.json").write_text(json.dumps(to_json(facts), indent=1) + "\n", "utf-8")
        numbers = json.loads((folder / "numbers.json").read_text("utf-8"))
        (folder / "card.md").write_text(card(numbers), "utf-8")
    return out


def train(root: Path) -> None:
    """Bring the model up to date: `dvc repro pose`, its lines on standard output.

    Raises:
        ReleaseError: it failed.
    """
    output = Output()
    try:
        code = run_repro(root, ["pose"], output.line)
    finally:
        output.close()
    if code:
        raise ReleaseError(
            f"`dvc repro pose` ended with exit code {code}, for the reason above; the same command "
            "again resumes it"
        )


def require_own(root: Path, params: Params) -> None:
    """Refuse to release what others have a say in; data that are not made yet will be our own.

    Raises:
        ReleaseError: it names what is not the project's own.
    """
    wrong = []
    data, hand = root / SYNTHETIC, root / STAND_IN / "MANO_RIGHT.npz"
    if not is_same_path(params.data.root, SYNTHETIC) or (data.is_dir() and not is_synthetic(data)):
        wrong.append(f"data.root is {params.data.root}, expected this project's {SYNTHETIC}")
    if not is_same_path(params.hand.mano, STAND_IN) or (hand.is_file() and not is_stand_in(hand)):
        wrong.append(f"hand.mano is {params.hand.mano}, expected the stand-in in {STAND_IN}")
    if params.encoder.weights:
        wrong.append(f"encoder.weights is {params.encoder.weights}, expected '': a random start")
    if not params.pose_net.view_heads:
        wrong.append("pose_net.view_heads is false: the model could not tell left from right")
    if params.pose_net.ray_input:
        wrong.append("pose_net.ray_input is true: the model could not take a photo without K")
    if wrong:
        raise ReleaseError(
            f"{'; '.join(wrong)}. `handpose configure --profile wide` sets these, and `dvc repro "
            "pose` trains it"
        )


def require_committed(root: Path, *, allow_dirty: bool = False) -> Source:
    """The clone, whose commit the card names; what training and packing write may be uncommitted.

    Raises:
        ReleaseError: something else is, and `allow_dirty` is not set.
        GitError: it is no repository with a commit, or git cannot be asked.
        CloneError: it is not the folder of the clone.
    """
    source = Source.of(root, except_for=(Path("handpose") / RELEASED,))
    if source.changed and not allow_dirty:
        raise ReleaseError(
            f"{source.some_changes()} not committed: the card has to name a commit that made the "
            "weights. Commit first; or --allow-dirty releases with these changes, and the card "
            "says so"
        )
    return source


def require_unchanged(start: TrainingStart) -> None:
    """Refuse weights in whose training other code, parameters or labels may have come into use.

    Raises:
        ReleaseError: it names what changed.
    """
    if changes := start.changes():
        raise ReleaseError(
            f"changed since the training began: {', '.join(changes)}. So it is not known that "
            f"commit {start.source.commit[:10]} made the weights. They are kept in {MODEL}: undo "
            "these changes, and `handpose release` trains again only what they came into; or "
            "commit them, and it trains with them"
        )


def pack(model: Path, folder: Path, record: ModelRecord) -> dict[str, Any]:
    """Write the weights in half precision and their record; returns what the card says of them.

    Raises:
        ReleaseError: they are too large for git, or for half precision.
    """
    tensors = safetensors.torch.load_file(model / "model.safetensors")
    half = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    if wrong := [k for k, t in half.items() if not t.isfinite().all()]:
        raise ReleaseError(f"{model}: not finite in half precision: {', '.join(wrong)}")
    content = safetensors.torch.save(half)
    if len(content) > MOST_BYTES:
        raise ReleaseError(
            f"{model}: {len(content) / 1e6:.1f} MB in half precision, expected at most "
            f"{MOST_BYTES / 1e6:.0f} MB in git; take a smaller encoder.backbone"
        )
    digest = hashlib.sha256(content).hexdigest()
    (folder / "model.safetensors").write_bytes(content)
    fields = asdict(record) | {"weights_sha256": digest}
    (folder / "model.json").write_text(json.dumps(fields, indent=2) + "\n", "utf-8")
    parameters = sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point())
    return {"bytes": len(content), "sha256": digest, "parameters": parameters}


def measure(
    predictor: Predictor,
    spec: DatasetSpec,
    show: Callable[[str], None],
    *,
    people: int,
    images: int,
) -> dict[str, Any]:
    """The model's estimates on every shifted set, and on the first by rotation and by face."""
    sets: dict[str, Any] = {}
    facts: dict[str, Any] = {"sets": sets}
    for k, one in enumerate(SETS):
        begun = time.monotonic()
        scored = score_set(predictor, one, spec, people=people, images=images)
        estimates = scored.estimates()
        confidence = scored.confidence()
        sets[one.name] = {"what": one.what, "estimates": estimates, "confidence": confidence}
        show(
            f"release: {k + 1}/{len(SETS)} {one.name}: {_brief(estimates)}; "
            f"{len(scored.person) / (time.monotonic() - begun):.0f} images/s"
        )
        if k == 0:
            facts |= {"by_rotation": scored.by_sector(), "by_facing": scored.by_facing()}
    if predictor.net.second_look:
        predictor.net.second_look = False
        facts["one_look"] = score_set(
            predictor, SETS[0], spec, people=people, images=images
        ).estimates()
        predictor.net.second_look = True
        show(f"release: {SETS[0].name}, one pass: {_brief(facts['one_look'])}")
    return facts


def speed(estimator: HandEstimator, photographs: Sequence[Photograph]) -> dict[str, float]:
    """Photos a second from arrays in memory, by photos a call: the median of `CALLS` calls."""
    found = {}
    for batch in (1, 16):
        photos = [photographs[k % len(photographs)] for k in range(batch)]
        images = [photo.image for photo in photos]
        boxes = [joints_box(photo).tolist() for photo in photos]
        seconds = []
        for _ in range(CALLS):
            begun = time.perf_counter()
            estimator.batch(images, boxes)
            seconds.append(time.perf_counter() - begun)
        found[str(batch)] = batch / statistics.median(seconds)
    return found


def score_set(
    predictor: Predictor, one: ShiftedSet, trained: DatasetSpec, *, people: int, images: int
) -> Scored:
    """Scores of the model on one set."""
    spec = one.spec(trained, people, images)
    photographs = one.photographs(spec, predictor.net.mano)
    return score(predictor, photographs, spec.rng("boxes", one.name))


def origin(source: Source, params: Params, record: ModelRecord) -> dict[str, Any]:
    """What the model was made of: data, steps, hours, machine, commit."""
    root = source.root
    samples = pq.read_table(root / SAMPLES, columns=["subject", "split"])
    train = samples.filter(pc.equal(samples["split"], "train"))
    with (root / MODEL / "curves.csv").open(encoding="utf-8") as stream:
        steps = max(int(float(row["step"])) for row in csv.DictReader(stream))
    return {
        "data": {
            "images": len(train),
            "people": len(pc.unique(train["subject"])),
            "seed": params.synthesize.seed,
            "unlike_wide": unlike_wide(params),
        },
        "training": {
            "seconds": record.seconds,
            "steps": steps,
            "batch": params.pose.batch,
        },
        "machine": asdict(Machine.here()),
        "commit": source.commit,
        "uncommitted": len(source.changed),
    }


def earlier(out: Path, record: ModelRecord) -> list[dict[str, Any]]:
    """What the weights that this training started from were made of, first training first.

    They must be weights that were released here, whose origin `numbers.json` records.

    Raises:
        ReleaseError: they are not.
    """
    path = out / "numbers.json"
    numbers = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    trainings = numbers.get("earlier", [])
    if numbers:
        own = {key: numbers[key] for key in ("sha256", "data", "training", "machine", "commit")}
        trainings = [*trainings, own]
    for k, training in enumerate(trainings):
        if training["sha256"] == record.before:
            return list(trainings[: k + 1])
    raise ReleaseError(
        f"pose.start: the training began with weights of SHA-256 {record.before[:16]}, which "
        f"{path} does not know; expected pose.start: handpose/released, whose origin it records"
    )


def wide_spec() -> DatasetSpec:
    """What the sets change: profile `wide`, whatever was trained on, so that releases compare."""
    wide = Params.model_validate(values_of(WIDE))
    return DatasetSpec(**wide.synthesize.keywords(without={"workers"}))


def unlike_wide(params: Params) -> list[str]:
    """Keys of data and networks that a profile sets, with other values than those of `wide`."""
    named = values_of(WIDE)
    own, wide = (one.model_dump(mode="json") for one in (params, Params.model_validate(named)))
    return [
        f"{section}.{key}"
        for section in ("synthesize", "encoder", "pose_net", "pretrain", "pose")
        for key in named[section]
        if own[section][key] != wide[section][key]
    ]


def example_photographs(trained: DatasetSpec, mano: Mano) -> list[Photograph]:
    """Photographs of the first set that go into git, spread over its people and gestures."""
    spec = SETS[0].spec(trained)
    sequences = SETS[0].sequences(spec)
    renderer = SequenceRenderer(spec, mano, SETS[0].poses())
    chosen = sequences[:: max(1, len(sequences) // EXAMPLES)][:EXAMPLES]
    return [next(renderer.photographs(sequence)) for sequence in chosen]


def _brief(found: Mapping[str, Estimate]) -> str:
    """`32.1 mm, PA 11.0, 2D 7.2 %, side 97 %`."""
    wrist, pa, flat, side = (
        found[key].value for key in ("wrist_mpjpe_mm", "pa_mpjpe_mm", "error_2d", "side")
    )
    return f"{wrist:.1f} mm, PA {pa:.1f}, 2D {100 * flat:.1f} %, side {100 * side:.0f} %"
