"""Tiny untrained models for export, and pictures for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from handpose.confidence.confidence_head import ConfidenceHead
from handpose.confidence.confidence_io import ConfidenceRecord, save_confidence
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.predict import Predictor
from handpose.training.model_io import read_record, save_model
from stages.params import EncoderParams, PoseNetParams
from tests.test_predict import a_record

PX, DIM = 64, 16
SMOOTH = 6.0
"""Deviation of the blur: OpenCV samples at 32nds of a pixel, which blurred pictures hardly show."""


def pictures(count: int, side: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (count, side, side, 3)).astype(np.float32)
    soft = np.stack([cv2.GaussianBlur(one, (0, 0), SMOOTH) for one in noise])
    return np.asarray(np.clip(128 + 60 * soft / soft.std(), 0, 255).round(), np.uint8)


def small_predictor(
    mano: Mano, handedness: str = "handed", *, head: bool = True, **keys: Any
) -> Predictor:
    """A model with weights drawn at random, and a head for it."""
    torch.manual_seed(0)
    encoder = EncoderParams(image_px=PX, backbone="resnet18").keywords()
    pose_net = PoseNetParams(grid=4, dim=DIM, heads=2, **keys).keywords()
    net = PoseNet(GestureNet(**encoder, coarse_classes=3, fine_classes=3), mano, **pose_net)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as after training: not the identity
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    confidence = ConfidenceHead(features=net.gesture_net.heads.features, dim=DIM) if head else None
    return Predictor(net, a_record(encoder, pose_net, handedness), confidence)


def write_small_model(folder: Path, mano: Mano, handedness: str = "handed", **keys: Any) -> None:
    """The same on disk."""
    predictor = small_predictor(mano, handedness, **keys)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder, predictor.net, predictor.record)
    if (head := predictor.confidence) is None:
        return
    counts = {"hands": 1, "windows": 1, "people": 1, "damaged": 0}
    record = ConfidenceRecord(
        model_sha256=read_record(folder).weights_sha256,
        features=predictor.net.gesture_net.heads.features,
        dim=DIM,
        hidden=head.log_scales.in_features,
        region=0.9,
        training=counts,
        calibration=counts,
        factors=[1.0, 1.0, 1.0],
    )
    save_confidence(folder, head, record)
