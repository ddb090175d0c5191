"""Stage 2, gesture-guided pose or its baseline: `python -m stages.pose pretrained`, or `scratch`.

Reads `data/shard`, `data/labels/labels.parquet`, the hand model, and for `pretrained` Stage 1's
model in `models/pretrain/` or that of `pose.start`. `scratch` reads neither: it trains without
gesture pretraining, its backbone from `encoder.weights` (ImageNet in the paper's profile). Writes
`models/pose/<run>/`: model.safetensors, model.json, curves.csv, metrics.json, manifest.json. The
live checkpoint is in `work/pose-<run>/`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS, Distributed, process_group
from handpose.errors import HandPoseError
from handpose.evaluation.metrics import pa_mpjpe_mm, wrist_mpjpe_mm
from handpose.evaluation.side_and_facing import facing_hits, side_hits
from handpose.files import digest
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.network_by_name import PoseNetwork, make_pose_network
from handpose.nets.pose_net import PoseNet
from handpose.sample import HandBatch, PoseOutput
from handpose.training.checkpoint import CheckpointError
from handpose.training.device import prepare_device
from handpose.training.history import Scalars
from handpose.training.inference import run_inference
from handpose.training.loss.eanet_loss import TERMS, EaNetLoss
from handpose.training.loss.learned_weights import (
    SCALE_LR_FACTOR,
    LearnedWeights,
    learnable_terms,
)
from handpose.training.loss.pose_loss import MEASURED, HandModel, PoseLoss
from handpose.training.model_io import ModelRecord, load_weights, read_record
from handpose.training.seeding import seed
from handpose.training.trained_nets import load_gesture_net, read_pose_record
from stages.hand_model import load_hand_model
from stages.params import Params, PoseParams, load_params
from stages.paths import LABELS, STAGE_1_MODEL, STAGE_2_MODELS, WORK
from stages.running.command import chosen_run, stage_command
from stages.training.launch import launch_processes
from stages.training.training import log_to_stdout, run_training
from stages.training.training_data import TrainingData, loading_on

FORMATS_WITH_FITS = ("interhand",)
"""Data sets that come with MANO fits; one's own recordings may have none."""

LOOKED_AT = 1000
"""Samples among which one must have a fit; they are a random part of the split."""


class NoFitsError(HandPoseError):
    """The data should come with MANO fits, and the shards have none."""


def main(argv: list[str] | None = None) -> None:
    """Train Stage 2 as `params.yaml` says, and write the model and its metrics."""
    started = time.monotonic()
    run = chosen_run("pose", sys.argv[1:] if argv is None else argv)
    params = load_params()
    settings, pose_net = run_settings(run, params)
    encoder = params.encoder.keywords()
    if launch_processes("pose", params, run):
        return
    device = prepare_device(settings.device, settings.threads)
    with (
        process_group(device) as distributed,
        log_to_stdout(f"pose {run}", distributed),
        loading_on(device, "pose", settings) as loading,
    ):
        data = TrainingData.open(
            settings,
            image_px=params.encoder.image_px,
            handedness=params.label.handedness,
            distributed=distributed,
            loading=loading,
            turn_camera=params.pose_net.turn_camera,
        )
        metrics = {}
        if settings.annotated_share < 1:
            data, part = data.with_annotated_share(settings.annotated_share)
            metrics["annotated"] = part.counts()
        if params.data.format in FORMATS_WITH_FITS:
            require_fits(data)
        mano = load_hand_model(params.hand, params.data)
        seed(settings.seed)
        gesture_net, start_record = gesture_net_of(run, settings, data, encoder)
        net = make_pose_network(gesture_net, mano, **pose_net)
        if isinstance(net, PoseNet) and net.class_start is not None:
            poses = data.class_poses("pose_net.class_pose")["fine"]
            net.set_class_poses(*map(torch.from_numpy, (np.float32(poses.mean), poses.known)))
        if settings.start:
            start_record = start_from(Path(settings.start), net, data, encoder, pose_net, mano)
        net.gesture_net.heads.requires_grad_(settings.train_gesture_heads)
        net.to(device)
        loss = loss_of(net, mano, settings)
        lr_factors = {}
        if net.gesture_tokens is not None:
            lr_factors["gesture_tokens.gates"] = settings.gate_lr_factor
        if isinstance(loss, LearnedWeights):
            loss.to(device)
            lr_factors["loss.log_scales"] = SCALE_LR_FACTOR
        run_training(
            "pose",
            data=data,
            net=net,
            encoder=encoder,
            pose_net=pose_net,
            joints=mano.joint_definition.record(),
            forward=forward,
            loss=loss,
            validate=validate,
            best=settings.best,
            maximise=False,
            lr_factors=lr_factors,
            epoch_key=lambda epoch: None,
            work=WORK / f"pose-{run}",
            out=STAGE_2_MODELS[run],
            started=started,
            metrics=metrics,
            inputs={
                "mano": digest(Path(params.hand.mano) / "MANO_RIGHT.npz"),
                "before": start_record.weights_sha256 if start_record else "",
            },
            start_record=start_record,
        )


def require_fits(data: TrainingData) -> None:
    """Refuse training data of InterHand2.6M without MANO fits: they would teach no shape.

    Raises:
        NoFitsError: none of the first `LOOKED_AT` samples has one.
    """
    labels = list(islice(data.training_labels(), LOOKED_AT))
    if not any(label["has_mano"] for label in labels):
        raise NoFitsError(
            f"none of the first {len(labels)} training samples has a MANO fit, and the pose of "
            "InterHand2.6M is learnt from them. Put the split's MANO_NeuralAnnot file into "
            "data.root (`handpose data verify` checks it), or train gestures alone: "
            "`dvc repro pretrain`"
        )


