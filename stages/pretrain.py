"""Stage 1, gesture classification: `python -m stages.pretrain`.

Reads `data/shard` and `data/labels/labels.parquet`. Writes `models/pretrain/`: model.safetensors,
model.json, curves.csv, metrics.json, manifest.json. The live checkpoint is in `work/pretrain/`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from handpose.data.splits import GESTURE_PHOTOS_VALIDATION
from handpose.distributed import SINGLE_PROCESS, Distributed, process_group
from handpose.nets.gesture_net import GestureNet
from handpose.sample import UNLABELLED, GestureOutput, HandBatch
from handpose.training.device import prepare_device
from handpose.training.history import Scalars
from handpose.training.inference import run_inference
from handpose.training.losses import GestureLoss
from handpose.training.seeding import seed
from stages.artifacts import run_stage
from stages.fitting.launch import launch_processes
from stages.fitting.training import log_to_stdout, run_training
from stages.fitting.training_data import TrainingData, TrainingDataError, loading_on
from stages.params import load_params
from stages.paths import STAGE_1_MODEL, WORK


def main() -> None:
    """Train Stage 1 as `params.yaml` says, and write the model and its metrics."""
    started = time.monotonic()
    params = load_params()
    settings, encoder = params.pretrain, params.encoder.keywords()
    if launch_processes("pretrain", params):
        return
    device = prepare_device(settings.device, settings.threads)
    with (
        process_group(device) as distributed,
        log_to_stdout("pretrain", distributed),
        loading_on(device, "pretrain", settings) as loading,
    ):
        data = TrainingData.open(
            settings,
            image_px=params.encoder.image_px,
            handedness=params.label.handedness,
            distributed=distributed,
            loading=loading,
            gesture_photos=True,
        )
        coarse, fine = len(data.coarse), len(data.fine)
        metrics: dict[str, Any] = constant_baselines(
            data.validation(), coarse_classes=coarse, fine_classes=fine, distributed=distributed
        )
        if settings.labelled_share < 1:
            data, part = data.with_labelled_share(settings.labelled_share)
            metrics["labelled"] = part.counts()
        seed(settings.seed)
        net = GestureNet(**encoder, coarse_classes=coarse, fine_classes=fine).to(device)
        loss = GestureLoss(
            fine_weight_start=settings.fine_weight_start,
            fine_weight_step=settings.fine_weight_step,
            fine_weight_every_epochs=settings.fine_weight_every_epochs,
            fine_weight_max=settings.fine_weight_max,
            contrastive=settings.contrastive,
            coarse_of_fine=torch.tensor(data.coarse_of_fine, device=device)
            if settings.hierarchical
            else None,
            coarse_weight=settings.coarse_weight,
        )
        run_training(
            "pretrain",
            data=data,
            net=net,
            encoder=encoder,
            forward=forward,
            loss=loss,
            validate=validate,
            best=settings.best,
            maximise=settings.best.endswith("accuracy"),
            epoch_key=loss.fine_weight,
            work=WORK / "pretrain",
            out=STAGE_1_MODEL,
            started=started,
            metrics=metrics,
            also=(GESTURE_PHOTOS_VALIDATION,),
        )


def forward(net: nn.Module, batch: HandBatch) -> GestureOutput:
    """Stage 1's output for a batch."""
    output: GestureOutput = net(batch.image)
    return output


def validate(
    net: nn.Module,
    batches: Iterable[HandBatch],
    loss: GestureLoss,
    bf16: bool = False,
    distributed: Distributed = SINGLE_PROCESS,
) -> Scalars:
    """Accuracies and loss over the labelled samples of all processes' batches.

    The loss has lambda at its maximum in every epoch, so that epochs can be compared.
    """
    rows: list[dict[str, Tensor]] = []  # sums over a batch
    for batch, output in run_inference(net, batches, forward, bf16=bf16):
        labelled = batch.coarse != UNLABELLED
        terms = loss(output, batch)
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


def constant_baselines(
    batches: Iterable[HandBatch],
    *,
    coarse_classes: int,
    fine_classes: int,
    distributed: Distributed = SINGLE_PROCESS,
) -> dict[str, dict[str, float]]:
    """Accuracies without looking at an image: of a random guess, and of the majority class.

    Raises:
        TrainingDataError: no sample has a gesture.
    """
    classes = distributed.gather([(batch.coarse.cpu(), batch.fine.cpu()) for batch in batches])
    coarse, fine = (torch.cat(ids) for ids in zip(*classes, strict=True))
    labelled = int((coarse != UNLABELLED).sum())
    if not labelled:
        raise TrainingDataError(
            f"none of the {len(coarse)} validation samples has a gesture, so Stage 1 cannot be "
            "validated; name subjects with gesture folders in ingest.validation_subjects"
        )
    majority = {
        name: Counter(ids[ids != UNLABELLED].tolist()).most_common(1)[0][1] / labelled
        for name, ids in (("coarse", coarse), ("fine", fine))
    }
    return {
        "chance": {"coarse": 1 / coarse_classes, "fine": 1 / fine_classes},
        "majority": majority,
        "samples": {"validation": labelled},
    }


if __name__ == "__main__":
    sys.exit(run_stage(main, "pretrain"))
