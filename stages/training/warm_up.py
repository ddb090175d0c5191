"""Stage 1 without gestures (`pretrain.objective`): its losses, how they are validated, baselines.

The controls of "gesture pretraining": a warm-up of the same backbone for as long, by two views of
an image or by the pose. The heads that these losses have are thrown away, and the gesture heads
keep the random weights they were made with.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS, Distributed
from handpose.evaluation.metrics import wrist_mpjpe_mm
from handpose.hand.skeleton import WRIST
from handpose.sample import GestureOutput, HandBatch
from handpose.training.history import Scalars
from handpose.training.inference import run_inference
from handpose.training.warm_up.instance_loss import InstanceLoss
from handpose.training.warm_up.joint_loss import JointLoss
from stages.training.training_data import TrainingDataError


@torch.no_grad()
def validate_instances(
    net: nn.Module,
    batches: Iterable[HandBatch],
    loss: InstanceLoss,
    bf16: bool = False,
    distributed: Distributed = SINGLE_PROCESS,
) -> Scalars:
    """Loss, and how often a view's partner is the most similar of its batch, over all views.

    Both depend on how many images a batch has; all epochs have the same batches and views.
    """
    rows: list[dict[str, float]] = []  # sums over a batch
    for batch, output in run_inference(net, batches, _forward, bf16=bf16):
        views = len(batch)
        rows.append(
            {
                "loss": loss(output, batch)["instances"].item() * views,
                "instance_accuracy": float(loss.hits(output).sum().item()),
                "views": float(views),
            }
        )
    return _means(distributed.gather(rows), "views")


def chance_of_instances(
    batches: Iterable[HandBatch], distributed: Distributed = SINGLE_PROCESS
) -> dict[str, Any]:
    """How often a random guess is a view's partner, by the sizes of the validation batches."""
    sizes = distributed.gather([len(batch) for batch in batches])
    chance = sum(size / (size - 1) for size in sizes) / sum(sizes)
    return {"chance": {"instance": chance}, "samples": {"validation_views": sum(sizes)}}


@torch.no_grad()
def validate_joints(
    net: nn.Module,
    batches: Iterable[HandBatch],
    loss: JointLoss,
    bf16: bool = False,
    distributed: Distributed = SINGLE_PROCESS,
) -> Scalars:
    """Loss over the annotated joints, and the head's wrist-relative MPJPE over the hands.

    Hands without an annotated wrist do not count.
    """
    rows: list[dict[str, float]] = []
    errors: list[Tensor] = []
    for batch, output in run_inference(net, batches, _forward, bf16=bf16):
        joints = int((batch.joint_valid & batch.joint_valid[:, WRIST, None]).sum().item())
        term = loss(output, batch)["joints"].item()
        rows.append({"loss": term * joints, "joints": float(joints)})
        found = wrist_mpjpe_mm(loss.joints(output), batch.joints_cam, batch.joint_valid)
        errors.append(found.double().cpu())
    every = torch.cat(distributed.gather(errors))
    return {**_means(distributed.gather(rows), "joints"), "mpjpe_mm": every.nanmean().item()}


def mean_joints_error(
    batches: Iterable[HandBatch], distributed: Distributed = SINGLE_PROCESS
) -> dict[str, Any]:
    """The MPJPE of the best constant guess: the mean joints of these very hands, of each side.

    Raises:
        TrainingDataError: no hand has an annotated wrist and another joint.
    """
    fields = ("joints_cam", "joint_valid", "is_left")
    own = [tuple(getattr(batch, name).cpu() for name in fields) for batch in batches]
    joints, valid, is_left = (torch.cat(x) for x in zip(*distributed.gather(own), strict=True))
    rooted = valid & valid[:, WRIST, None]  # (N, 21)
    hands = int((rooted.sum(1) > 1).sum())
    if not hands:
        raise TrainingDataError(
            f"none of the {len(joints)} validation samples has an annotated wrist with another "
            "joint, so that pretrain.objective: pose cannot be validated"
        )
    relative = (joints - joints[:, WRIST, None]).double() * rooted[..., None]
    guess = torch.zeros_like(relative)
    for side in (True, False):
        of_side = (is_left == side)[:, None]
        count = (rooted & of_side).sum(0).clamp(min=1)[:, None]  # (21, 1)
        mean = (relative * of_side[..., None]).sum(0) / count
        guess = torch.where(of_side[..., None], mean, guess)
    error = wrist_mpjpe_mm(guess.float(), joints, valid).nanmean().item()
    return {"mean_joints": {"mpjpe_mm": error}, "samples": {"validation": hands}}


def _forward(net: nn.Module, batch: HandBatch) -> GestureOutput:
    output: GestureOutput = net(batch.image)
    return output


def _means(rows: list[dict[str, float]], count: str) -> Scalars:
    """Of sums over batches, each divided by that of `count`."""
    total = sum(row[count] for row in rows)
    return {name: sum(row[name] for row in rows) / total for name in rows[0] if name != count}
