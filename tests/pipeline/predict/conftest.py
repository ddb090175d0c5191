"""An untrained model, and an estimator that sees where a made-up hand lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handpose.estimator import HandEstimate, HandEstimator
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.training.model_io import save_model
from stages.params import EncoderParams, PoseNetParams
from tests.test_predict import a_record

PX = 64
Image = NDArray[np.uint8]


@pytest.fixture(scope="session")
def model(mano: Mano, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an untrained model with handed classes and view heads."""
    torch.manual_seed(0)
    encoder = EncoderParams(image_px=PX).keywords()
    pose_net = PoseNetParams(grid=4, dim=16, heads=2, view_heads=True).keywords()
    net = PoseNet(GestureNet(**encoder, coarse_classes=3, fine_classes=3), mano, **pose_net)
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, net, a_record(encoder, pose_net, "handed"))
    return folder


@pytest.fixture(scope="session")
def estimator(model: Path, stand_in: Path) -> HandEstimator:
    return HandEstimator.load(model, mano=stand_in)


@pytest.fixture(scope="session")
def photo() -> Image:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC), np.uint8)


def a_hand(uv: NDArray[np.floating[Any]], **changes: Any) -> HandEstimate:
    """A hand with joints at these pixels (21, 2), and nothing else of interest."""
    fields: dict[str, Any] = {
        "side": "right",
        "side_probability": 0.8,
        "facing": "palm",
        "facing_probability": 0.7,
        "frame": "camera",
        "joints": np.zeros((21, 3)),
        "joints_px": uv,
        "vertices": np.zeros((778, 3)),
        "faces": np.zeros((1, 3), np.int64),
        "global_orient": np.eye(3),
        "hand_pose": np.tile(np.eye(3), (15, 1, 1)),
        "betas": np.zeros(10),
        "gestures": (("fist", 0.6), ("gun", 0.4)),
    }
    return HandEstimate(**fields | changes)


@pytest.fixture
def made_up() -> Callable[..., Any]:
    """An estimator of joints at `uv`, moved by a share of its box's distance from them."""

    def make(uv: NDArray[np.floating[Any]], error: float = 0.1, **changes: Any) -> Any:
        def batch(
            photos: Sequence[Image], boxes: Sequence[Sequence[float] | None]
        ) -> list[HandEstimate]:
            hands = []
            for image, box in zip(photos, boxes, strict=True):
                x, y, w, h = (0, 0, image.shape[1], image.shape[0]) if box is None else box
                middle = np.array([x + w / 2, y + h / 2]) - 0.5
                own = (uv.min(0) + uv.max(0)) / 2
                hands.append(a_hand(uv + error * (middle - own), **changes))
            return hands

        return batch

    return make
