"""What the two training stages share: their data, the training run, and its results."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from handpose.data.augment import Augmentation
from handpose.data.labels import ClassIds, Labels
from handpose.data.loading import HERE, Loading
from handpose.data.shards import Shards
from handpose.distributed import SINGLE_PROCESS, Distributed, local_rank
from handpose.errors import HandPoseError
from handpose.files import atomic_file, digest
from handpose.sample import HandBatch
from handpose.training.checkpoint import Checkpoint
from handpose.training.device import describe_device
from handpose.training.fit import FitSettings, Fitted, LossFunction, fit
from handpose.training.history import Scalars
from handpose.training.model_io import ModelRecord, save_model
from handpose.training.schedules import lr_factor
from stages.artifacts import write_json, write_manifest
from stages.code_digest import stage_digest
from stages.fitting.checkpoint_gc import drop_recorded_checkpoints, results_id
from stages.params import TrainParams
from stages.paths import LABELS, SHARDS

logger = logging.getLogger(__name__)

Output = TypeVar("Output")
Loss = TypeVar("Loss", bound=LossFunction[Any])

WORK = Path("work")
"""Live checkpoints; outside of DVC's outs, which it deletes before a stage runs."""

NOT_IN_IDENTITY = {"device", "threads", "processes", "checkpoint_every_s"}
"""Keys of a training section that may change when a run is resumed: they change how it runs, not
what it learns."""


class TrainingDataError(HandPoseError):
    """The shards or the labels do not allow this training."""


