"""`handpose confidence`: train a model's confidence head, calibrate it, and put it beside it.

The model is not changed. The head learns from people that the model was trained on and is
calibrated on people that neither was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from handpose.confidence.calibration import REGION
from handpose.confidence.confidence_head import ConfidenceHead
from handpose.confidence.confidence_io import ConfidenceRecord, save_confidence
from handpose.confidence.head_fit import HeadExamples, calibrate, fit_head, join_examples
from handpose.data.annotation_table import INTERACTING
from handpose.data.photo import Photo, PhotoError, read_photo
from handpose.data.splits import TRAIN, VALIDATION
from handpose.errors import HandPoseError
from handpose.predict import Predictor
from pipeline.confidence.judged import judge
from pipeline.confidence.true_view import (
    TrueView,
    empty_view,
    empty_window,
    hand_view,
    users_box,
)
from stages.paths import SAMPLES, require
from stages.running.progress import Progress

TRAINED_ON, CALIBRATED_ON = 6000, 3000
"""Photos, at most."""
EMPTY_SHARE = 0.5
"""Of photos that give a window without a hand, if they have room for one."""
EPOCHS, BATCH, SEED = 20, 64, 0

COLUMNS = ("subject", "split", "image", "width", "height", "bbox", "K", "joints_cam", "joint_valid",
           "is_left", "kind")  # fmt: skip


class ConfidenceError(HandPoseError):
    """There are no photos to train or to calibrate a confidence head with."""


def train_confidence(
    model: Path,
    *,
    mano: Path | str,
    photos: Path,
    samples: Path = SAMPLES,
    device: str = "cpu",
    calibration: Callable[[Predictor], Iterable[TrueView]] | None = None,
    most: tuple[int, int] = (TRAINED_ON, CALIBRATED_ON),
) -> ConfidenceRecord:
    """Train and calibrate the head of the model in this folder, and write it there.

    Args:
        model: folder of a Stage 2 model.
        mano: folder of the hand model.
        photos: the folder that the samples' images are below.
        samples: samples.parquet of the data set.
        device: that the model runs on; the head is trained on the CPU.
        calibration: views of people that the model was not trained on; by default photos of those
            of split validation.
        most: photos to train and to calibrate with.

    Raises:
        ConfidenceError: a split has no usable photo, or none with room for a window without a
            hand.
        NoConfidenceInputError: the network is a baseline.
        CheckpointError: there is no Stage 2 model.
        ManoError: there is no hand model.
        JointError: the joint regressor that it was trained with is not in `mano`.
    """
    predictor = Predictor.load(model, mano=mano, device=device, confidence=False)
    training, counts = _photographed(predictor, photos, samples, TRAIN, most[0])
    if calibration is None:
        others, other_counts = _photographed(predictor, photos, samples, VALIDATION, most[1])
    else:
        found = list(judge(predictor, calibration(predictor)))
        others, other_counts = join_examples(found), _counts(found) | {"damaged": 0}
    head = train_head(training, others)
    record = ConfidenceRecord(
        model_sha256=predictor.record.weights_sha256,
        features=training.seen.features.shape[-1],
        dim=training.seen.tokens.shape[-1],
        hidden=head.log_scales.in_features,
        region=REGION,
        training=counts,
        calibration=other_counts,
        factors=head.factors.tolist(),
    )
    save_confidence(model, head, record)
    return record


def _photographed(
    predictor: Predictor, photos: Path, samples: Path, split: str, most: int
) -> tuple[HeadExamples, dict[str, int]]:
    """What the model makes of photos of a split, and how many there are of what."""
    rng = np.random.default_rng([SEED, (TRAIN, VALIDATION).index(split)])
    rows = chosen_rows(samples, split, most, rng)
    reader = ViewReader(predictor, photos, rng)
    found = list(judge(predictor, reader.views(rows, f"confidence: {split}")))
    counts = _counts(found)
    if not (counts["hands"] and counts["windows"]):
        raise ConfidenceError(
            f"{photos}: {counts['hands']} hands and {counts['windows']} windows without a hand in "
            f"{len(rows)} photos of split {split}, expected some of each; {reader.damaged} photos "
            "are missing or damaged. `handpose data verify` checks them; windows need photos with "
            "room beside the hand"
        )
    return join_examples(found), counts | {"damaged": reader.damaged}


def train_head(training: HeadExamples, calibration: HeadExamples) -> ConfidenceHead:
    """A head trained on the first examples and calibrated on the second; the same every time."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        seen = training.seen
        head = ConfidenceHead(features=seen.features.shape[-1], dim=seen.tokens.shape[-1])
        fit_head(head, training, epochs=EPOCHS, batch=BATCH, generator=generator)
    calibrate(head, calibration)
    return head


def chosen_rows(
    samples: Path, split: str, most: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Rows of samples.parquet of a split, at random; their columns `COLUMNS`.

    Raises:
        ConfidenceError: the file is missing, or it has no sample of this split.
    """
    require(samples, "ingest", ConfidenceError)
    table = pq.read_table(samples, columns=list(COLUMNS))
    table = table.filter(pc.equal(table["split"], split))
    if not len(table):
        raise ConfidenceError(
            f"{samples}: no sample of split {split}; a confidence head needs training and "
            "validation samples. Check ingest.validation_subjects in params.yaml"
        )
    order = np.sort(rng.permutation(len(table))[:most])
    rows: list[dict[str, Any]] = table.take(pa.array(order)).to_pylist()
    return rows


class ViewReader:
    """Reads photos, and views hands in them, and windows without one."""

    def __init__(self, predictor: Predictor, photos: Path, rng: np.random.Generator) -> None:
        """Views for this model of photos below this folder; `rng` draws boxes and windows."""
        self._px = predictor.net.gesture_net.image_px
        self._turn_camera = predictor.net.turn_camera
        self._box_scale = predictor.box_scale
        self._photos, self._rng = photos, rng
        self.damaged = 0

    def views(self, rows: Sequence[dict[str, Any]], name: str) -> Iterator[TrueView]:
        """The hand of each row in a user's box, and windows without a hand of some photos."""
        for row in Progress(name, len(rows), "photos").over(rows):
            photo = Photo(self._photos / row["image"], row["width"], row["height"])
            try:
                image = read_photo(photo)
            except PhotoError:
                self.damaged += 1
                continue
            box = np.array(row["bbox"])
            yield hand_view(
                image,
                users_box(box, self._rng),
                K=np.array(row["K"], np.float64).reshape(3, 3),
                joints_cam=np.array(row["joints_cam"]).reshape(-1, 3),
                valid=np.array(row["joint_valid"], np.bool_),
                is_left=row["is_left"],
                person=row["subject"],
                px=self._px,
                box_scale=self._box_scale,
                turn_camera=self._turn_camera,
            )
            # beside one of two hands is the other
            if self._rng.uniform() < EMPTY_SHARE and row["kind"] != INTERACTING:
                window = empty_window(box, (row["width"], row["height"]), self._rng)
                if window is not None:
                    yield empty_view(image, window, px=self._px)


def _counts(examples: Sequence[HeadExamples]) -> dict[str, int]:
    hands = sum(int(part.is_hand.sum()) for part in examples)
    return {
        "hands": hands,
        "windows": sum(map(len, examples)) - hands,
        "people": len({one for part in examples for one in part.person[part.is_hand].tolist()}),
    }
