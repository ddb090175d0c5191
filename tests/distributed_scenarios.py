"""What test_distributed.py runs in each of two processes.

`python -m tests.distributed_scenarios FOLDER` runs every scenario and saves its results.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from handpose.distributed import Distributed, DistributedGroup, process_group
from handpose.nets.gesture_net import GestureNet
from handpose.sample import UNLABELLED, GestureOutput, HandBatch
from handpose.training.checkpoint import Checkpoint, CheckpointError
from handpose.training.fit import FitSettings, Fitted, Objective, fit
from handpose.training.loss.gesture_loss import GestureLoss
from handpose.training.loss.learned_weights import LearnedWeights
from handpose.training.loss.pose_loss import MEASURED, PoseLoss
from handpose.training.seeding import seed
from stages.params import LossWeights
from tests.toy_batch import toy_batch

EPOCHS, STEPS, BATCH = 2, 4, 5  # which two processes share unevenly
SETTINGS = FitSettings(
    epochs=EPOCHS,
    steps_per_epoch=STEPS,
    lr=lambda step: 0.02 / (1 + step),
    weight_decay=0.1,
    clip_norm=0.5,
    ema=0.5,
    best="error",
    checkpoint_every_s=0,
)
TERMS = tuple(LossWeights.model_fields)
GESTURE_LOSS = GestureLoss(0.5, 0, 1, 0.5)
Weights = dict[str, Tensor]


class Toy(nn.Module):
    """A few weights, and some without a gradient, like HRNet's finer levels in the paper."""

    def __init__(self, *, rough: bool) -> None:
        super().__init__()
        own = [nn.BatchNorm2d(4), nn.Dropout()] if rough else []
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), *own, nn.Flatten(), nn.Linear(16, 6))
        self.unused = nn.Linear(16, 6)

    def forward(self, image: Tensor) -> GestureOutput:
        x = self.body[:-1](image.float() / 255)
        logits = self.body[-1](x)
        return GestureOutput(logits[:, :3], logits[:, 3:], self.unused(x))


def toy(*, rough: bool = False) -> Toy:
    seed(0)
    return Toy(rough=rough)


def samples(number: int) -> HandBatch:
    """A batch whose every second gesture is unknown: slices have unequal numbers of labels."""
    rng = torch.Generator().manual_seed(number)
    known = torch.arange(BATCH) % 2 == number % 2
    classes = torch.randint(0, 3, (BATCH,), generator=rng).where(known, UNLABELLED)
    return toy_batch(number, BATCH, classes)


def sliced(distributed: Distributed, batch: HandBatch) -> HandBatch:
    rows = distributed.slice(list(range(len(batch))))
    fields = dataclasses.fields(batch)
    return HandBatch(**{f.name: getattr(batch, f.name)[rows] for f in fields})


def train(
    folder: Path,
    distributed: Distributed,
    *,
    rough: bool = False,
    stop_at: int = -1,
) -> tuple[Weights, Fitted] | int:
    """A toy run, or its exit code if the last process was sent SIGTERM at the step `stop_at`."""
    model = toy(rough=rough)

    def batches(epoch: int, skip: int) -> Iterator[HandBatch]:
        for step in range(epoch * STEPS + skip, (epoch + 1) * STEPS):
            if step == stop_at and distributed.rank == distributed.world - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            yield sliced(distributed, samples(step))

    def validate(net: nn.Module) -> dict[str, float]:
        net.eval()
        batch = samples(-1)
        with torch.no_grad():
            return {"error": GESTURE_LOSS(net(batch.image), batch)["coarse"].item()}

    writable = distributed.is_rank_zero
    with Checkpoint(folder, {"run": "toy"}, writable=writable) as checkpoint:
        try:
            fitted = fit(
                model,
                batches=batches,
                forward=lambda net, batch: net(batch.image),
                loss=GESTURE_LOSS,
                validate=validate,
                settings=SETTINGS,
                checkpoint=checkpoint,
                distributed=distributed,
            )
        except SystemExit as end:
            assert isinstance(end.code, int)
            return end.code
    return model.state_dict(), dataclasses.replace(fitted, seconds=0)


def annotated_batch(distributed: Distributed) -> HandBatch:
    """Five hands; the two slices have unequal numbers of annotations."""
    with (Path(os.environ["SCENARIOS_FOLDER"]) / "batch.pickle").open("rb") as stream:
        batch: HandBatch = pickle.load(stream)
    return sliced(distributed, batch)