def run_settings(run: str, params: Params) -> tuple[PoseParams, dict[str, Any]]:
    """How this run is trained, and the keywords of its network."""
    pose_net = params.pose_net.keywords()
    if run == "scratch":
        return params.pose_scratch.settings(params.pose), params.pose_scratch.pose_net(pose_net)
    return params.pose, pose_net


def gesture_net_of(
    run: str, settings: PoseParams, data: TrainingData, encoder: Mapping[str, Any]
) -> tuple[GestureNet, ModelRecord | None]:
    """Stage 1's network for this run: trained, with its record; or untrained, and None.

    It is untrained for `scratch`, and where `pose.start` brings the weights.

    Raises:
        CheckpointError: the trained network is missing, or was trained on other labels or with
            other parameters of the network.
    """
    if run == "scratch" or settings.start:
        coarse, fine = len(data.coarse), len(data.fine)
        keywords = {**encoder, "weights": ""} if settings.start else encoder  # fetches none
        return GestureNet(**keywords, coarse_classes=coarse, fine_classes=fine), None
    record = read_record(STAGE_1_MODEL)
    record.require(
        STAGE_1_MODEL,
        stage="pretrain",
        encoder=encoder,
        handedness=data.handedness,
        coarse=data.coarse,
        fine=data.fine,
        labels_digest=digest(LABELS),
    )
    return load_gesture_net(STAGE_1_MODEL), record


def start_from(
    folder: Path,
    net: PoseNetwork,
    data: TrainingData,
    encoder: Mapping[str, Any],
    pose_net: Mapping[str, Any],
    mano: Mano,
) -> ModelRecord:
    """Fill `net` with the weights of the Stage 2 model in `folder`; returns that model's record.

    Its images may have been others, its classes not.

    Raises:
        CheckpointError: there is no model, or it has other classes, joints or parameters of the
            network.
    """
    if not (folder / "model.json").is_file():
        raise CheckpointError(
            f"pose.start: {folder / 'model.json'} not found; expected the folder of a trained "
            "Stage 2 model, such as handpose/released, or '' for Stage 1's network"
        )
    record = read_pose_record(folder)
    if "token_classes" in record.pose_net:  # without it, a record is of both
        pose_net = {"token_classes": "both", **pose_net}
    record.require(
        folder,
        remedy="Name another model in pose.start, or '' for Stage 1's network",
        encoder=encoder,
        pose_net={**dict.fromkeys(record.pose_net), **pose_net},  # no key of its own either
        joints=mano.joint_definition.record(),
        handedness=data.handedness,
        coarse=data.coarse,
        fine=data.fine,
    )
    load_weights(folder, net)
    return record


def loss_of(
    net: PoseNetwork, mano: HandModel, settings: PoseParams
) -> PoseLoss | EaNetLoss | LearnedWeights:
    """The loss that the network was published with, weighted as the settings say."""
    weights = settings.weights.keywords()
    loss: PoseLoss | EaNetLoss
    if isinstance(net, PoseNet):
        loss = PoseLoss(
            mano,
            weights,
            net.depth_range_m,
            settings.mano_joints,
            gesture_classes=net.token_classes,
        )
        terms = MEASURED
    else:
        loss = EaNetLoss(mano, weights, net.depth_range_m, net.volume_depth)
        terms = TERMS
    if not settings.learned_weights:
        return loss
    return LearnedWeights(loss, learnable_terms(weights, terms))


def forward(net: nn.Module, batch: HandBatch) -> PoseOutput:
    """Stage 2's output for a batch."""
    output: PoseOutput = net(batch.image, batch.is_left, batch.K)
    return output


def validate(
    net: nn.Module,
    batches: Iterable[HandBatch],
    loss: Callable[[PoseOutput, HandBatch], dict[str, Tensor]],
    bf16: bool = False,
    distributed: Distributed = SINGLE_PROCESS,
) -> Scalars:
    """Mean loss, and wrist-relative MPJPE and PA-MPJPE against the annotated joints.

    Of a network with view heads also the accuracy of side and facing.

    Over all processes' batches. The evaluation's PA-MPJPE is another: against the MANO fit.
    Samples without an annotated wrist, or with fewer than three annotated joints, count in the
    loss alone.
    """
    found: list[tuple[Tensor, ...]] = []  # loss of its batch, errors and hits, (B,) each
    for batch, output in run_inference(net, batches, forward, bf16=bf16):
        total = torch.stack(list(loss(output, batch).values())).sum()
        truth = (batch.joints_cam, batch.joint_valid)
        errors = (metric(output.joints, *truth) for metric in (wrist_mpjpe_mm, pa_mpjpe_mm))
        view = output.view
        hits = () if view is None else (side_hits(view, batch), facing_hits(view, batch))
        found.append(tuple(x.cpu() for x in (total.expand(len(batch)), *errors, *hits)))
    losses, *columns = map(torch.cat, zip(*distributed.gather(found), strict=True))
    names = ("mpjpe_mm", "pa_annotated_mpjpe_mm", "side_accuracy", "facing_accuracy")
    return {
        "loss": losses.mean().item(),
        **{name: column.nanmean().item() for name, column in zip(names, columns, strict=False)},
    }


if __name__ == "__main__":
    sys.exit(stage_command(main, "pose", takes_run=True))
