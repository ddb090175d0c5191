"""Stage 2, gesture-guided pose: `python -m stages.pose pretrained`, or `scratch`.

Reads `data/shard`, `data/labels/labels.parquet`, the hand model, and for `pretrained` Stage 1's
model in `models/pretrain/`, which `scratch` does not look at. Writes `models/pose/<run>/`:
model.safetensors, model.json, curves.csv, metrics.json, manifest.json. The live checkpoint is in
`work/pose-<run>/`.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS, Distributed, process_group
from handpose.errors import HandPoseError
from handpose.evaluation.metrics import pa_mpjpe_mm, wrist_mpjpe_mm
from handpose.files import digest
from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.nets.gesture_net import GestureNet
from handpose.sample import HandBatch, PoseOutput
from handpose.training.checkpoint import Checkpoint
from handpose.training.device import prepare_device, told
from handpose.training.fit import fit
from handpose.training.forward import outputs
from handpose.training.gesture_model import GESTURE_KEYS, build_gesture_net, load_gesture_net
from handpose.training.history import Row
from handpose.training.losses import Count, pose_loss
from handpose.training.model_io import ModelRecord, read_record
from handpose.training.pose_model import build_pose_net
from handpose.training.seeding import seed
from stages.artifacts import run_stage
from stages.fitting.checkpoint_gc import forget_recorded, mark_of
from stages.fitting.launch import in_processes
from stages.fitting.training import WORK, TrainingData, loading_on, teller, write_results
from stages.params import Params, load_params
from stages.paths import LABELS

STAGE_1 = Path("models/pretrain")
OUT = Path("models/pose")
RUNS = ("pretrained", "scratch")


class UsageError(HandPoseError):
    """The door was opened with other words than it knows."""


def main(argv: list[str] | None = None) -> None:
    """Read the parameters and the data, train, write the model and how well it does."""
    started = time.monotonic()
    run = chosen_run(sys.argv[1:] if argv is None else argv)
    params = load_params()
    device = prepare_device(params.pose.device, params.pose.threads)
    with process_group(device) as distributed:
        train(run, params, device, distributed, started)


def train(
    run: str, params: Params, device: torch.device, distributed: Distributed, started: float
) -> None:
    """The same on this device, as one of these processes."""
    settings, keys = params.pose, params.net.model_dump()
    data = TrainingData.open(
        settings,
        image_px=params.net.image_px,
        handedness=params.label.handedness,
        distributed=distributed,
        loading=loading_on(device),
    )
    mano = Mano.load(params.hand.mano)

    tell = teller(f"pose {run}", distributed)
    tell(f"trains on {told(device, settings.device)}, {settings.precision}")
    seed(settings.seed)
    gesture_net, stage_1 = first_stage(run, data, keys)
    net = build_pose_net(keys, gesture_net=gesture_net, mano=mano).to(device)
    terms = partial(
        loss_terms,
        mano=mano,
        weights=settings.weights.model_dump(),
        depth_range_m=params.net.depth_range_m,
    )
    identity = data.identity(
        keys,
        mano=digest(Path(params.hand.mano) / "MANO_RIGHT.npz"),
        stage_1=stage_1.weights_sha256 if stage_1 else "",
    )
    with Checkpoint(WORK / f"pose-{run}", identity, keeper=distributed.is_rank_zero) as checkpoint:
        if distributed.is_rank_zero:
            forget_recorded(checkpoint, tell)
        fitted = fit(
            net,
            batches=data.train,
            forward=forward,
            loss_terms=lambda output, batch, _: terms(output, batch, count=distributed.count),
            validate=lambda model: validate(
                model, data.validation(), terms, data.bf16, distributed
            ),
            recipe=data.recipe(best=settings.best, maximise=False),
            checkpoint=checkpoint,
            tell=tell,
            distributed=distributed,
        )
        if not distributed.is_rank_zero:
            return
        record = data.record("pose", keys, fitted, checkpoint)
        if stage_1:
            record = dataclasses.replace(record, seconds=stage_1.seconds | record.seconds)
        write_results(OUT / run, net=net, record=record, fitted=fitted, started=started)
        checkpoint.finish(mark_of(OUT / run))


def chosen_run(argv: list[str]) -> str:
    """The run that the command names.

    Raises:
        UsageError: it names none, or another.
    """
    if len(argv) != 1 or argv[0] not in RUNS:
        raise UsageError(
            f"found {' '.join(argv) or 'no argument'}, expected one of {', '.join(RUNS)}: "
            "`python -m stages.pose pretrained` or `python -m stages.pose scratch`"
        )
    return argv[0]


def first_stage(
    run: str, data: TrainingData, keys: Mapping[str, Any]
) -> tuple[GestureNet, ModelRecord | None]:
    """Stage 1's network for this run: trained, with its record, or as it is before any training.

    Raises:
        CheckpointError: the trained one is missing, or was trained on other labels or as another
            network.
    """
    if run == "scratch":
        coarse, fine = len(data.coarse), len(data.fine)
        return build_gesture_net(keys, coarse_classes=coarse, fine_classes=fine), None
    record = read_record(STAGE_1)
    record.require(
        STAGE_1,
        stage="pretrain",
        net={key: keys[key] for key in GESTURE_KEYS},
        handedness=data.handedness,
        coarse=data.coarse,
        fine=data.fine,
        labels_digest=digest(LABELS),
    )
    return load_gesture_net(STAGE_1), record


def forward(net: nn.Module, batch: HandBatch) -> PoseOutput:
    """What Stage 2 says of a batch."""
    output: PoseOutput = net(batch.image, batch.is_left)
    return output


def loss_terms(
    output: PoseOutput,
    batch: HandBatch,
    *,
    mano: Mano,
    weights: Mapping[str, float],
    depth_range_m: float,
    count: Count = SINGLE_PROCESS.count,
) -> dict[str, Tensor]:
    """The weighted terms of Stage 2's loss."""
    root = axis_angle_to_matrix(batch.global_orient)[:, None]  # (B, 1, 3, 3)
    rotations = torch.cat([root, mano.rotations(batch.hand_pose)], 1)  # (B, 16, 3, 3)
    return pose_loss(
        output, batch, rotations, weights=weights, depth_range_m=depth_range_m, count=count
    )