def gradients(distributed: Distributed, folder: Path) -> dict[str, Any]:
    """Gradients of both stages' networks and losses, in the second step as in all later ones."""
    from handpose.hand.mano import Mano
    from handpose.nets.pose_net import PoseNet

    seed(0)
    mano = Mano.load(Path(os.environ["SCENARIOS_FOLDER"]) / "mano")
    gesture = GestureNet(
        backbone="hrnet_w18_small", feature_location="", weights="", frozen_stages=0, image_px=64,
        imagenet_normalisation=True, gesture_levels=(32,), gesture_hidden=0, gesture_dropout=0.0,
        coarse_classes=6, fine_classes=9,
    )  # fmt: skip
    batch = annotated_batch(distributed)
    gesture_loss = GestureLoss(0.5, 0, 1, 0.5, coarse_of_fine=torch.arange(9) % 6)
    pose_loss = LearnedWeights(PoseLoss(mano, dict.fromkeys(TERMS, 1.0), 0.2, "both"), MEASURED)
    nn.init.constant_(pose_loss.log_scales, -1.0)
    pose = PoseNet(
        copy.deepcopy(gesture), mano, pose_levels=(8, 32), grid=2, dim=8, heads=2,
        encoder_layers=1, fusion_layers=1, fusion="self", volume_depth=2, volume_sharpness=5.0,
        depth_range_m=0.2, gate_init=0.1, gesture_tokens=True, global_feature=False,
        turn_camera=False, side_input=True, view_heads=True, second_look=False,
    )  # fmt: skip
    found: dict[str, Any] = {}
    parts = {
        "stage_1": Objective(
            gesture,
            lambda net, batch: net(batch.image),
            gesture_loss,
            bf16=False,
            count=distributed.count,
        ),
        "stage_2": Objective(
            pose,
            lambda net, batch: net(batch.image, batch.is_left),
            pose_loss,
            bf16=False,
            count=distributed.count,
        ),
    }
    for name, net in parts.items():
        net.eval()  # batch statistics of a slice are not those of the batch
        replica = distributed.replicate(net)
        for _ in range(2):
            net.zero_grad()
            terms = replica(batch, 0)
            torch.autograd.backward(torch.stack(list(terms.values())).sum())
        found[name] = {
            "terms": {key: term.item() for key, term in distributed.mean(terms).items()},
            "gradients": {key: p.grad for key, p in net.named_parameters()},
        }
    return found


def communicate(distributed: Distributed, folder: Path) -> dict[str, Any]:
    """Collective operations; an error on rank 0 is raised on every rank."""

    def wrong() -> None:
        raise CheckpointError("on rank 0")

    with pytest.raises(CheckpointError, match="on rank 0"):
        distributed.run_on_rank_zero(wrong)
    net = nn.Linear(2, 2)
    nn.init.constant_(net.weight, distributed.rank + 1.0)
    distributed.broadcast_state(net)
    return {
        "maximum": distributed.all_reduce_max(distributed.rank),
        "rank_zero": distributed.run_on_rank_zero(lambda: distributed.rank),
        "gathered": [distributed.gather(list(distributed.round_robin(range(n)))) for n in range(6)],
        "count": [
            distributed.count(torch.zeros(3)).item(),
            distributed.count(torch.ones(3)).item(),
        ],
        "broadcast": net.weight[0, 0].item(),
        "drawn": _drawn(distributed),
    }


def _drawn(distributed: Distributed) -> list[float]:
    drawn = []
    for step in (0, 1, 0):
        distributed.seed_step(7, step)
        drawn.append(torch.rand(()).item())
    return drawn


SCENARIOS: dict[str, Callable[[Distributed, Path], Any]] = {
    "communicate": communicate,
    "gradients": gradients,
    "whole": lambda distributed, folder: train(folder / "whole", distributed),
    "resumed": lambda distributed, folder: train(folder / "from_one", distributed),
    "stopped": lambda distributed, folder: train(folder / "from_two", distributed, stop_at=5),
    "rough": lambda distributed, folder: train(folder / "rough", distributed, rough=True),
    "rough_stopped": lambda distributed, folder: train(
        folder / "ro", distributed, rough=True, stop_at=2
    ),
    "rough_resumed": lambda distributed, folder: train(folder / "ro", distributed, rough=True),
}


def main(folder: Path) -> None:
    """One of the processes of the fixture."""
    torch.set_num_threads(1)
    with process_group(torch.device("cpu")) as distributed:
        assert isinstance(distributed, DistributedGroup)
        results = {name: run(distributed, folder) for name, run in SCENARIOS.items()}
        torch.save(results, folder / f"{distributed.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
