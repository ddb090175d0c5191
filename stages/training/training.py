"""What the two training stages share: the training run, its log and its results."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from handpose.distributed import SINGLE_PROCESS, Distributed
from handpose.files import atomic_file
from handpose.sample import HandBatch
from handpose.training.checkpoint import Checkpoint
from handpose.training.compilation import keep_kernels_in
from handpose.training.device import describe_device
from handpose.training.fit import Fitted, LossFunction, fit
from handpose.training.history import Scalars
from handpose.training.loss.learned_weights import LearnedWeights
from handpose.training.model_io import ModelRecord, save_model
from stages.paths import WORK
from stages.running.artifacts import write_json, write_manifest
from stages.training.checkpoint_gc import drop_recorded_checkpoints, results_id
from stages.training.training_data import TrainingData

logger = logging.getLogger(__name__)

Output = TypeVar("Output")
Loss = TypeVar("Loss", bound=LossFunction[Any])


def run_training(
    stage: str,
    *,
    data: TrainingData,
    net: nn.Module,
    encoder: Mapping[str, Any],
    pose_net: Mapping[str, Any] | None = None,
    joints: Mapping[str, str] | None = None,
    forward: Callable[[nn.Module, HandBatch], Output],
    loss: Loss,
    validate: Callable[[nn.Module, Iterable[HandBatch], Loss, bool, Distributed], Scalars],
    best: str,
    maximise: bool,
    lr_factors: Mapping[str, float] | None = None,
    epoch_key: Callable[[int], object],
    work: Path,
    out: Path,
    started: float,
    inputs: Mapping[str, str] | None = None,
    start_record: ModelRecord | None = None,
    metrics: Mapping[str, Any] | None = None,
    also: Sequence[str] = (),
) -> None:
    """Train a network, resuming where an earlier run stopped, and write its results.

    Args:
        stage: for the model's record, `pretrain` or `pose`.
        data: what to train and to validate on, and the settings.
        net: the network before its training, on its device.
        encoder: keywords of Stage 1's network; part of the run's identity.
        pose_net: keywords that Stage 2 adds, likewise.
        joints: the record of Stage 2's joint definition, likewise.
        forward: (net, batch) -> the network's output.
        loss: see `fit`.
        validate: (net, batches, loss, bf16, distributed) -> metrics by name.
        best: the metric that selects the weights.
        maximise: whether more of it is better.
        lr_factors: factors of the learning rate, by the name of the parameter.
        epoch_key: epoch, from 0 -> what the loss does differently in it.
        work: folder of the live checkpoint.
        out: folder of the results; rank 0 writes them.
        started: the stage's `time.monotonic()`.
        inputs: digests of further inputs by name; part of the run's identity.
        start_record: of the model that `net` has weights of; its training time counts too.
        metrics: written to metrics.json besides those of the run.
        also: further splits whose metrics are written there under their names, if they are there.

    Raises:
        CheckpointError: another process trains in `work`, or its checkpoint is damaged.
        FitError: see `fit`.
    """
    distributed, settings = data.distributed, data.settings
    device = next(net.parameters()).device
    logger.info("trains on %s, %s", describe_device(device, settings.device), settings.precision)
    identity = data.identity(encoder, pose_net, joints, stage=stage, **(inputs or {}))
    keep_kernels_in(WORK / "compiled")
    with Checkpoint(work, identity, writable=distributed.is_rank_zero) as checkpoint:
        if distributed.is_rank_zero:
            drop_recorded_checkpoints(checkpoint)
        fitted = fit(
            net,
            batches=data.train,
            forward=forward,
            loss=loss,
            validate=lambda model: validate(model, data.validation(), loss, data.bf16, distributed),
            settings=data.fit_settings(
                best=best, maximise=maximise, lr_factors=lr_factors or {}, epoch_key=epoch_key
            ),
            checkpoint=checkpoint,
            distributed=distributed,
        )
        beside = {
            split: validate(net, data.validation(split), loss, data.bf16, distributed)
            for split in also
            if data.shards.index.count(split)
        }
        if not distributed.is_rank_zero:
            return
        metrics = {**(metrics or {}), **beside}
        if isinstance(loss, LearnedWeights):
            metrics |= {"learned_weights": loss.factors()}
        record = data.record(stage, fitted, checkpoint)
        if start_record is not None:
            seconds = {**start_record.seconds}
            for one, own in record.seconds.items():
                seconds[one] = round(seconds.get(one, 0.0) + own, 2)
            sha256 = start_record.weights_sha256
            record = dataclasses.replace(record, seconds=seconds, before=sha256)
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