def validate(
    net: nn.Module,
    batches: Iterable[HandBatch],
    terms: Callable[[PoseOutput, HandBatch], dict[str, Tensor]],
    bf16: bool,
    distributed: Distributed = SINGLE_PROCESS,
) -> Row:
    """Mean loss, and wrist-relative MPJPE and PA-MPJPE against the annotated joints.

    Over all processes' batches together. The evaluation's PA is another: against the MANO fit.
    Samples whose wrist, or all but two joints, are not annotated are in the loss alone.
    """
    found: list[tuple[Tensor, ...]] = []  # loss of its batch and errors, (B,) each
    for batch, output in outputs(net, batches, forward, bf16=bf16):
        loss = torch.stack(list(terms(output, batch).values())).sum()
        truth = (batch.joints_cam, batch.joint_valid)
        errors = (metric(output.joints, *truth) for metric in (wrist_mpjpe_mm, pa_mpjpe_mm))
        found.append(tuple(x.cpu() for x in (loss.expand(len(batch)), *errors)))
    losses, errors_mm, aligned_mm = map(torch.cat, zip(*distributed.gather(found), strict=True))
    return {
        "loss": losses.mean().item(),
        "mpjpe_mm": errors_mm.nanmean().item(),
        "pa_annotated_mpjpe_mm": aligned_mm.nanmean().item(),
    }


if __name__ == "__main__":
    sys.exit(run_stage(partial(in_processes, "pose", main), "pose"))
