"""Stage 1, gesture classification, or a warm-up without gestures: `python -m stages.pretrain`.

Reads `data/shard` and `data/labels/labels.parquet`. Writes `models/pretrain/`: model.safetensors,
model.json, curves.csv, metrics.json, manifest.json. The live checkpoint is in `work/pretrain/`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from handpose.data.splits import GESTURE_PHOTOS_VALIDATION
from handpose.distributed import SINGLE_PROCESS, Distributed, process_group
from handpose.gesture_row import LEVELS, Level
from handpose.nets.gesture_net import GestureNet
from handpose.sample import UNLABELLED, GestureOutput, HandBatch
from handpose.training.device import prepare_device
from handpose.training.history import Scalars
from handpose.training.inference import run_inference
from handpose.training.loss.gesture_loss import GestureLoss
from handpose.training.seeding import seed
from handpose.training.warm_up.instance_loss import VIEWS, InstanceLoss
from handpose.training.warm_up.joint_loss import JointLoss
from stages.params import PretrainParams, load_params
from stages.paths import STAGE_1_MODEL, WORK
from stages.running.command import stage_command
from stages.training.class_poses import soft_targets
from stages.training.launch import launch_processes
from stages.training.training import log_to_stdout, run_training
from stages.training.training_data import TrainingData, TrainingDataError, loading_on
from stages.training.warm_up import (
    chance_of_instances,
    mean_joints_error,
    validate_instances,
    validate_joints,
)

logger = logging.getLogger(__name__)


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
            gesture_photos=settings.objective == "gestures",
            # an image does not show where in the photo it was: see handpose/sample.py
            turn_camera=settings.objective == "pose",
            views=VIEWS if settings.objective == "instances" else 1,
        )
        coarse, fine = len(data.coarse), len(data.fine)
        metrics = baselines(settings, data)
        if settings.labelled_share < 1:
            data, part = data.with_labelled_share(settings.labelled_share)
            metrics["labelled"] = part.counts()
        seed(settings.seed)
        net = GestureNet(**encoder, coarse_classes=coarse, fine_classes=fine).to(device)
        train = partial(
            run_training,
            "pretrain",
            data=data,
            net=net,
            encoder=encoder,
            forward=forward,
            best=settings.best,
            maximise=settings.best.endswith("accuracy"),
            work=WORK / "pretrain",
            out=STAGE_1_MODEL,
            started=started,
            metrics=metrics,
            also=(GESTURE_PHOTOS_VALIDATION,) if settings.objective == "gestures" else (),
        )
        if settings.objective == "gestures":
            loss = gesture_loss(settings, data, device, metrics)
            train(loss=loss, validate=validate, epoch_key=loss.fine_weight)
            return
        net.heads.requires_grad_(False)  # nothing trains them; not even decay moves them
        if settings.objective == "instances":
            apart = InstanceLoss(net.heads.features).to(device)
            train(loss=apart, validate=validate_instances, epoch_key=lambda epoch: None)
        else:
            joints = JointLoss(net.heads.features).to(device)
            train(loss=joints, validate=validate_joints, epoch_key=lambda epoch: None)


def gesture_loss(
    settings: PretrainParams, data: TrainingData, device: torch.device, metrics: dict[str, Any]
) -> GestureLoss:
    """The loss of `objective: gestures`; what its targets are is logged and put into `metrics`.

    Raises:
        TrainingDataError: soft targets need fits, and there are none.
    """
    targets: dict[Level, Tensor] = {}
    if settings.soft_targets_deg:
        poses = data.class_poses("pretrain.soft_targets_deg")
        hands = {"coarse": data.hands, "fine": data.hands_of_fine}
        for level in LEVELS:
            table = soft_targets(poses[level], hands[level], settings.soft_targets_deg)
            targets[level] = torch.tensor(table, dtype=torch.float32, device=device)
        own = {level: float(table.diagonal().mean()) for level, table in targets.items()}
        metrics["soft_targets"] = {f"{level}_own_class": share for level, share in own.items()}
        shares = " and ".join(f"{100 * share:.0f} % of its {key} one" for key, share in own.items())
        logger.info("soft targets: an image is to be %s, the rest of similar classes", shares)
    return GestureLoss(
        fine_weight_start=settings.fine_weight_start,
        fine_weight_step=settings.fine_weight_step,
        fine_weight_every_epochs=settings.fine_weight_every_epochs,
        fine_weight_max=settings.fine_weight_max,
        contrastive=settings.contrastive,
        coarse_of_fine=torch.tensor(data.coarse_of_fine, device=device)
        if settings.hierarchical
        else None,
        coarse_weight=settings.coarse_weight,
        coarse_targets=targets.get("coarse"),
        fine_targets=targets.get("fine"),
    )


def baselines(settings: PretrainParams, data: TrainingData) -> dict[str, Any]:
    """What the objective's numbers are to be compared with, for metrics.json.

    Raises:
        TrainingDataError: the validation samples do not carry what the objective needs.
    """
    batches, distributed = data.validation(), data.distributed
    if settings.objective == "instances":
        return {"objective": "instances", **chance_of_instances(batches, distributed)}
    if settings.objective == "pose":
        return {"objective": "pose", **mean_joints_error(batches, distributed)}
    return constant_baselines(
        batches,
        coarse_classes=len(data.coarse),
        fine_classes=len(data.fine),
        distributed=distributed,
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
    sys.exit(stage_command(main, "pretrain"))
