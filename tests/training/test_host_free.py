"""A gradient step of either stage asks nothing of the host, so that a CUDA graph can hold it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.sample import HandBatch
from handpose.training.fit import CHECK_EVERY, FitSettings, Objective, TrainingState, gradient_step
from handpose.training.loss.gesture_loss import GestureLoss
from handpose.training.loss.learned_weights import LearnedWeights
from handpose.training.loss.pose_loss import MEASURED, PoseLoss
from handpose.training.warm_up.instance_loss import InstanceLoss
from handpose.training.warm_up.joint_loss import JointLoss
from stages import pose, pretrain
from stages.params import EncoderParams, LossWeights, PoseNetParams
from tests.host_watch import HostWatch, as_on_a_gpu, meta_batch, on_meta

SIDE, SIZE = 64, 4
SETTINGS = FitSettings(1, 10**6, lambda step: 1e-3, 0.02, clip_norm=5.0, ema=0.9)

ENCODERS = {
    "demo": EncoderParams(image_px=SIDE),
    "paper": EncoderParams(
        image_px=SIDE,
        feature_location="incre",
        gesture_levels=(32,),
        gesture_hidden=8,
        gesture_dropout=0.5,
    ),
    "everything": EncoderParams(image_px=SIDE),
}
POSE_NETS = {
    "demo": PoseNetParams(grid=6, dim=16, heads=2),
    "paper": PoseNetParams(
        pose_levels=(16, 32), grid=4, dim=16, heads=2, encoder_layers=2, fusion="self"
    ),
    "everything": PoseNetParams(
        grid=6, dim=16, heads=2, view_heads=True, refinements=2, class_pose=True
    ),
}


def stage_1(profile: str, folder: Path) -> TrainingState:
    """A run of Stage 1 with this profile's network, small."""
    net = on_meta(encoder(profile))
    loss = GestureLoss(0.1, 0.1, 10, 0.5)
    if profile == "everything":
        parents = torch.zeros(9, dtype=torch.int64, device="meta")
        tables = (torch.eye(classes, device="meta") for classes in (6, 9))
        loss = GestureLoss(0.1, 0.1, 10, 0.5, 1.0, 0.1, parents, *tables)
    return run(net, pretrain.forward, loss)


def stage_2(profile: str, folder: Path) -> TrainingState:
    """The same of Stage 2."""
    mano = Mano.load(folder)
    net = PoseNet(encoder(profile), mano, **POSE_NETS[profile].keywords())
    on_meta(net)
    weights = LossWeights().keywords()
    target: Literal["both", "annotated"] = "both" if profile == "paper" else "annotated"
    loss: Callable[..., Any] = PoseLoss(mano, weights, net.depth_range_m, target)
    if profile == "everything":
        weights |= {"vertices": 1.0, "edges": 1.0}
        loss = on_meta(LearnedWeights(loss, MEASURED))
    return run(net, pose.forward, loss)


def encoder(profile: str) -> GestureNet:
    return GestureNet(**ENCODERS[profile].keywords(), coarse_classes=6, fine_classes=9)


def run(net: nn.Module, forward: Callable[..., Any], loss: Callable[..., Any]) -> TrainingState:
    net.train()
    objective = Objective(net, forward, loss, SETTINGS.bf16)
    with mock.patch.dict(CHECK_EVERY, meta=CHECK_EVERY["cuda"]):
        return TrainingState(net, SETTINGS, objective, SINGLE_PROCESS)


def watched(state: TrainingState, batch: HandBatch) -> HostWatch:
    """The second of two steps: the first makes the optimiser's moments."""
    with as_on_a_gpu():
        gradient_step(state, batch)
        watch = HostWatch()
        with watch:
            gradient_step(state, batch)
    return watch


@pytest.mark.parametrize("profile", ["demo", "paper", "everything"])
@pytest.mark.parametrize("stage", [stage_1, stage_2])
def test_a_step_asks_nothing_of_the_host(
    stage: Callable[[str, Path], TrainingState], profile: str, stand_in: Path
) -> None:
    watch = watched(stage(profile, stand_in), meta_batch(SIZE, SIDE))
    assert watch.found == set()
    assert watch.operations > 1000, "the whole step was watched"


@pytest.mark.parametrize("kind", [InstanceLoss, JointLoss])
def test_a_step_of_a_warm_up_asks_nothing_either(kind: Callable[[int], nn.Module]) -> None:
    net = encoder("demo")
    net.heads.requires_grad_(False)
    state = run(on_meta(net), pretrain.forward, on_meta(kind(net.heads.features)))
    watch = watched(state, meta_batch(SIZE, SIDE))
    assert watch.found == set()
    assert watch.operations > 1000, "the whole step was watched"


PLANTED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "number": (lambda x: x * torch.tensor(2.0), "host tensor: mul.Tensor"),
    "index": (lambda x: x[:, torch.tensor([0])], "host tensor: index.Tensor"),
    "copy": (lambda x: x + torch.ones(1).to(x.device), "host tensor: _to_copy.default"),
    "item": (lambda x: x * x.sum().item(), "reads: _local_scalar_dense.default"),
    "branch": (lambda x: x if x.sum() > 0 else -x, "reads: _local_scalar_dense.default"),
    "mask": (lambda x: x[x > 0], "reads: index.Tensor with a mask"),
    "nonzero": (lambda x: x.nonzero().float(), "reads: nonzero.default"),
}


@pytest.mark.parametrize("plant", PLANTED)
def test_what_a_step_would_ask_is_found(plant: str) -> None:
    planted, expected = PLANTED[plant]
    watch = HostWatch()
    try:
        with watch:
            planted(torch.zeros(2, 2, device="meta"))
    except (RuntimeError, NotImplementedError):  # torch's words for it: `meta` has no content
        pass
    assert expected in watch.found


def test_one_host_tensor_in_a_network_is_found() -> None:
    """Neither a buffer nor a parameter, so that `.to` leaves it where it is."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 2))
    scale = torch.tensor(1 / 255)

    def forward(model: nn.Module, batch: HandBatch) -> Tensor:
        output: Tensor = model(batch.image * scale)
        return output

    def loss(output: Tensor, *_: Any) -> dict[str, Tensor]:
        return {"size": output.square().mean()}

    watch = watched(run(on_meta(net), forward, loss), meta_batch(SIZE, 4))
    assert watch.found == {"host tensor: mul.Tensor"}
