"""What the two training doors share: their data, their recipe, and what they leave behind."""

from __future__ import annotations

import contextlib
import csv
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import handpose
from handpose.data.augment import Augmentation
from handpose.data.labels import ClassIds, Labels
from handpose.data.loading import HERE, Loading
from handpose.data.shards import Shards
from handpose.distributed import SINGLE_PROCESS, Distributed, local_rank
from handpose.errors import HandPoseError
from handpose.files import atomic_file, digest
from handpose.sample import HandBatch
from handpose.training.checkpoint import Checkpoint
from handpose.training.fit import FitSettings, Fitted
from handpose.training.history import Row
from handpose.training.model_io import ModelRecord, save_model
from handpose.training.schedules import lr_factor
from stages.artifacts import write_json, write_manifest
from stages.params import TrainParams
from stages.paths import LABELS, SHARDS

WORK = Path("work")
"""Live checkpoints; outside of DVC's outs, which it deletes before a stage runs."""

HARMLESS = {"device", "threads", "processes", "checkpoint_every_s"}
"""Keys of a training section that may change while a run is resumed: they change how it runs, not
what it learns."""


class TrainingDataError(HandPoseError):
    """The shards or the labels do not allow this training."""


@dataclass(frozen=True)
class TrainingData:
    """Shards joined with their labels, as one training section of `params.yaml` wants them."""

    shards: Shards
    labels: Mapping[str, ClassIds]
    coarse: list[str]  # class names by id
    fine: list[str]
    hands: list[str]  # right or left, of each coarse class
    image_px: int
    handedness: str
    fit: TrainParams
    distributed: Distributed  # the processes that share it
    loading: Loading

    @classmethod
    def open(
        cls,
        fit: TrainParams,
        *,
        image_px: int,
        handedness: str,
        distributed: Distributed = SINGLE_PROCESS,
        loading: Loading = HERE,
    ) -> TrainingData:
        """The data in their usual places.

        Raises:
            LabelsError: labels are missing or damaged.
            TrainingDataError: there is not a batch to train on or not a sample to validate on, or a
                batch has fewer samples than processes share it.
            ShardError: shards are missing or damaged.
        """
        labels = Labels.read(LABELS)
        data = cls(
            shards=Shards.open(SHARDS),
            labels=labels.ids,
            coarse=labels.coarse,
            fine=labels.fine,
            hands=labels.hands,
            image_px=image_px,
            handedness=handedness,
            fit=fit,
            distributed=distributed,
            loading=loading,
        )
        data._check_sizes()
        return data

    def _check_sizes(self) -> None:
        if self.fit.batch < self.distributed.world:
            raise TrainingDataError(
                f"a batch of {self.fit.batch} samples cannot be shared by {self.distributed.world} "
                "processes: start fewer of them, or set batch (of all together) in params.yaml to "
                f"{self.distributed.world} or more"
            )
        for split, least in (("train", self.fit.batch), ("validation", 1)):
            found = self.shards.index.count(split)
            if found < least:
                raise TrainingDataError(
                    f"{SHARDS}: split {split} holds {found} samples, needed are at least {least}. "
                    "ingest.validation_subjects and ingest.test_subjects in params.yaml say who is "
                    "held out, data/ingest/split.json who is where; `dvc repro` applies a change"
                )

    @property
    def bf16(self) -> bool:
        """Whether networks run in bf16."""
        return self.fit.precision == "bf16"

    @property
    def steps_per_epoch(self) -> int:
        """Whole training batches in an epoch."""
        return self.shards.index.count("train") // self.fit.batch

    def train(self, epoch: int, skip: int) -> Iterator[HandBatch]:
        """This process's slices of an epoch's (from 0) augmented batches, but the first `skip`."""
        return self.shards.batches(
            "train",
            batch=self.fit.batch,
            image_px=self.image_px,
            labels=self.labels,
            canonical=self.handedness == "canonical",
            seed=self.fit.seed,
            epoch=epoch,
            skip=skip,
            augmentation=Augmentation(**self.fit.augment.model_dump()),
            loading=self.loading,
            distributed=self.distributed,
        )

    def validation(self) -> Iterator[HandBatch]:
        """Every validation sample once, as it is: this process's turns of the batches."""
        return self.shards.batches(
            "validation",
            batch=self.fit.batch,
            image_px=self.image_px,
            labels=self.labels,
            canonical=self.handedness == "canonical",
            loading=self.loading,
            distributed=self.distributed,
        )

    def recipe(self, *, best: str, maximise: bool) -> FitSettings:
        """How the section says to train; `best` picks the weights, larger being better or not."""
        fit, steps = self.fit, self.steps_per_epoch

        def lr(step: int) -> float:
            return fit.lr * lr_factor(
                fit.schedule,
                step,
                epochs=fit.epochs,
                steps_per_epoch=steps,
                milestones=fit.milestones,
            )

        return FitSettings(
            epochs=fit.epochs,
            steps_per_epoch=steps,
            lr=lr,
            weight_decay=fit.weight_decay,
            clip_norm=fit.clip_norm,
            ema=fit.ema,
            bf16=self.bf16,
            best=best,
            maximise=maximise,
            checkpoint_every_s=fit.checkpoint_every_s,
        )

    def identity(self, net: Mapping[str, Any], **more: str) -> dict[str, Any]:
        """All that decides the weights: a checkpoint is resumed only where all of it is the same.

        Of a file with weights to start from, its content counts.

        `more` are further things by name, such as digests of other inputs.
        """
        return {
            "fit": self.fit.model_dump(mode="json", exclude=HARMLESS),
            "net": dict(net),
            "start": digest(start) if (start := Path(net["weights"])).is_file() else "",
            "handedness": self.handedness,
            "labels": digest(LABELS),
            "shards": digest(SHARDS / "index.json"),
            "code": _code_digest(),
            **more,
        }

    def record(
        self, stage: str, net: Mapping[str, Any], fitted: Fitted, checkpoint: Checkpoint
    ) -> ModelRecord:
        """What is to be told of the model that came out."""
        return ModelRecord(
            stage=stage,
            net=dict(net),
            coarse=self.coarse,
            fine=self.fine,
            hands=self.hands,
            handedness=self.handedness,
            labels_digest=checkpoint.identity["labels"],
            params_digest=checkpoint.digest,
            seconds={stage: round(fitted.seconds, 2)},
            best_epoch=fitted.best_epoch,
        )


