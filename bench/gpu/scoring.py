"""How fast the evaluation predicts and scores."""

from __future__ import annotations

from functools import partial
from itertools import repeat

import torch
from torch import nn

from bench.gpu.ceilings import timed
from bench.gpu.record import Record
from bench.gpu.setting import Setting
from handpose.evaluation.protocols import Prediction, Truth, score
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.sample import HandBatch
from handpose.synthetic.stand_in import build
from handpose.training.inference import run_inference
from stages.pose import forward

EVALUATED = 488_968
"""Meshes of the paper's test set (section 4.1)."""


def inference(setting: Setting, record: Record) -> None:
    """Stage 2's network without gradients, by batch."""
    net = setting.run("pose").model
    for size in (setting.size(64, 4), setting.size(256, 8)):
        steps = setting.size(30, 1)
        work = partial(_predict, net, setting.noise(size), steps)
        seconds = timed(work, 1, setting.device) / steps / size
        record.add(f"batch {size}", images_s=1 / seconds, minutes_for_all=EVALUATED * seconds / 60)


def _predict(net: nn.Module, batch: HandBatch, steps: int) -> None:
    for _ in run_inference(net, repeat(batch, steps), forward, bf16=True):
        pass


def scoring(setting: Setting, record: Record) -> None:
    """Every protocol of predicted meshes, on the device and on the CPU."""
    count = setting.size(2048, 8)
    for device in dict.fromkeys((setting.device, torch.device("cpu"))):
        work = partial(score, *_hands(count, device))
        seconds = timed(work, 1, device) / count
        record.add(device.type, meshes_s=1 / seconds, minutes_for_all=EVALUATED * seconds / 60)


def _hands(count: int, device: torch.device) -> tuple[Prediction, Truth, Mano]:
    """Random hands, predicted 5 mm beside the truth."""
    mano = Mano(build()).to(device)
    draw = torch.Generator().manual_seed(0)
    pose, root = (0.3 * torch.randn(count, n, generator=draw).to(device) for n in (45, 3))
    right = torch.zeros(count, dtype=torch.bool, device=device)
    hand = mano.hand(root, pose, torch.zeros(count, 10, device=device), right)
    K = torch.tensor([[300.0, 0, 48], [0, 300, 48], [0, 0, 1]], device=device).expand(count, 3, 3)
    joints = hand.joints + torch.tensor([0, 0, 0.6], device=device)
    valid = torch.ones(count, 21, dtype=torch.bool, device=device)
    truth = Truth(joints, valid, project(joints, K), K, hand.joints, hand.vertices)
    vertices = hand.vertices + 0.005 * torch.randn(count, 778, 3, generator=draw).to(device)
    return Prediction(mano.joints_from(vertices), vertices), truth, mano
