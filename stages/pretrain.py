"""Stage 1, gesture classification: `python -m stages.pretrain`.

Reads `data/shard` and `data/labels/labels.parquet`. Writes `models/pretrain/`: model.safetensors,
model.json, curves.csv, metrics.json, manifest.json. The live checkpoint is in `work/pretrain/`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS, Distributed, process_group
from handpose.sample import UNLABELLED, GestureOutput, HandBatch
from handpose.training.checkpoint import Checkpoint
from handpose.training.device import prepare_device, told
from handpose.training.fit import fit
from handpose.training.forward import outputs
from handpose.training.gesture_model import GESTURE_KEYS, build_gesture_net
from handpose.training.history import Row
from handpose.training.losses import gesture_loss
from handpose.training.schedules import fine_weight
from handpose.training.seeding import seed
from stages.artifacts import run_stage
from stages.fitting.checkpoint_gc import forget_recorded, mark_of
from stages.fitting.launch import in_processes
from stages.fitting.training import (
    WORK,
    TrainingData,
    TrainingDataError,
    loading_on,
    teller,
    write_results,
)
from stages.params import Params, PretrainParams, load_params

OUT = Path("models/pretrain")


def main() -> None:
    """Read the parameters and the data, train, write the model and how well it does."""
    started = time.monotonic()
    params = load_params()
    device = prepare_device(params.pretrain.device, params.pretrain.threads)
    with process_group(device) as distributed:
        train(params, device, distributed, started)


def train(params: Params, device: torch.device, distributed: Distributed, started: float) -> None:
    """The same on this device, as one of these processes."""
    settings, keys = params.pretrain, params.net.model_dump(include=set(GESTURE_KEYS))
    data = TrainingData.open(
        settings,
        image_px=params.net.image_px,
        handedness=params.label.handedness,
        distributed=distributed,
        loading=loading_on(device),
    )
    coarse, fine = len(data.coarse), len(data.fine)
    baselines = constant_answers(
        data.validation(), coarse_classes=coarse, fine_classes=fine, distributed=distributed
    )

    tell = teller("pretrain", distributed)
    tell(f"trains on {told(device, settings.device)}, {settings.precision}")
    seed(settings.seed)
    net = build_gesture_net(keys, coarse_classes=coarse, fine_classes=fine).to(device)
    identity = data.identity(keys)
    with Checkpoint(WORK / "pretrain", identity, keeper=distributed.is_rank_zero) as checkpoint:
        if distributed.is_rank_zero:
            forget_recorded(checkpoint, tell)
        fitted = fit(
            net,
            batches=data.train,
            forward=forward,
            loss_terms=lambda output, batch, epoch: gesture_loss(
                output, batch, fine_weight=lambda_of(settings, epoch), count=distributed.count
            ),
            validate=lambda model: validate(
                model, data.validation(), settings.fine_weight_max, data.bf16, distributed
            ),
            recipe=data.recipe(best=settings.best, maximise=settings.best != "loss"),
            checkpoint=checkpoint,
            tell=tell,
            distributed=distributed,
        )
        if not distributed.is_rank_zero:
            return
        record = data.record("pretrain", keys, fitted, checkpoint)
        write_results(
            OUT, net=net, record=record, fitted=fitted, started=started, metrics=baselines
        )
        checkpoint.finish(mark_of(OUT))


def forward(net: nn.Module, batch: HandBatch) -> GestureOutput:
    """What Stage 1 says of a batch."""
    output: GestureOutput = net(batch.image)
    return output


def lambda_of(settings: PretrainParams, epoch: int) -> float:
    """The fine loss's weight in this epoch."""
    return fine_weight(
        epoch,
        start=settings.fine_weight_start,
        step=settings.fine_weight_step,
        every=settings.fine_weight_every_epochs,
        maximum=settings.fine_weight_max,
    )


def validate(
    net: nn.Module,
    batches: Iterable[HandBatch],
    fine_weight_max: float,
    bf16: bool,
    distributed: Distributed = SINGLE_PROCESS,
) -> Row:
    """Accuracies and loss over the labelled samples, of all processes' batches together.

    The loss has lambda at its maximum in every epoch, so that epochs can be compared.
    """
    rows: list[dict[str, Tensor]] = []  # sums over a batch
    for batch, output in outputs(net, batches, forward, bf16=bf16):
        labelled = batch.coarse != UNLABELLED
        terms = gesture_loss(output, batch, fine_weight=fine_weight_max)
        sums = {
            "loss": (terms["coarse"] + terms["fine"]) * labelled.sum(),
            "coarse_accuracy": (output.coarse_logits.argmax(-1) == batch.coarse).sum(),
            "fine_accuracy": (output.fine_logits.argmax(-1) == batch.fine).sum(),
            "samples": labelled.sum(),
        }
        rows.append({name: value.double().cpu() for name, value in sums.items()})
    rows = distributed.gather(rows)
    totals = {name: sum(row[name].item() for row in rows) for name in rows[0]}
    samples = totals.pop("samples")
    return {name: total / samples for name, total in totals.items()}


def constant_answers(
    batches: Iterable[HandBatch],
    *,
    coarse_classes: int,
    fine_classes: int,
    distributed: Distributed = SINGLE_PROCESS,
) -> dict[str, dict[str, float]]:
    """What looking at no image gives: accuracy of a guess, and of the commonest class for all.

    Raises:
        TrainingDataError: no sample carries a gesture.
    """
    classes = distributed.gather([(batch.coarse.cpu(), batch.fine.cpu()) for batch in batches])
    coarse, fine = (torch.cat(ids) for ids in zip(*classes, strict=True))
    labelled = int((coarse != UNLABELLED).sum())
    if not labelled:
        raise TrainingDataError(
            f"none of the {len(coarse)} validation samples carries a gesture, so Stage 1 cannot be "
            "validated; name subjects with gesture folders in ingest.validation_subjects"
        )
    commonest = {
        name: Counter(ids[ids != UNLABELLED].tolist()).most_common(1)[0][1] / labelled
        for name, ids in (("coarse", coarse), ("fine", fine))
    }
    return {
        "chance": {"coarse": 1 / coarse_classes, "fine": 1 / fine_classes},
        "majority": commonest,
        "samples": {"validation": labelled},
    }


if __name__ == "__main__":
    sys.exit(run_stage(partial(in_processes, "pretrain", main), "pretrain"))