def loading_on(device: torch.device) -> Loading:
    """How to load for this device, among the processes of this machine."""
    _, processes = local_rank()
    return Loading.on(device, processes)


def _code_digest() -> str:
    """SHA-256 of the code that trains: a run that other code began is not gone on with."""
    here = Path(__file__).parent.parent
    files = sorted(Path(handpose.__file__).parent.rglob("*.py"))
    sha = hashlib.sha256()
    for file in (
        *files,
        *(here / name for name in ("fitting/training.py", "pretrain.py", "pose.py")),
    ):
        sha.update(file.read_bytes())
    return sha.hexdigest()


def write_results(
    out: Path,
    *,
    net: nn.Module,
    record: ModelRecord,
    fitted: Fitted,
    started: float,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """The artefacts of a training stage in `out`; `metrics` are told besides those of the run."""
    save_model(out, net, record)
    write_curves(out / "curves.csv", fitted.rows)
    write_json(
        out / "metrics.json",
        {
            "seconds": round(fitted.seconds, 2),
            "best_epoch": fitted.best_epoch,
            "validation": fitted.metrics,
            **(metrics or {}),
        },
    )
    names = ("model.safetensors", "model.json", "curves.csv", "metrics.json")
    write_manifest(
        out / "manifest.json",
        started=started,
        counts={"steps": fitted.rows[-1]["step"]},
        outputs=[out / name for name in names],
    )


def write_curves(path: Path, rows: list[Row]) -> None:
    """Rows as CSV; validation metrics are empty but in the rows that end an epoch."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: str(v) if isinstance(v, int) else f"{v:.6g}" for k, v in row.items()}
            )


def teller(name: str, distributed: Distributed = SINGLE_PROCESS) -> Callable[[str], None]:
    """Prints lines with a stage's name before them; a reader that is gone stops no training.

    Of several processes, the first one speaks for all.
    """

    def tell(line: str) -> None:
        if not distributed.is_rank_zero:
            return
        with contextlib.suppress(OSError):  # the terminal was closed, or the runner was killed
            print(f"{name}: {line}", flush=True)

    return tell