@dataclass(frozen=True)
class TrainingData:
    """Shards joined with their labels, as a training section of `params.yaml` asks for them."""

    shards: Shards
    labels: Mapping[str, ClassIds]
    coarse: list[str]  # class names by id
    fine: list[str]
    hands: list[str]  # right or left, of each coarse class
    image_px: int
    handedness: str
    settings: TrainParams
    distributed: Distributed  # the processes that share it
    loading: Loading

    @classmethod
    def open(
        cls,
        settings: TrainParams,
        *,
        image_px: int,
        handedness: str,
        distributed: Distributed = SINGLE_PROCESS,
        loading: Loading = HERE,
    ) -> TrainingData:
        """The shards and labels that `dvc repro` left.

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
            settings=settings,
            distributed=distributed,
            loading=loading,
        )
        data._check_sizes()
        return data

    def _check_sizes(self) -> None:
        batch, world = self.settings.batch, self.distributed.world
        if batch < world:
            raise TrainingDataError(
                f"a batch of {batch} samples cannot be shared by {world} processes: start fewer of "
                f"them, or set batch (of all together) in params.yaml to {world} or more"
            )
        for split, least in (("train", batch), ("validation", 1)):
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
        return self.settings.precision == "bf16"

    @property
    def steps_per_epoch(self) -> int:
        """Whole training batches in an epoch."""
        return self.shards.index.count("train") // self.settings.batch

    def train(self, epoch: int, skip: int) -> Iterator[HandBatch]:
        """This process's slices of an epoch's augmented batches, without the first `skip`."""
        return self.shards.batches(
            "train",
            batch=self.settings.batch,
            image_px=self.image_px,
            labels=self.labels,
            canonical=self.handedness == "canonical",
            seed=self.settings.seed,
            epoch=epoch,
            skip=skip,
            augmentation=Augmentation(**self.settings.augment.keywords()),
            loading=self.loading,
            distributed=self.distributed,
        )

    def validation(self) -> Iterator[HandBatch]:
        """Every validation sample once, not augmented: this process's share of the batches."""
        return self.shards.batches(
            "validation",
            batch=self.settings.batch,
            image_px=self.image_px,
            labels=self.labels,
            canonical=self.handedness == "canonical",
            loading=self.loading,
            distributed=self.distributed,
        )

    def fit_settings(self, *, best: str, maximise: bool) -> FitSettings:
        """The section as `fit` takes it; `best` names the metric that selects the weights."""
        settings, steps = self.settings, self.steps_per_epoch

        def lr(step: int) -> float:
            return settings.lr * lr_factor(
                settings.schedule,
                step,
                epochs=settings.epochs,
                steps_per_epoch=steps,
                milestones=settings.milestones,
            )

        return FitSettings(
            epochs=settings.epochs,
            steps_per_epoch=steps,
            lr=lr,
            weight_decay=settings.weight_decay,
            clip_norm=settings.clip_norm,
            ema=settings.ema,
            bf16=self.bf16,
            best=best,
            maximise=maximise,
            checkpoint_every_s=settings.checkpoint_every_s,
        )

    def identity(
        self,
        encoder: Mapping[str, Any],
        pose_net: Mapping[str, Any] | None = None,
        *,
        stage: str,
        **more: str,
    ) -> dict[str, Any]:
        """Everything that decides the weights: a checkpoint is resumed only if all of it matches.

        A file of initial weights counts by its content, and the code is that of `stage`, as in DVC
        (`stages/code_digest.py`); `more` are further entries by name, such as digests of other
        inputs.
        """
        return {
            "settings": self.settings.model_dump(mode="json", exclude=NOT_IN_IDENTITY),
            "encoder": dict(encoder),
            "pose_net": dict(pose_net or {}),
            "start": digest(start) if (start := Path(encoder["weights"])).is_file() else "",
            "handedness": self.handedness,
            "labels": digest(LABELS),
            "shards": digest(SHARDS / "index.json"),
            "code": stage_digest(stage),
            **more,
        }

    def record(self, stage: str, fitted: Fitted, checkpoint: Checkpoint) -> ModelRecord:
        """The record of the trained model."""
        return ModelRecord(
            stage=stage,
            encoder=checkpoint.identity["encoder"],
            pose_net=checkpoint.identity["pose_net"],
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


def run_training(
    stage: str,
    *,
    data: TrainingData,
    net: nn.Module,
    encoder: Mapping[str, Any],
    pose_net: Mapping[str, Any] | None = None,
    forward: Callable[[nn.Module, HandBatch], Output],
    loss: Loss,
    validate: Callable[[nn.Module, Iterable[HandBatch], Loss, bool, Distributed], Scalars],
    best: str,
    maximise: bool,
    work: Path,
    out: Path,
    started: float,
    inputs: Mapping[str, str] | None = None,
    seconds_before: Mapping[str, float] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Train a network, resuming where an earlier run stopped, and write its results.

    Args:
        stage: for the model's record, `pretrain` or `pose`.
        data: what to train and to validate on, and the settings.
        net: the network before its training, on its device.
        encoder: keywords of Stage 1's network; part of the run's identity.
        pose_net: keywords that Stage 2 adds, likewise.
        forward: (net, batch) -> the network's output.
        loss: see `fit`.
        validate: (net, batches, loss, bf16, distributed) -> metrics by name.
        best: the metric that selects the weights.
        maximise: whether more of it is better.
        work: folder of the live checkpoint.
        out: folder of the results; rank 0 writes them.
        started: the stage's `time.monotonic()`.
        inputs: digests of further inputs by name; part of the run's identity.
        seconds_before: training time of earlier stages, by stage, for the model's record.
        metrics: written to metrics.json besides those of the run.

    Raises:
        CheckpointError: another process trains in `work`, or its checkpoint is damaged.
        FitError: see `fit`.
    """
    distributed, settings = data.distributed, data.settings
    device = next(net.parameters()).device
    logger.info("trains on %s, %s", describe_device(device, settings.device), settings.precision)
    identity = data.identity(encoder, pose_net, stage=stage, **(inputs or {}))
    with Checkpoint(work, identity, writable=distributed.is_rank_zero) as checkpoint:
        if distributed.is_rank_zero:
            drop_recorded_checkpoints(checkpoint)
        fitted = fit(
            net,
            batches=data.train,
            forward=forward,
            loss=loss,
            validate=lambda model: validate(model, data.validation(), loss, data.bf16, distributed),
            settings=data.fit_settings(best=best, maximise=maximise),
            checkpoint=checkpoint,
            distributed=distributed,
        )
        if not distributed.is_rank_zero:
            return
        record = data.record(stage, fitted, checkpoint)
        record = dataclasses.replace(record, seconds={**(seconds_before or {}), **record.seconds})
        write_results(out, net=net, record=record, fitted=fitted, started=started, metrics=metrics)
        checkpoint.finish(results_id(out))


def write_results(
    out: Path,
    *,
    net: nn.Module,
    record: ModelRecord,
    fitted: Fitted,
    started: float,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write the artefacts of a training stage to `out`; `metrics` adds to those of the run."""
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


def write_curves(path: Path, rows: list[Scalars]) -> None:
    """Write rows as CSV; validation metrics are empty except in the rows that end an epoch."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: str(v) if isinstance(v, int) else f"{v:.6g}" for k, v in row.items()}
            )


class _StdoutHandler(logging.Handler):
    """Prints `<name>: <message>`; a stdout that is closed does not stop a training."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.INFO)
        self._prefix = name

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # the terminal was closed, or the runner was killed
            print(f"{self._prefix}: {record.getMessage()}", flush=True)


@contextlib.contextmanager
def log_to_stdout(name: str, distributed: Distributed = SINGLE_PROCESS) -> Iterator[None]:
    """Print what `handpose` and `stages` log as `<name>: <message>` while the context lasts.

    Of several processes, rank 0 alone prints.
    """
    handler = _StdoutHandler(name) if distributed.is_rank_zero else logging.NullHandler()
    loggers = [logging.getLogger(package) for package in ("handpose", "stages")]
    levels = [package.level for package in loggers]
    for package in loggers:
        package.addHandler(handler)
        package.setLevel(logging.INFO)
    try:
        yield
    finally:
        for package, level in zip(loggers, levels, strict=True):
            package.removeHandler(handler)
            package.setLevel(level)
